"""Crop, resize and flip as two batched matrix products: rows and columns of interpolation weights.

Pillow's antialiased bilinear filter is separable and linear in the pixels, so a crop, its resize and its
flip are one matrix per axis and image. This compiles under XLA, where TensorFlow's CropAndResize has no
kernel.
"""

import math

import keras
import tensorflow as tf

from simsiam_tf.augment.base import AugmentationLayer, multiply_axes, uniform

TRIES = 10  # torchvision RandomResizedCrop.get_params


@keras.saving.register_keras_serializable(package="simsiam_tf")
class Resize(AugmentationLayer):
    """The whole image, resized to a square as Pillow's antialiased bilinear filter does it.

    Of pictures that have sizes of their own, the middle square: squeezed, each would be in other proportions.

    Args:
        size: side of the output in pixels.
        flip: probability of a flip, left to right.

    Output shape: (n, size, size, 3).
    Transformations: `box` (n, 4) float32: top, left, height, width in whole pixels; `flip` (n,) bool.
    """

    def __init__(self, size, flip=0.0, **kwargs):
        super().__init__(**kwargs)
        self.size = size
        self.flip = flip

    def draw(self, n, h, w, seed):
        own = tf.convert_to_tensor(h).shape.rank == 1
        h, w = (tf.broadcast_to(tf.cast(value, tf.float32), [n]) for value in (h, w))
        height, width = (tf.minimum(h, w),) * 2 if own else (h, w)
        box = tf.stack([(h - height) // 2, (w - width) // 2, height, width], axis=1)
        return {"box": box, "flip": uniform([n], seed) < self.flip}

    def augment_images(self, images, transformations, **kwargs):
        top, left, height, width = tf.unstack(transformations["box"], axis=1)
        rows = interpolation_weights(top, height, tf.shape(images)[1], self.size)
        columns = interpolation_weights(left, width, tf.shape(images)[2], self.size)
        columns = tf.where(transformations["flip"][:, None, None], tf.reverse(columns, [1]), columns)
        return multiply_axes(images, rows, columns)

    def compute_output_shape(self, input_shape, *args):
        return (*input_shape[:-3], self.size, self.size, input_shape[-1])

    def get_config(self):
        return {**super().get_config(), "size": self.size, "flip": self.flip}


@keras.saving.register_keras_serializable(package="simsiam_tf")
class RandomResizedCrop(Resize):
    """torchvision's RandomResizedCrop and RandomHorizontalFlip in one.

    The crop's area is uniform, its aspect ratio log-uniform, its corner uniform over whole pixels; the
    first of ten tries that fits counts, and if none does, the central crop with the nearest allowed aspect
    ratio.

    Args:
        size: side of the output in pixels.
        area: smallest and largest area as fractions of the image's.
        ratio: smallest and largest width / height.
        flip: probability of the flip, left to right.

    Output shape: (n, size, size, 3).
    Transformations: as for `Resize`.
    """

    def __init__(self, size, area=(0.2, 1.0), ratio=(3 / 4, 4 / 3), flip=0.5, **kwargs):
        super().__init__(size, flip, **kwargs)
        self.area = tuple(area)
        self.ratio = tuple(ratio)

    def draw(self, n, h, w, seed):
        h, w = (tf.broadcast_to(tf.cast(value, tf.float32), [n]) for value in (h, w))
        random = uniform([n, 2 * TRIES + 3], seed)
        area = (h * w)[:, None] * between(random[:, :TRIES], *self.area)
        ratio = tf.exp(between(random[:, TRIES : 2 * TRIES], *map(math.log, self.ratio)))
        width, height = tf.round(tf.sqrt(area * ratio)), tf.round(tf.sqrt(area / ratio))  # (n, tries)
        fits = (width > 0) & (width <= w[:, None]) & (height > 0) & (height <= h[:, None])
        first = tf.one_hot(tf.argmax(tf.cast(fits, tf.int32), axis=1), TRIES)  # argmax is the first of equals
        any_fits = tf.reduce_any(fits, axis=1)
        height = tf.where(any_fits, tf.reduce_sum(first * height, axis=1), self.fallback_height(h, w))
        width = tf.where(any_fits, tf.reduce_sum(first * width, axis=1), self.fallback_width(h, w))
        u, v, flip = tf.unstack(random[:, 2 * TRIES :], axis=1)
        top = tf.where(any_fits, tf.floor(u * (h - height + 1)), (h - height) // 2)
        left = tf.where(any_fits, tf.floor(v * (w - width + 1)), (w - width) // 2)
        return {"box": tf.stack([top, left, height, width], axis=1), "flip": flip < self.flip}

    def fallback_height(self, h, w):
        return tf.minimum(h, tf.round(w / self.ratio[0]))

    def fallback_width(self, h, w):
        return tf.minimum(w, tf.round(h * self.ratio[1]))

    def get_config(self):
        return {**super().get_config(), "area": self.area, "ratio": self.ratio}


def between(random, low, high):
    """Stretch U[0, 1) to U[low, high)."""
    return low + (high - low) * random


def interpolation_weights(start, length, source, target):
    """Weights of Pillow's bilinear resize of [start, start + length) to `target` pixels, along one axis.

    The triangle filter is widened by the scale when shrinking, and its weights sum to one inside the interval
    (Pillow, Resample.c, precompute_coeffs).

    Args:
        start, length: (n,) float32, whole pixels.
        source: pixels of the axis before; target: after.

    Returns:
        (n, target, source) float32; rows sum to 1.
    """
    scale = length / target
    slope = 1 / tf.maximum(scale, 1.0)
    centre = start[:, None] + (tf.range(target, dtype=tf.float32) + 0.5) * scale[:, None] - 0.5  # (n, target)
    position = tf.range(source, dtype=tf.float32)
    inside = (position >= start[:, None]) & (position < (start + length)[:, None])  # (n, source)
    distance = tf.abs(position - centre[:, :, None])  # (n, target, source)
    weights = tf.where(inside[:, None, :], tf.nn.relu(1 - distance * slope[:, None, None]), 0.0)
    return weights * (1 / tf.reduce_sum(weights, axis=2, keepdims=True))
