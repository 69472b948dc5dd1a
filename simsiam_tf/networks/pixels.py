"""How every backbone begins: with raw pixels, which it normalises itself."""

import keras
import numpy as np

from simsiam_tf.errors import InputError

# Means and standard deviations of the pixels of CIFAR-10's training images in [0, 1].
CIFAR10_MEAN = (0.4914, 0.4822, 0.4465)
CIFAR10_STD = (0.2470, 0.2435, 0.2616)


def full_precision():
    """The dtype of what no mixed policy may round: float32, or float64 under a float64 policy."""
    return "float64" if keras.config.dtype_policy().compute_dtype == "float64" else "float32"


def check_colors(mean, std):
    """Raise InputError unless both have a value for each of the three colours."""
    if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
        raise InputError(f"backbone.mean: {mean!r} with backbone.std {std!r}; give 3 values each, std above 0")


def pixels():
    """The input: (n, h, w, 3) in [0, 255], of any dtype and size."""
    return keras.Input((None, None, 3), dtype=full_precision(), name="images")


def normalize(images, mean, std):
    """(pixels / 255 - mean) / std in full precision."""
    # As float64 arrays: Keras would round Python floats to float32 even under a float64 policy.
    mean, std = np.asarray(mean, "float64"), np.asarray(std, "float64")
    normalization = keras.layers.Rescaling(1 / (255 * std), -mean / std, dtype=full_precision(), name="normalization")
    return normalization(images)


def feature_dim(model):
    """d of the features (n, d) that a backbone returns."""
    return model.output_shape[-1]
