"""A linear classifier: on a frozen encoder, or trained with it; from scratch it is the supervised benchmark."""

import keras
import tensorflow as tf

from simsiam_tf.errors import InputError
from simsiam_tf.methods.base import Method
from simsiam_tf.methods.losses import cross_entropy
from simsiam_tf.optimizers import Group
from simsiam_tf.settings.methods.classifier import ClassifierSettings


@keras.saving.register_keras_serializable(package="simsiam_tf")
class Classifier(Method):
    """Cross entropy of a linear layer on the features of one view; `fit` needs labels, whole numbers below num_classes.

    The features are normalised first, by a BatchNorm without scale and offset (He et al. 2022, appendix A.1): one
    learning rate then fits encoders whose features differ in size by orders of magnitude.
    """

    Settings = ClassifierSettings
    reads = frozenset({"labels"})
    batches_per_step = property(lambda self: int(self.trains_encoder))

    @property
    def trains_encoder(self):
        return self.settings.encoder_ratio > 0

    @property
    def trainable_variables(self):
        # Of the variables, not by the layers' `trainable`, which a saved encoder would keep.
        return super().trainable_variables if self.trains_encoder else self.classifier.trainable_variables

    def build_heads(self, feature_dim):
        if self.num_classes is None:
            raise InputError("num_classes: none given, but a classifier needs them; give the number of classes")
        # Not hidden: a single layer. Float32, as the loss.
        widths = {"hidden_dim": feature_dim, "output_dim": self.num_classes}
        self.classifier = self.add_head(
            "classifier", feature_dim, **widths, num_layers=1, input_norm=True, dtype="float32"
        )

    def forward(self, views, training=True):
        features = [self.backbone(view, training=training and self.trains_encoder) for view in views]
        return {"features": features, "logits": [self.classifier(each, training=training) for each in features]}

    def objective(self, outputs, batch=None):
        """Cross entropy of the label's class, `label_smoothing` of it spread over all."""
        [logits], k, smoothing = outputs["logits"], self.num_classes, self.settings.label_smoothing
        labels = tf.one_hot(tf.reshape(batch.labels, [-1]), k)
        return cross_entropy((1 - smoothing) * labels + smoothing / k, logits)

    def groups(self):
        if not self.trains_encoder:
            return [Group("classifier")]
        return [Group("encoder", ratio=self.settings.encoder_ratio), Group("classifier", (self.classifier,))]

    def project(self, images):
        """Logits (n, k) of un-augmented images in inference mode."""
        return self.classifier(self.backbone(images, training=False), training=False)

    def network(self):
        """Keras model, pixels (n, h, w, 3) in [0, 255] -> probabilities (n, k), with the weights as they are now."""
        outputs = self.encoder.output
        for stage in self.classifier.stages:  # under names that a backbone has no layers of
            layer = type(stage).from_config(stage.get_config() | {"name": f"classifier_{stage.name}"})
            outputs = layer(outputs)
            layer.set_weights(stage.get_weights())
        outputs = keras.layers.Softmax(dtype="float32", name="probabilities")(outputs)
        return keras.Model(self.encoder.input, outputs, name="classifier")
