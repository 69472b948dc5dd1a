"""Augmentation of whole batches on the device: keras-cv layers with stateless randomness, and recipes."""

from simsiam_tf.augment.base import AugmentationLayer
from simsiam_tf.augment.blur import GaussianBlur
from simsiam_tf.augment.color import ColorJitter, RandomGrayscale
from simsiam_tf.augment.geometry import RandomResizedCrop, Resize
from simsiam_tf.augment.recipes import RECIPES, Augmenter, recipe
from simsiam_tf.augment.solarize import RandomSolarize

__all__ = [
    "RECIPES",
    "AugmentationLayer",
    "Augmenter",
    "ColorJitter",
    "GaussianBlur",
    "RandomGrayscale",
    "RandomResizedCrop",
    "RandomSolarize",
    "Resize",
    "recipe",
]
