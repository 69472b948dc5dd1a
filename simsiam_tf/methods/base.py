"""The one training step that every method shares.

A method says how views become outputs (`forward`) and what is minimised (`objective`); drawing views, gradients,
the optimizer and the logs are here.
"""

import keras
import tensorflow as tf
from keras.src.trainers.data_adapters.data_adapter_utils import unpack_x_y_sample_weight

from simsiam_tf.augment import recipe
from simsiam_tf.errors import InputError

TRAIN_STREAM, TEST_STREAM = 0, 1


class Method(keras.Model):
    """A backbone in self-supervised training.

    `fit` takes raw images (n, h, w, 3), uint8 or float in [0, 255], alone or with labels that only a probe reads.
    `model(images)` and `predict` give backbone features (n, d) in inference mode.

    Args:
        backbone: Keras model, (n, h, w, 3) pixels in [0, 255] -> (n, d).
        augmenter: Layer called as `augmenter(images, seed)`, on several replicas as `augmenter(images, seed,
            part=, parts=)`, see `Augmenter`; default: the CIFAR-10 recipe at 32 px.
        num_views: Views of each image in a step.
        ema_momentum: Share of its old value that a moving average of the backbone's weights and statistics keeps at
            each step (less in the first steps, see `_update_average`); the average is what is evaluated. 0: none.
        seed: Views are a pure function of (seed, step, view), so a resumed run is the same run.

    Attributes:
        encoder: The backbone that `call` runs: the average if there is one, else `backbone`.
        step: Steps taken, a variable.
        diverged_at: The first step, from 0, whose loss or gradients were not finite; -1 while there is none.

    Raises:
        InputError: `backbone` does not give vectors, or a number is out of its range.
    """

    def __init__(self, backbone, augmenter=None, num_views=2, ema_momentum=0.0, seed=0, **kwargs):
        super().__init__(**kwargs)
        if len(backbone.output_shape) != 2 or backbone.output_shape[-1] is None:
            raise InputError(
                f"backbone: its output shape is {backbone.output_shape}; end it with pooling, to (n, d) vectors"
            )
        if not isinstance(num_views, int) or num_views < 2:
            raise InputError(f"num_views: {num_views!r} is below 2; each view needs another one to agree with")
        if not 0 <= ema_momentum < 1:
            raise InputError(f"ema_momentum: {ema_momentum!r} is out of range; give 0 (none) or a number below 1")
        self.backbone = backbone
        self.num_views = num_views
        self.ema_momentum = ema_momentum
        self.average = None
        if ema_momentum:
            self.average = keras.models.clone_model(backbone)
            self.average.set_weights(backbone.get_weights())
            self.average.trainable = False
        self.augmenter = recipe("cifar10", image_size=32) if augmenter is None else augmenter
        self.use_augmenter(self.augmenter)
        self.seed = seed
        self.probe = None
        self.step = self.add_weight(name="step", shape=(), dtype="int64", initializer="zeros", trainable=False)
        self.diverged_at = self.add_weight(
            name="diverged_at", shape=(), dtype="int64", initializer=keras.initializers.Constant(-1), trainable=False
        )
        self.loss_tracker = keras.metrics.Mean(name="loss")

    def use_augmenter(self, augmenter):
        """Draw views with this augmenter from the next trace of the step on; `self.augmenter` is what gets saved."""
        # On a CPU the network is slower compiled than not, but the augmentation is several times faster.
        self._compiled_augmenter = tf.function(
            lambda images, seed, **part: augmenter(images, seed, **part), jit_compile=True, autograph=False
        )

    # === What a method states ===

    def forward(self, views, training=True):
        """Outputs of the networks for a list of views, as a dict with at least "features": [(n, d), ...]."""
        raise NotImplementedError

    def objective(self, outputs):
        """The scalar to minimise, from what `forward` returned."""
        raise NotImplementedError

    def project(self, images):
        """Projections (n, d) of un-augmented images in inference mode: what the collapse figures look at."""
        raise NotImplementedError

    # === Shared by all ===

    @property
    def encoder(self):
        return self.backbone if self.average is None else self.average

    def call(self, images, training=False):
        return self.encoder(images, training=training)

    def draw_views(self, images, step, stream=TRAIN_STREAM):
        """`num_views` independent augmentations of a batch, each (n, h, w, 3) float32 in [0, 255]."""
        step = tf.cast(step, tf.int32)
        context = tf.distribute.get_replica_context()
        replicas = context.num_replicas_in_sync if context else 1
        # Each replica draws the views that its part of the batch gets on one device.
        part = {}
        if replicas > 1:
            part = {"part": tf.cast(context.replica_id_in_sync_group, tf.int32), "parts": replicas}
        views = []
        for view in range(self.num_views):
            seed = tf.stack([self.seed, step * 2 * self.num_views + stream * self.num_views + view])
            views.append(self._compiled_augmenter(images, seed, **part))
        return views

    def train_step(self, data):
        images, labels, _ = unpack_x_y_sample_weight(data)
        replicas = self.distribute_strategy.num_replicas_in_sync
        if replicas > 1 and isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer):
            raise InputError("training.precision: float16's loss scale is not kept over replicas; give bfloat16")
        views = self.draw_views(images, self.step)
        with tf.GradientTape() as tape:
            outputs = self.forward(views, training=True)
            loss = self.objective(outputs)
            scaled_loss = self.optimizer.scale_loss(loss / replicas)
        variables = self.trainable_variables
        gradients = tape.gradient(scaled_loss, variables)
        self.optimizer.apply(gradients, variables)
        self._note_divergence(loss, gradients)
        self._update_average()
        self.step.assign_add(1)
        self.loss_tracker.update_state(loss)
        logs = {"loss": self.loss_tracker.result()}
        if self.probe is not None and labels is not None:
            logs.update(self.probe.train_step(tf.stop_gradient(outputs["features"][0]), labels))
        return self._reducible(logs)

    def _reducible(self, logs):
        """Logs in the form that Keras can reduce over replicas: it averages over the first axis."""
        alone = self.distribute_strategy.num_replicas_in_sync == 1
        return logs if alone else {name: value[None] for name, value in logs.items()}

    def _update_average(self):
        """average = m average + (1 - m) backbone, m = min(ema_momentum, (1 + step) / (10 + step)): an average over the
        steps so far while these are few, as in tf.train.ExponentialMovingAverage with num_updates."""
        if self.average is None:
            return
        step = tf.cast(self.step, tf.float32)
        momentum = tf.minimum(self.ema_momentum, (1 + step) / (10 + step))
        for slow, fast in zip(self.average.variables, self.backbone.variables, strict=True):
            slow.assign_add(tf.cast(1 - momentum, slow.dtype) * (fast - slow))

    def _note_divergence(self, loss, gradients):
        """Keep the number of the first step whose loss or gradients are not finite, on the device.

        The loss alone does not tell: a ReLU on a CPU turns NaN into 0.
        """
        finite = tf.math.is_finite(loss)
        if isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer):
            # It skips such gradients and halves its scale; below 1 they are not the scale's fault.
            finite &= tf.convert_to_tensor(self.optimizer.dynamic_scale) >= 1
        else:
            sums = [tf.reduce_sum(gradient) for gradient in gradients if gradient is not None]
            finite &= tf.math.is_finite(tf.add_n(sums))
        if self.distribute_strategy.num_replicas_in_sync > 1:
            broken = tf.cast(~finite, tf.float32)
            finite = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, broken) == 0
        self.diverged_at.assign(tf.where(finite | (self.diverged_at >= 0), self.diverged_at, self.step))

    def test_step(self, data):
        images, _, _ = unpack_x_y_sample_weight(data)
        outputs = self.forward(self.draw_views(images, 0, TEST_STREAM), training=False)
        self.loss_tracker.update_state(self.objective(outputs))
        return self._reducible({"loss": self.loss_tracker.result()})

    @property
    def metrics(self):
        return [self.loss_tracker] + (self.probe.metrics if self.probe is not None else [])

    def _resolve_auto_jit_compile(self):
        # Keras would compile on CPUs, too, where XLA runs a ResNet-18 step at 0.6 of the plain graph's speed. A step
        # on several replicas is one graph over their devices, which XLA does not compile.
        alone = self.distribute_strategy.num_replicas_in_sync == 1
        return alone and bool(tf.config.list_physical_devices("GPU")) and super()._resolve_auto_jit_compile()

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        # The networks are built; Keras would draw a batch from the input for it, and sum that over all hosts.
        if self.distribute_strategy.num_replicas_in_sync > 1:
            with self.distribute_strategy.scope():
                self.optimizer.build(self.trainable_variables)

    # === Config ===

    def get_config(self):
        return super().get_config() | {
            "backbone": keras.saving.serialize_keras_object(self.backbone),
            "augmenter": keras.saving.serialize_keras_object(self.augmenter),
            "num_views": self.num_views,
            "ema_momentum": self.ema_momentum,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        parts = {
            key: keras.saving.deserialize_keras_object(config[key], custom_objects=custom_objects)
            for key in ("backbone", "augmenter")
        }
        return cls(**(config | parts))
