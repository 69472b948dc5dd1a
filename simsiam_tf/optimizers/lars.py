"""LARS in the form of BYOL's official code (You et al. 2017; Grill et al. 2020, appendix)."""

import keras
import tensorflow as tf

from simsiam_tf.optimizers.sgd import SGD


@keras.saving.register_keras_serializable(package="simsiam_tf")
class LARS(SGD):
    """SGD whose step on each weight is scaled to the weight's own size.

    g += weight_decay * w;  g *= trust * |w| / |g|, or 1 where a norm is 0;  v = momentum * v + g;  w -= rate * v.

    Args:
        learning_rate, momentum, weight_decay: as for `SGD`.
        trust: Trust coefficient, eta.
        exclude_vectors: Biases and BatchNorm's scales and offsets are neither decayed nor scaled.
    """

    def __init__(
        self,
        learning_rate=0.2,
        momentum=0.9,
        weight_decay=1.5e-6,
        trust=1e-3,
        exclude_vectors=True,
        name="lars",
        **kwargs,
    ):
        super().__init__(learning_rate, momentum, weight_decay, name=name, **kwargs)
        self.trust, self.exclude_vectors = float(trust), exclude_vectors

    def direction(self, gradient, variable):
        if self.exclude_vectors and len(variable.shape) < 2:
            return gradient
        gradient = super().direction(gradient, variable)
        ratio = tf.math.divide_no_nan(self.trust * tf.norm(variable), tf.norm(gradient))
        return tf.where(ratio > 0, ratio, tf.ones_like(ratio)) * gradient

    def get_config(self):
        return {**super().get_config(), "trust": self.trust, "exclude_vectors": self.exclude_vectors}
