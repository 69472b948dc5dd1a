"""Solarisation of 8-bit images, as Pillow's ImageOps.solarize does it."""

import keras
import tensorflow as tf

from simsiam_tf.augment.base import AugmentationLayer, uniform

THRESHOLD = 128  # the lowest level that is inverted: Pillow's default, and BYOL's 0.5 of the full range


@keras.saving.register_keras_serializable(package="simsiam_tf")
class RandomSolarize(AugmentationLayer):
    """torchvision's RandomSolarize(128): levels x >= 128 become 255 - x, with a probability per image.

    Args:
        probability: that an image is solarised.

    Transformations: `apply` (n,) bool.
    """

    def __init__(self, probability=0.2, **kwargs):
        super().__init__(**kwargs)
        self.probability = probability

    def draw(self, n, h, w, seed):
        return {"apply": uniform([n], seed) < self.probability}

    def augment_images(self, images, transformations, **kwargs):
        inverted = transformations["apply"][:, None, None, None] & (images >= THRESHOLD)
        return tf.where(inverted, 255 - images, images)

    def get_config(self):
        return {**super().get_config(), "probability": self.probability}
