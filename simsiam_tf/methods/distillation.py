"""Distillation of a trained encoder (Li et al. 2022, Understanding Collapse, supplement, section 2)."""

import keras
import tensorflow as tf

from simsiam_tf.errors import InputError
from simsiam_tf.methods.base import Method
from simsiam_tf.methods.losses import mean_squared_error
from simsiam_tf.methods.targets import gathered
from simsiam_tf.settings.methods.distillation import DistillationSettings


@keras.saving.register_keras_serializable(package="simsiam_tf")
class Distillation(Method):
    """A linear head on the student's features predicts the teacher's of the same view, each dimension normalised.

    The method keeps a copy of the teacher, in the precision that it comes with; it is in inference mode, and nothing
    trains it. Its targets stand still: nothing looks for a collapse.
    Micro-batches meet one and the same normalisation, whose statistics are then those of the whole batch.

    Raises:
        InputError: there is no teacher, it does not give vectors, or it takes images of another size than the views.
    """

    Settings = DistillationSettings

    def __init__(self, backbone, augmenter=None, *, teacher=None, **arguments):
        self._given = lambda: teacher  # Keras would take it for a part of this model if it saw it
        super().__init__(backbone, augmenter, **arguments)

    def build_heads(self, feature_dim):
        self.teacher = frozen(self._given())
        dim = self.teacher.output_shape[-1]
        self.head = self.add_head("head", feature_dim, hidden_dim=dim, output_dim=dim, num_layers=1)
        self.statistics = Standardizer(dim, self.settings.statistics_momentum, name="statistics")

    def forward(self, views, training=True):
        check_size(self.teacher, views[0])
        features = [self.backbone(view, training=training) for view in views]
        return {
            "features": features,
            "p": [self.head(each, training=training) for each in features],
            "targets": [tf.stop_gradient(self.teacher(view, training=False)) for view in views],
        }

    def objective(self, outputs, batch=None):
        """The squared error of the teacher's features, normalised by the statistics of earlier batches, the mean."""
        [prediction], [target] = outputs["p"], outputs["targets"]
        return mean_squared_error(prediction, self.statistics.normalized(target))

    def after_step(self, outputs, batch):
        self.statistics.move(outputs["targets"][0])

    def project(self, images):
        """Predictions (n, d) of the teacher's normalised features, of un-augmented images in inference mode."""
        return self.head(self.backbone(images, training=False), training=False)

    def get_config(self):
        return super().get_config() | {"teacher": keras.saving.serialize_keras_object(self.teacher)}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        teacher = keras.saving.deserialize_keras_object(config["teacher"], custom_objects=custom_objects)
        return super().from_config(config | {"teacher": teacher}, custom_objects)


class Standardizer(keras.layers.Layer):
    """Mean and standard deviation (d,) of rows, averages over batches that move; 0 and 1 to begin with.

    They are float32 under mixed policies, and over several replicas those of the whole batch. A batch's deviation is
    that of torch.std, with n - 1, as in the authors' code.

    Args:
        dim: d.
        momentum: Share of themselves that they keep at each move.
    """

    def __init__(self, dim, momentum, **kwargs):
        super().__init__(**kwargs)
        self.momentum = momentum
        options = {"shape": (dim,), "trainable": False, "autocast": False}
        self.mean = self.add_weight(name="mean", initializer="zeros", **options)
        self.deviation = self.add_weight(name="deviation", initializer="ones", **options)
        self.built = True

    def normalized(self, rows):
        """(rows - mean) / (1e-6 + deviation) of rows (n, d)."""
        return (tf.cast(rows, self.mean.dtype) - self.mean) / (1e-6 + self.deviation)

    def move(self, rows):
        """Take in a batch of rows (n, d)."""
        rows = gathered(tf.cast(rows, self.mean.dtype))
        mean = tf.reduce_mean(rows, axis=0)
        freedom = tf.cast(tf.maximum(tf.shape(rows)[0] - 1, 1), rows.dtype)
        deviation = tf.sqrt(tf.reduce_sum(tf.square(rows - mean), axis=0) / freedom)
        for moving, batch in ((self.mean, mean), (self.deviation, deviation)):
            moving.assign(self.momentum * moving + (1 - self.momentum) * batch)


def frozen(teacher):
    """A copy of a trained encoder that nothing trains.

    Raises:
        InputError: there is none, or it is no network from images to vectors.
    """
    way_out = "give a trained encoder: a run folder or a .keras file, in a script a Keras model"
    if teacher is None:
        raise InputError(f"method.teacher: none given; {way_out}")
    inputs, outputs = (getattr(teacher, name, None) for name in ("input_shape", "output_shape"))
    shapes = [shape if isinstance(shape, tuple) else () for shape in (inputs, outputs)]
    if [len(shape) for shape in shapes] != [4, 2] or None in (inputs[-1], outputs[-1]):
        raise InputError(f"method.teacher: from {inputs} to {outputs}, not from images to (n, d) vectors; {way_out}")
    copy = keras.models.clone_model(teacher)
    copy.set_weights(teacher.get_weights())
    copy.trainable = False
    return copy


def check_size(teacher, images):
    """Refuse images (n, h, w, 3) of another size than a teacher takes.

    Raises:
        InputError: they are.
    """
    wanted, given = teacher.input_shape[1:3], tuple(images.shape[1:3])
    if any(None not in pair and pair[0] != pair[1] for pair in zip(wanted, given, strict=True)):
        raise InputError(
            f"method.teacher: it takes images of {wanted[0]}x{wanted[1]}, the views are of {given[0]}x{given[1]}; give "
            "its size as data.image_size, or another teacher"
        )
