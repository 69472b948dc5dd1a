"""A linear classifier trained beside the encoder, on features that carry no gradient back."""

import keras
import numpy as np
import tensorflow as tf

from simsiam_tf.callbacks.features import as_monitor_images
from simsiam_tf.errors import InputError
from simsiam_tf.networks.layers import BatchNorm


class _Head:
    """The classifier. A plain object, so that the model neither trains nor saves it as part of itself.

    Features are standardised by running statistics: their scale drifts while the encoder learns.
    """

    def __init__(self, feature_dim, num_classes, learning_rate):
        self.norm = BatchNorm(center=False, scale=False, dtype="float32", name="probe_norm")
        self.dense = keras.layers.Dense(num_classes, kernel_initializer="zeros", dtype="float32", name="probe")
        self.norm.build((None, feature_dim))
        self.dense.build((None, feature_dim))
        self.optimizer = keras.optimizers.Adam(learning_rate, name="adam")
        self.optimizer.build(self.dense.trainable_variables)
        self.accuracy = keras.metrics.SparseCategoricalAccuracy(name="probe_accuracy")
        self.metrics = [self.accuracy]

    @property
    def variables(self):
        return self.norm.variables + self.dense.variables + self.optimizer.variables

    def train_step(self, features, labels):
        """One step on features (n, d), labels (n,); returns the running training accuracy for the logs."""
        labels = tf.reshape(labels, [-1])
        features = self.norm(tf.cast(features, tf.float32), training=True)
        with tf.GradientTape() as tape:
            logits = self.dense(features)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits))
            loss /= tf.distribute.get_strategy().num_replicas_in_sync
        self.optimizer.apply(tape.gradient(loss, self.dense.trainable_variables), self.dense.trainable_variables)
        self.accuracy.update_state(labels, logits)
        return {"probe_accuracy": self.accuracy.result()}

    def predict(self, features):
        """Classes (n,) of features (n, d)."""
        return np.argmax(self.dense(self.norm(features, training=False)), axis=1)


class LinearProbe(keras.callbacks.Callback):
    """Adds "probe_accuracy" (running, on augmented training views) and "val_probe_accuracy" to the logs.

    The classifier learns from the first view's features of every batch; `fit` must be given labels.

    Args:
        num_classes: Number of classes.
        queries: Pair (images, labels) to measure "val_probe_accuracy" on; None leaves that out.
        every: Epochs between two such measurements; the last epoch is always measured.
        learning_rate: Of the classifier's Adam.

    Raises:
        InputError: `num_classes` is below 2, or the model is none of this package.
    """

    def __init__(self, num_classes, queries=None, every=10, learning_rate=1e-3):
        super().__init__()
        if num_classes < 2:
            raise InputError(f"num_classes: {num_classes} is too few for a probe; give 2 or more")
        self.num_classes, self.every, self.learning_rate = num_classes, every, learning_rate
        self.queries = None if queries is None else as_monitor_images(queries, "queries")
        self.head = None

    def set_model(self, model):
        super().set_model(model)
        if not hasattr(model, "attach_probe"):
            raise InputError(
                f"LinearProbe: {type(model).__name__} is no method of simsiam_tf; give it to one such as SimSiam"
            )
        if self.head is None:
            with model.distribute_strategy.scope():
                self.head = _Head(model.backbone.output_shape[-1], self.num_classes, self.learning_rate)
        model.attach_probe(self.head)

    @property
    def variables(self):
        """All state of the classifier, for checkpoints."""
        return self.head.variables

    def on_epoch_end(self, epoch, logs=None):
        due = (epoch + 1) % self.every == 0 or epoch + 1 == self.params["epochs"]
        if self.queries is not None and due:
            predicted = self.head.predict(self.queries.features(self.model))
            logs["val_probe_accuracy"] = float(np.mean(predicted == self.queries.labels))

    def on_train_end(self, logs=None):
        self.model.attach_probe(None)
