"""The one training step that every method shares: views, forward, objective, gradients, update, what follows, logs."""

from typing import NamedTuple

import keras
import tensorflow as tf
from keras.src.trainers.data_adapters.data_adapter_utils import unpack_x_y_sample_weight

from simsiam_tf.cuda import trains_compiled
from simsiam_tf.errors import InputError
from simsiam_tf.methods.inputs import check_compiled, check_images, check_labels
from simsiam_tf.methods.loop import cut_into_blocks, make_function
from simsiam_tf.methods.views import TEST_STREAM, TRAIN_STREAM
from simsiam_tf.networks.compiled import compiled


class Batch(NamedTuple):
    """What a step is given: images (n, h, w, 3), and where there are any labels (n,), row numbers (n,) and the sizes
    (n, 2) of pictures that fill only the top left corners of the images."""

    images: tf.Tensor
    labels: tf.Tensor | None = None
    rows: tf.Tensor | None = None
    sizes: tf.Tensor | None = None


class TrainStep(keras.Model):
    """The step of a `Method`, which states `draw_views`, `forward`, `objective`, `after_step` and has the variables."""

    def fit(self, x=None, y=None, batch_size=None, epochs=1, verbose="auto", callbacks=None, *arguments, **options):
        """As Keras's, after a look at what it was given.

        Raises:
            InputError: images that are none, weights, a loss from `compile`, labels that there is no class for, or none
                where they are learned.
        """
        check_compiled(self)
        for key in ("class_weight", "sample_weight"):
            if options.get(key) is not None:
                raise InputError(f"{key}: {type(self).__name__} weighs all images alike; leave it out")
        check_images(x)
        check_labels(self, x, y, callbacks)
        return super().fit(x, y, batch_size, epochs, verbose, callbacks, *arguments, **options)

    def train_step(self, data):
        batch = _as_batch(data)
        replicas = self.distribute_strategy.num_replicas_in_sync
        views = self.draw_views(batch.images, self.step, TRAIN_STREAM, batch.sizes)
        if self.micro_batches == 1:
            outputs, loss, gradients = self._gradients(views, batch, replicas)
        else:
            outputs, loss, gradients = self._accumulated(views, batch, replicas)
        if replicas > 1 and isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer):
            gradients = _overflowing_alike(gradients)
        self.optimizer.apply(gradients, self.trainable_variables)
        self._note_divergence(loss, gradients)
        self.after_step(outputs, batch)
        self._update_average()
        self.step.assign_add(1)
        self.loss_tracker.update_state(loss)
        self.loss_spread.update_state(loss)
        logs = {"loss": self.loss_tracker.result(), "loss_std": self.loss_spread.result()}
        if self.probe is not None and batch.labels is not None:
            logs.update(self.probe.train_step(tf.stop_gradient(outputs["features"][0]), batch.labels))
        return self._reducible(logs)

    def _gradients(self, views, batch, shares):
        """Outputs, loss, and the gradients of loss / shares."""

        def compute():
            with tf.GradientTape() as tape, compiled(self.jit_compile):
                outputs = self.forward(views, training=True)
                loss = self.objective(outputs, batch)
                scaled_loss = self.optimizer.scale_loss(loss / shares)
            return outputs, loss, tape.gradient(scaled_loss, self.trainable_variables)

        if not (self.jit_compile and self.distribute_strategy.num_replicas_in_sync > 1):
            return compute()
        return _compiled_on_one_replica(compute)

    def _accumulated(self, views, batch, replicas):
        """The same, the batch taken in parts one after the other, so that only one part's activations are kept.

        BatchNorm, negatives and assignments see one part at a time. All views are those of the whole batch.
        """
        k = self.micro_batches
        if batch.images.shape[0] is not None and batch.images.shape[0] % k:
            raise InputError(f"micro_batches: {k} does not divide a batch of {batch.images.shape[0]}; give a divisor")
        outputs, loss, gradients, before = [], 0.0, None, []
        for views_part, batch_part in zip(_split(views, k), _split(batch, k), strict=True):
            with tf.control_dependencies(before):
                own_outputs, own_loss, own = self._gradients(views_part, batch_part, replicas * k)
            gradients = own if gradients is None else list(map(_sum, gradients, own))
            before = [gradient for gradient in gradients if gradient is not None]
            outputs.append(own_outputs)
            loss += own_loss / k
        return tf.nest.map_structure(lambda *parts: tf.concat(parts, axis=0), *outputs), loss, gradients

    def _reducible(self, logs):
        """Logs in the form that Keras can reduce over replicas: it averages over the first axis."""
        alone = self.distribute_strategy.num_replicas_in_sync == 1
        return logs if alone else {name: value[None] for name, value in logs.items()}

    def _update_average(self):
        """average = m average + (1 - m) backbone, with m = min(weight_average, (1 + step) / (10 + step)).

        That is an average over the steps so far while these are few, as in tf.train.ExponentialMovingAverage.
        """
        if self.average is None:
            return
        step = tf.cast(self.step, tf.float32)
        momentum = tf.minimum(self.settings.weight_average, (1 + step) / (10 + step))
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
            finite = _in_every_replica(finite)
        self.diverged_at.assign(tf.where(finite | (self.diverged_at >= 0), self.diverged_at, self.step))

    def test_step(self, data):
        batch = _as_batch(data)
        outputs = self.forward(self.draw_views(batch.images, 0, TEST_STREAM, batch.sizes), training=False)
        self.loss_tracker.update_state(self.objective(outputs, batch))
        return self._reducible({"loss": self.loss_tracker.result()})

    @property
    def metrics(self):
        return [self.loss_tracker, self.loss_spread] + (self.probe.metrics if self.probe is not None else [])

    def _resolve_auto_jit_compile(self):
        # Keras would compile on CPUs, too, where XLA runs a ResNet-18 step at 0.6 of the plain graph's speed. A step
        # on several replicas is one graph over their devices, of which XLA compiles only what each does by itself.
        alone = self.distribute_strategy.num_replicas_in_sync == 1
        gpu = bool(tf.config.list_physical_devices("GPU"))
        return alone and gpu and trains_compiled() and super()._resolve_auto_jit_compile()

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        # The networks are built; Keras would draw a batch from the input for it, and sum that over all hosts.
        if self.distribute_strategy.num_replicas_in_sync > 1 and not self.optimizer.built:
            with self.distribute_strategy.scope():
                self.optimizer.build(self.trainable_variables)
        if iterator is not None:
            cut_into_blocks(iterator)

    def make_train_function(self, force=False):
        """As Keras's; the step is traced anew for another probe or other views, and for these alone."""
        parts = self.probe, self._views, self.optimizer, self.jit_compile, self.run_eagerly
        made_of = getattr(self.train_function, "parts", parts)
        force |= any(part is not old for part, old in zip(parts, made_of, strict=True))
        super().make_train_function(force)
        self.train_function.parts = parts

    def _make_function(self, step_function):
        return make_function(self, step_function)


def _compiled_on_one_replica(compute):
    """What `compute()` gives, compiled by XLA for the replica in whose context this is called.

    Raises:
        InputError: it asks the other replicas for something, which XLA cannot compile.
    """
    refusal = InputError(
        "jit_compile: True, but on several devices XLA compiles only what each computes by itself, and BatchNorm over "
        "all of them (training.sync_batch_norm), MoCo's shuffling and losses over a whole batch are not; give False"
    )
    function = tf.function(compute, jit_compile=True, autograph=False)
    try:
        operations = function.get_concrete_function().graph.get_operations()
    except RuntimeError as error:
        if "merge_call" not in str(error):  # how the devices of one process meet
            raise
        raise refusal from error
    if any(each.type.startswith("Collective") for each in operations):  # how processes do
        raise refusal
    return function()


def _in_every_replica(flag):
    """Whether a boolean holds in all of them."""
    missing = tf.cast(~flag, tf.float32)
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, missing) == 0


def _overflowing_alike(gradients):
    """NaN in every replica where they are not finite in one, so that all skip the step and keep one loss scale."""
    total = tf.add_n([tf.reduce_sum(tf.cast(each, tf.float32)) for each in gradients if each is not None])
    added = tf.where(_in_every_replica(tf.math.is_finite(total)), 0.0, float("nan"))
    return [each if each is None else each + tf.cast(added, each.dtype) for each in gradients]


def _sum(a, b):
    return a if b is None else a + b


def _split(structure, count):
    """A structure of tensors, or None, as `count` structures of equal parts."""
    leaves = [[each] * count if each is None else tf.split(each, count) for each in tf.nest.flatten(structure)]
    return [tf.nest.pack_sequence_as(structure, part) for part in zip(*leaves, strict=True)]


def _as_batch(data):
    images, labels, _ = unpack_x_y_sample_weight(data)
    return Batch(labels=labels, **images) if isinstance(images, dict) else Batch(images, labels)
