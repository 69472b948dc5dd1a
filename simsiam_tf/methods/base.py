"""What a method is: a backbone, heads, views, and what it states of its step; the step itself is in `step.py`."""

import inspect
from dataclasses import fields

import keras

from simsiam_tf.augment import recipe
from simsiam_tf.errors import InputError
from simsiam_tf.methods.spread import Spread
from simsiam_tf.methods.step import TrainStep
from simsiam_tf.methods.targets import Follower
from simsiam_tf.methods.views import TRAIN_STREAM, Views
from simsiam_tf.networks.heads import MLP
from simsiam_tf.optimizers import Group
from simsiam_tf.settings.methods import MethodSettings

# What a method knows of the run; each is an attribute.
FACTS = ("seed", "total_steps", "steps_per_epoch", "num_images", "num_classes", "micro_batches")


class Method(TrainStep):
    """A backbone in self-supervised training.

    `fit` takes raw images (n, h, w, 3), uint8 or float in [0, 255], or {"images": ..., "sizes": ...} where these hold
    pictures of different sizes, see `ImageSet.whole`; alone or with labels that only a probe reads.
    `model(images)` and `predict` give backbone features (n, d) in inference mode.

    A subclass names its `Settings`, whose fields are its keyword arguments.

    Args:
        backbone: Keras model, (n, h, w, 3) pixels in [0, 255] -> (n, d).
        augmenter: Layer called as `augmenter(images, seed)`, on several replicas with `part=, parts=`, for pictures of
            different sizes with `sizes=`, see `Augmenter`; or a list with one for each view. Default: the CIFAR-10
            recipe at 32 px.
        seed: Views are a pure function of (seed, step, view), so a resumed run is the same run.
        total_steps: Steps of the whole training, for what follows a schedule; None: it stays as it begins.
        steps_per_epoch: Steps of an epoch, for methods that do something once in each.
        num_images: Training images, for methods that keep something for each of them.
        num_classes: Classes of the labels, for methods that learn from these.
        micro_batches: Equal parts that a batch is taken in, their gradients added up, which saves memory. BatchNorm,
            negatives and the assignments of clusters see one part at a time.
        **settings: fields of `Settings`, and keras.Model's name, trainable and dtype.

    Attributes:
        settings: The `Settings`.
        encoder: The backbone that `call` runs: the average of its weights if there is one, else `backbone`.
        step: Steps taken, a variable.
        diverged_at: The first step, from 0, whose loss or gradients were not finite; -1 while there is none.

    Raises:
        InputError: `backbone` does not give vectors, a setting is unknown or out of its range, or the views are not as
            many as the method needs.
    """

    Settings = MethodSettings
    num_views = property(lambda self: self.settings.num_views)
    batches_per_step = property(lambda self: self.num_views)  # that the backbone's BatchNorms see
    reads = frozenset()  # of "labels" and "rows": what `objective` and `after_step` read of a batch
    negatives = False  # whether the objective drives images apart

    def __init_subclass__(cls, **kwargs):
        """help() and inspect show the settings as the keyword arguments that they are."""
        super().__init_subclass__(**kwargs)
        own = [each for each in inspect.signature(Method.__init__).parameters.values() if each.name != "self"]
        kind = inspect.Parameter.KEYWORD_ONLY
        settings = [
            inspect.Parameter(each.name, kind, default=each.default, annotation=each.type)
            for each in fields(cls.Settings)
            if each.name != "name"
        ]
        cls.__signature__ = inspect.Signature([*own[:-1], *settings, own[-1]])
        known = [each for each in cls.Settings.__mro__ if issubclass(each, MethodSettings)]
        about = "\n\n".join(f"    {each.__doc__}" for each in known)
        cls.__doc__ = f"{cls.__doc__ or cls.__name__}\n\n    Settings, besides `Method`'s arguments:\n\n{about}"

    def __init__(
        self,
        backbone,
        augmenter=None,
        *,
        seed=0,
        total_steps=None,
        steps_per_epoch=None,
        num_images=None,
        num_classes=None,
        micro_batches=1,
        **settings,
    ):
        known = {each.name for each in fields(self.Settings)} - {"name"}
        own = {key: settings.pop(key) for key in ("name", "trainable", "dtype") if key in settings}
        if unknown := settings.keys() - known:
            raise InputError(f"method.{min(unknown)}: unknown; give one of {', '.join(sorted(known))}")
        super().__init__(**own)
        if not backbone.built:
            raise InputError("backbone: its input is not known; begin it with keras.Input((h, w, 3))")
        if len(backbone.output_shape) != 2 or backbone.output_shape[-1] is None:
            raise InputError(
                f"backbone: its output shape is {backbone.output_shape}; end it with pooling, to (n, d) vectors"
            )
        self.settings = self.Settings(**settings)
        self.backbone = backbone
        self.average = None
        if self.settings.weight_average:
            self.average = keras.models.clone_model(backbone)
            self.average.set_weights(backbone.get_weights())
            self.average.trainable = False
        self.seed, self.total_steps, self.micro_batches = seed, total_steps, micro_batches
        self.steps_per_epoch, self.num_images, self.num_classes = steps_per_epoch, num_images, num_classes
        augmenter = recipe("cifar10", image_size=32) if augmenter is None else augmenter
        self.augmenters = self._one_for_each_view(augmenter)
        self.use_augmenter(augmenter)
        self.probe = None
        self.step = self.add_weight(name="step", shape=(), dtype="int64", initializer="zeros", trainable=False)
        self.diverged_at = self.add_weight(
            name="diverged_at", shape=(), dtype="int64", initializer=keras.initializers.Constant(-1), trainable=False
        )
        self.loss_tracker = keras.metrics.Mean(name="loss")
        self.loss_spread = Spread(name="loss_std")
        self.predictor = None  # unless `build_heads` makes one
        self.build_heads(backbone.output_shape[-1])
        self.built = True

    def _one_for_each_view(self, augmenter):
        if not isinstance(augmenter, list | tuple):
            augmenter = [augmenter] * self.num_views
        if len(augmenter) != self.num_views:
            raise InputError(f"augmentation.views: {len(augmenter)}, but the method has {self.num_views}; give as many")
        return list(augmenter)

    def use_augmenter(self, augmenter):
        """Draw views with this one, or these, from the next `fit` on; what gets saved stays as it was."""
        self._views = Views(self._one_for_each_view(augmenter))

    # === What a method states ===

    def build_heads(self, feature_dim):
        """Make, with `add_head`, what comes after the backbone's features (n, feature_dim)."""
        raise NotImplementedError

    def forward(self, views, training=True):
        """Outputs of the networks for a list of views, as a dict with at least "features": [(n, d), ...]."""
        raise NotImplementedError

    def objective(self, outputs, batch=None):
        """The scalar to minimise, from what `forward` returned and the `Batch`."""
        raise NotImplementedError

    # === What a method may state ===

    def after_step(self, outputs, batch):
        """What follows the optimizer's update: moving targets, queues, banks."""

    def groups(self):
        """Which variables get which learning rate: the first `Group` takes all that no other one names.

        A predictor has one of its own, as the settings predictor_ratio, _schedule and perhaps _weight_decay say.
        """
        if self.predictor is None:
            return [Group("encoder")]
        s = self.settings
        decay = getattr(s, "predictor_weight_decay", None)
        return [Group("encoder"), Group("predictor", (self.predictor,), s.predictor_ratio, s.predictor_schedule, decay)]

    def cosine_of(self, loss):
        """The mean cosine between predictions and targets that a loss stands for; None where it is of another kind."""

    def project(self, images):
        """Projections (n, d) of un-augmented images in inference mode: what the collapse figures look at."""
        return self.projector(self.backbone(images, training=False), training=False)

    # === Shared by all ===

    def add_head(self, role, inputs, **arguments):
        """An `MLP` on (n, inputs), its weights drawn by seed and role."""
        head = MLP(**arguments, seed=self.seed, name=role)
        head.build((None, inputs))
        return head

    def predicted(self, projections, training):
        """What the predictor makes of each of these (n, d), or where there is none, these."""
        if self.predictor is None:
            return projections
        return [self.predictor(each, training=training) for each in projections]

    @property
    def heads(self):
        """{role: MLP} of the trained heads."""
        return {layer.name: layer for layer in self.layers if isinstance(layer, MLP)}

    @property
    def encoder(self):
        return self.backbone if self.average is None else self.average

    def call(self, images, training=False):
        return self.encoder(images, training=training)

    def restart_targets(self):
        """Let what follows the networks begin anew from them as they are, after weights were put into them."""
        if self.average is not None:
            self.average.set_weights(self.backbone.get_weights())
        for layer in self.layers:
            if isinstance(layer, Follower):
                layer.restart()

    def attach_probe(self, probe):
        """Let a `train_step(features, labels)` of its own, which returns logs, follow each step; None: no more."""
        self.probe = probe

    def draw_views(self, images, step, stream=TRAIN_STREAM, sizes=None):
        """`num_views` independent augmentations of a batch, each (n, h, w, 3) float32 in [0, 255]."""
        return self._views.draw(images, self.seed, step, stream, sizes)

    # === Config ===

    def get_config(self):
        first = self.augmenters[0]
        alike = first if all(each is first for each in self.augmenters) else None
        return super().get_config() | {
            "backbone": keras.saving.serialize_keras_object(self.backbone),
            "augmenter": keras.saving.serialize_keras_object(alike or list(self.augmenters)),
            **{key: getattr(self, key) for key in FACTS},
            **self.settings.arguments(),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        if "ema_momentum" in config:
            raise InputError(
                "model: an earlier version saved it, with other heads; load it with that version, and save "
                "its backbone, which loads here"
            )
        parts = {
            key: keras.saving.deserialize_keras_object(config[key], custom_objects=custom_objects)
            for key in ("backbone", "augmenter")
        }
        return cls(**(config | parts))
