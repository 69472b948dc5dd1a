"""Augmentation stacks: one flat set of keywords describes a stack, a recipe is a set of their values."""

import inspect
import numbers

import keras
import tensorflow as tf

from simsiam_tf.augment.blur import GaussianBlur
from simsiam_tf.augment.color import ColorJitter, RandomGrayscale
from simsiam_tf.augment.geometry import RandomResizedCrop, Resize
from simsiam_tf.augment.solarize import RandomSolarize
from simsiam_tf.errors import InputError

# What the two views of BYOL have in common.
BYOL = {
    "min_area": 0.08,
    "flip": 0.5,
    "jitter_probability": 0.8,
    "brightness": 0.4,
    "contrast": 0.4,
    "saturation": 0.2,
    "hue": 0.1,
    "grayscale": 0.2,
    "blur_sigma": (0.1, 2.0),
}

RECIPES = {
    # Chen & He 2021, appendix D: as for ImageNet, without blur.
    "cifar10": {
        "min_area": 0.2,
        "flip": 0.5,
        "jitter_probability": 0.8,
        "brightness": 0.4,
        "contrast": 0.4,
        "saturation": 0.4,
        "hue": 0.1,
        "grayscale": 0.2,
    },
    # Chen & He 2021, section 3, and the official main_simsiam.py.
    "imagenet": {
        "min_area": 0.2,
        "flip": 0.5,
        "jitter_probability": 0.8,
        "brightness": 0.4,
        "contrast": 0.4,
        "saturation": 0.4,
        "hue": 0.1,
        "grayscale": 0.2,
        "blur_probability": 0.5,
        "blur_sigma": (0.1, 2.0),
    },
    # Grill et al. 2020, appendix B, table 6: one for each of the two views. The paper resizes with a bicubic filter.
    "byol_first": {**BYOL, "blur_probability": 1.0, "solarize": 0.0},
    "byol_second": {**BYOL, "blur_probability": 0.1, "solarize": 0.2},
    # Handwritten digits, 8 x 8 and gray: a mirrored digit is another sign, and there is no colour to change.
    "digits": {"min_area": 0.5, "jitter_probability": 0.8, "brightness": 0.4, "contrast": 0.4},
    "none": {},
}


@keras.saving.register_keras_serializable(package="simsiam_tf")
class Augmenter(keras.layers.Layer):
    """Random views of a batch: crop, resize and flip, colour jitter, grayscale, blur, solarisation, in this order.

    The official recipes flip last; the flip is part of the crop here, which is the same, because it commutes
    with what lies between. With the defaults images are only resized. `tf.function(layer, jit_compile=True)`
    is the fast form on CPUs, too.

    Args:
        image_size: side of the views in pixels.
        min_area: smallest crop as a fraction of the image's area, above 0; None: the whole image, no crop.
        max_area: largest crop likewise, from min_area to 1. Small crops beside large ones are SwAV's multi-crop
            (Caron et al. 2020, section 3.2): 0.05 to 0.14 beside 0.14 to 1 of the area.
        flip: probability of a flip, left to right.
        jitter_probability: probability of the colour jitter.
        brightness, contrast, saturation, hue: strengths of the jitter, as in `ColorJitter`.
        grayscale: probability of the loss of colour.
        solarize: probability that levels from 128 up are inverted; the last operation (Grill et al. 2020, appendix B).
        blur_probability: probability of the blur.
        blur_sigma: smallest and largest standard deviation of the blur in pixels.
        **kwargs: arguments of `keras.layers.Layer`; the dtype is float32 whatever is given.

    Call arguments:
        images: (n, h, w, 3), uint8 or float, in [0, 255].
        seed: int32 (2,). The views depend on images and seed alone.
        part, parts: the images are part number `part`, from 0, of a batch cut into `parts` equal parts: they get the
            views that they get in the whole batch. `part` may be a tensor.
        sizes: integers (n, 2), height and width of pictures that lie in the top left corners of the images; default:
            they fill them.

    Output shape: (n, image_size, image_size, 3) float32 in [0, 255].

    Raises:
        InputError: a size, probability or strength is out of its range, or max_area is given without min_area.
    """

    def __init__(
        self,
        image_size,
        min_area=None,
        max_area=1.0,
        flip=0.0,
        jitter_probability=0.0,
        brightness=0.0,
        contrast=0.0,
        saturation=0.0,
        hue=0.0,
        grayscale=0.0,
        solarize=0.0,
        blur_probability=0.0,
        blur_sigma=(0.1, 2.0),
        **kwargs,
    ):
        super().__init__(**{**kwargs, "dtype": "float32", "autocast": False})
        self.image_size = positive_integer("image_size", image_size)
        self.min_area, self.max_area = crop_area(min_area, max_area)
        self.flip = in_range("flip", flip, 0, 1)
        self.jitter_probability = in_range("jitter_probability", jitter_probability, 0, 1)
        self.brightness = in_range("brightness", brightness, 0, 255)
        self.contrast = in_range("contrast", contrast, 0, 255)
        self.saturation = in_range("saturation", saturation, 0, 255)
        self.hue = in_range("hue", hue, 0, 0.5)
        self.grayscale = in_range("grayscale", grayscale, 0, 1)
        self.solarize = in_range("solarize", solarize, 0, 1)
        self.blur_probability = in_range("blur_probability", blur_probability, 0, 1)
        self.blur_sigma = increasing_pair("blur_sigma", blur_sigma, 0, 100)
        self.layers = self.stack()

    def stack(self):
        """The layers that have something to do, in order."""
        jitter = {name: getattr(self, name) for name in ("brightness", "contrast", "saturation", "hue")}
        layers = [
            Resize(self.image_size, flip=self.flip)
            if self.min_area is None
            else RandomResizedCrop(self.image_size, area=(self.min_area, self.max_area), flip=self.flip)
        ]
        if self.jitter_probability and any(jitter.values()):
            layers.append(ColorJitter(**jitter, probability=self.jitter_probability))
        if self.grayscale:
            layers.append(RandomGrayscale(self.grayscale))
        if self.blur_probability:
            layers.append(GaussianBlur(self.blur_sigma, self.blur_probability))
        if self.solarize:
            layers.append(RandomSolarize(self.solarize))
        return layers

    def build(self, images_shape, seed_shape=None):
        """Nothing to create: no layer of the stack has variables."""
        self.built = True

    def call(self, images, seed, part=0, parts=1, sizes=None):
        views = tf.cast(images, tf.float32)
        seeds = tf.random.split(seed, len(self.layers), alg="philox")
        for layer, layer_seed in zip(self.layers, tf.unstack(seeds), strict=True):
            views = layer(views, layer_seed, part=part, parts=parts, sizes=sizes)
            sizes = None  # the first layer's views fill their squares
        return views

    def compute_output_shape(self, images_shape, seed_shape=None):
        return (*images_shape[:-3], self.image_size, self.image_size, images_shape[-1])

    def get_config(self):
        return {**super().get_config(), **{name: getattr(self, name) for name in SETTINGS}}


SETTINGS = tuple(name for name in inspect.signature(Augmenter).parameters if name != "kwargs")


def recipe(name, image_size, **overrides):
    """The `Augmenter` of a named recipe, some of its values replaced.

    Args:
        name: a key of `RECIPES`.
        image_size: side of the views in pixels.
        **overrides: keywords of `Augmenter`.

    Raises:
        InputError: the recipe or an override is unknown, or a value out of its range.
    """
    if name not in RECIPES:
        raise InputError(f"augmentation.recipe: {name!r} is unknown; give one of {', '.join(RECIPES)}")
    known = [setting for setting in SETTINGS if setting != "image_size"]
    for key, value in overrides.items():
        if key not in known:
            raise InputError(f"augmentation.{key}: {value!r} is for no known setting; give one of {', '.join(known)}")
    return Augmenter(image_size, **{**RECIPES[name], **overrides})


def crop_area(smallest, largest):
    """The checked pair (min_area, max_area); the first may be None."""
    largest = in_range("max_area", largest, 0, 1)
    if smallest is None:
        if largest != 1:
            raise InputError(f"augmentation.max_area: {largest} without min_area has no effect; give min_area, too")
        return None, largest
    if not is_number(smallest) or not 0 < smallest <= largest:
        raise InputError(
            f"augmentation.min_area: {smallest!r} is out of range; give a number above 0, up to max_area ({largest})"
        )
    return float(smallest), largest


def is_number(value):
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def in_range(name, value, low, high):
    if not is_number(value) or not low <= value <= high:
        raise InputError(f"augmentation.{name}: {value!r} is out of range; give a number from {low} to {high}")
    return float(value)


def positive_integer(name, value):
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < 1:
        raise InputError(f"augmentation.{name}: {value!r} is not a size; give a whole number of pixels, 1 or more")
    return int(value)


def increasing_pair(name, value, low, high):
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise InputError(f"augmentation.{name}: {value!r} is not a range; give two numbers [smallest, largest]")
    smallest, largest = (in_range(name, number, low, high) for number in value)
    if smallest > largest:
        raise InputError(f"augmentation.{name}: {value!r} is upside down; give [smallest, largest]")
    return smallest, largest
