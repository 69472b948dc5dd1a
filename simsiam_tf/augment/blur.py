"""Gaussian blur as Pillow does it: three box blurs with fractional radius along each axis.

Each pass is a batched product with a banded matrix. Measured on CPU, compiled, sums over shifted neighbours
take three times as long at 32 px and as long at 224 px. One product with the composed matrix would be two to
three times faster, but rounds once instead of six times and misses Pillow by up to 3 levels.
"""

import math

import keras
import tensorflow as tf

from simsiam_tf.augment.base import AugmentationLayer, uniform, whole_levels

PASSES = 3  # Pillow, BoxBlur.c, ImagingGaussianBlur


@keras.saving.register_keras_serializable(package="simsiam_tf")
class GaussianBlur(AugmentationLayer):
    """Pillow's GaussianBlur with a random sigma, applied with a probability.

    Args:
        sigma: smallest and largest standard deviation in pixels.
        probability: that an image is blurred.

    Transformations: `sigma` (n,) float32, at most the largest sigma; 0 leaves an image as it is.
    """

    def __init__(self, sigma=(0.1, 2.0), probability=0.5, **kwargs):
        super().__init__(**kwargs)
        self.sigma = tuple(sigma)
        self.probability = probability

    def draw(self, n, h, w, seed):
        random = uniform([2, n], seed)
        sigma = self.sigma[0] + (self.sigma[1] - self.sigma[0]) * random[0]
        return {"sigma": tf.where(random[1] < self.probability, sigma, 0.0)}

    def augment_images(self, images, transformations, **kwargs):
        radius = box_radius(transformations["sigma"])
        reach = math.ceil(box_radius(self.sigma[1]))
        rows = box_weights(radius, reach, tf.shape(images)[1])
        columns = box_weights(radius, reach, tf.shape(images)[2])
        planes = tf.unstack(images, axis=3)
        for _ in range(PASSES):
            planes = [rounded(tf.matmul(plane, columns, transpose_b=True)) for plane in planes]
        for _ in range(PASSES):
            planes = [rounded(rows @ plane) for plane in planes]
        return tf.stack(planes, axis=3)

    def get_config(self):
        return {**super().get_config(), "sigma": self.sigma, "probability": self.probability}


def box_radius(sigma):
    """Radius, fraction included, of the box whose threefold blur has standard deviation `sigma`.

    Takes floats or tensors. Gwosdek et al. 2011, Theoretical foundations of Gaussian convolution by
    extended box filtering, equations 7, 11 and 14.
    """
    variance = sigma * sigma / PASSES
    whole = ((12 * variance + 1) ** 0.5 - 1) // 2
    fraction = (2 * whole + 1) * (whole * (whole + 1) - 3 * variance)
    return whole + fraction / (6 * (variance - (whole + 1) ** 2))


def rounded(planes):
    """Pillow rounds after every pass, so that a faint blur leaves no trace.

    Halves go down: measured, Pillow's do so at sigma 1, where one sum in six is a half.
    """
    return whole_levels(planes, halves=-1e-4)


def box_weights(radius, reach, size):
    """One box blur along one axis as a matrix; the edge pixel goes on beyond the edge.

    Args:
        radius: (n,); reach: a whole number that no radius exceeds; size: pixels of the axis.

    Returns:
        (n, size, size) float32; rows sum to 1.
    """
    radius = radius[:, None, None]
    box = tf.zeros([size, size])
    for k in range(-reach, reach + 1):
        # The outermost pixels of the box count by the fraction of the radius.
        weight = tf.clip_by_value(radius + (1 - abs(k)), 0.0, 1.0) / (2 * radius + 1)
        box += weight * tf.one_hot(tf.clip_by_value(tf.range(size) + k, 0, size - 1), size)
    return box
