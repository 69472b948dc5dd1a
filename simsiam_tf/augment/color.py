"""Colour jitter and grayscale with the semantics of torchvision on Pillow images.

Images are taken apart into three planes (n, h, w): arithmetic on whole planes vectorises, on interleaved
channels it does not. Under XLA the `stack` of one layer and the `unstack` of the next cancel.
"""

import itertools

import keras
import tensorflow as tf

from simsiam_tf.augment.base import AugmentationLayer, per_image, uniform, whole_levels
from simsiam_tf.augment.hsv import hsv_to_rgb, rgb_to_hsv

OPERATIONS = ("brightness", "contrast", "saturation", "hue")
BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)
ORDERS = tuple(itertools.permutations(range(4)))


@keras.saving.register_keras_serializable(package="simsiam_tf")
class ColorJitter(AugmentationLayer):
    """torchvision's ColorJitter, applied with a probability; order and factors are drawn for every image.

    Args:
        brightness, contrast, saturation: strength s of each; the factor is uniform in [max(0, 1 - s), 1 + s].
        hue: strength h <= 0.5; the shift is uniform in [-h, h] turns of the colour wheel.
        probability: that an image is jittered at all.

    Transformations: `brightness`, `contrast`, `saturation`, `hue` (n,) float32; `order` (n, 4) int32, the
    operations' numbers (0 brightness, 1 contrast, 2 saturation, 3 hue) from first to last; `apply` (n,) bool.
    An operation of strength 0 is left out, as in torchvision.
    """

    def __init__(self, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1, probability=0.8, **kwargs):
        super().__init__(**kwargs)
        self.brightness = brightness
        self.contrast = contrast
        self.saturation = saturation
        self.hue = hue
        self.probability = probability

    def draw(self, n, h, w, seed):
        random = uniform([6, n], seed)
        factors = {}
        for i, name in enumerate(OPERATIONS):
            strength = getattr(self, name)
            low, high = (-strength, strength) if i == HUE else (max(0.0, 1.0 - strength), 1.0 + strength)
            factors[name] = low + (high - low) * random[i]
        order = tf.gather(tf.constant(ORDERS), tf.cast(random[4] * len(ORDERS), tf.int32))
        return {**factors, "order": order, "apply": random[5] < self.probability}

    def augment_images(self, images, transformations, **kwargs):
        planes = tf.unstack(images, axis=3)
        order = transformations["order"]
        factors = tf.stack([transformations[name] for name in OPERATIONS], axis=1)

        def step(k, *jittered):
            # Both for all images: cheaper than sorting the images by operation.
            operation = tf.gather(order, k, axis=1)
            factor = tf.reduce_sum(factors * tf.one_hot(operation, 4), axis=1)
            blended = blend(jittered, operation, factor)
            shifted = shift_hue(jittered, factor) if self.hue else jittered
            return [k + 1, *where(operation == HUE, shifted, blended)]

        # A loop of four, not four copies: XLA would fuse them and compute each step anew for every later one.
        _, *jittered = tf.while_loop(lambda k, *_: k < 4, step, [0, *planes], maximum_iterations=4)
        return tf.stack(where(transformations["apply"], jittered, planes), axis=3)

    def get_config(self):
        config = {name: getattr(self, name) for name in (*OPERATIONS, "probability")}
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable(package="simsiam_tf")
class RandomGrayscale(AugmentationLayer):
    """torchvision's RandomGrayscale: all three channels become the luma, with a probability per image.

    Args:
        probability: that an image loses its colour.

    Transformations: `apply` (n,) bool.
    """

    def __init__(self, probability=0.2, **kwargs):
        super().__init__(**kwargs)
        self.probability = probability

    def draw(self, n, h, w, seed):
        return {"apply": uniform([n], seed) < self.probability}

    def augment_images(self, images, transformations, **kwargs):
        planes = tf.unstack(images, axis=3)
        return tf.stack(where(transformations["apply"], [luma(planes)] * 3, planes), axis=3)

    def get_config(self):
        return {**super().get_config(), "probability": self.probability}


def where(condition, planes, others):
    """Planes where the condition (n,) holds, the others elsewhere."""
    return [tf.where(per_image(condition), a, b) for a, b in zip(planes, others, strict=True)]


def luma(planes):
    """Pillow's conversion to "L": ITU-R 601-2 in 16-bit fixed point, rounded to whole levels. (n, h, w)."""
    red, green, blue = planes
    # Below 2^24, where float32 is exact on whole levels: the same on every device.
    return tf.floor((19595 * red + 38470 * green + 7471 * blue + 32768) / 65536)


def blend(planes, operation, factor):
    """Pillow's ImageEnhance: away from (factor > 1) or towards black, the mean gray, or each pixel's gray.

    Args:
        planes: red, green, blue, each (n, h, w).
        operation: (n,) int32, BRIGHTNESS, CONTRAST or SATURATION: which one, per image.
        factor: (n,) float32; 1 changes nothing.
    """
    gray = luma(planes)
    mean = whole_levels(tf.reduce_mean(gray, axis=(1, 2), keepdims=True))
    operation, factor = per_image(operation), per_image(factor)
    other = tf.where(operation == SATURATION, gray, tf.where(operation == CONTRAST, mean, 0.0))
    # Pillow cuts the fraction off here and rounds everywhere else.
    return [tf.floor(tf.clip_by_value(other + factor * (plane - other), 0.0, 255.0)) for plane in planes]


def shift_hue(planes, turns):
    """torchvision's adjust_hue: to HSV, turn the hue, and back.

    Pillow keeps hue and saturation in 8 bits, a step of hue being up to six levels of a channel: only a
    shift in the same steps, from the same step, agrees with it.

    Args:
        planes: red, green, blue, each (n, h, w), whole levels.
        turns: (n,) float32 in [-0.5, 0.5].
    """
    hue, saturation, value = rgb_to_hsv(*planes)
    step = per_image(tf.cast(tf.cast(turns * 255, tf.int32), tf.float32))  # cut, as torchvision does
    hue += step
    hue -= 256 * tf.floor(hue / 256)  # 8 bits wrap; floormod would call the C library for every pixel
    return hsv_to_rgb(hue, saturation, value)
