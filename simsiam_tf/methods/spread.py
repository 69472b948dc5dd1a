"""How much the loss varies from step to step within an epoch."""

import keras
import tensorflow as tf


class Spread(keras.metrics.Metric):
    """Standard deviation of the values since the last reset, in float64: of the losses of an epoch."""

    def __init__(self, name="loss_std"):
        super().__init__(name=name, dtype="float64")
        self.sums = self.add_variable((3,), "zeros", dtype="float64", aggregation="sum", name="sums")

    def update_state(self, value):
        value = tf.cast(value, tf.float64)
        self.sums.assign_add(tf.stack([tf.ones_like(value), value, value**2]))

    def result(self):
        count, total, squares = tf.unstack(tf.convert_to_tensor(self.sums))
        count = tf.maximum(count, 1.0)
        return tf.cast(tf.sqrt(tf.maximum(squares / count - (total / count) ** 2, 0.0)), tf.float32)
