"""torchvision's augmentations of Pillow images, from the parameters that our layers draw."""

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

OPERATIONS = ("brightness", "contrast", "saturation", "hue")


def crop(image, box, size):
    top, left, height, width = (int(v) for v in box)
    return image.crop((left, top, left + width, top + height)).resize((size, size), Image.Resampling.BILINEAR)


def crop_columns_first(image, box, size):
    """As `crop` is in every Pillow before 13, which chooses the order of the two passes, and so of the roundings."""
    top, left, height, width = (int(v) for v in box)
    image = image.crop((left, top, left + width, top + height)).resize((size, height), Image.Resampling.BILINEAR)
    return image.resize((size, size), Image.Resampling.BILINEAR)


def mirrored(image):
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def hue(image, turns):
    """torchvision's adjust_hue."""
    h, s, v = image.convert("HSV").split()
    shifted = np.asarray(h).astype(np.int32) + np.int32(turns * 255)
    return Image.merge("HSV", (Image.fromarray(shifted.astype(np.uint8)), s, v)).convert("RGB")


ADJUST = {
    "brightness": lambda image, factor: ImageEnhance.Brightness(image).enhance(factor),
    "contrast": lambda image, factor: ImageEnhance.Contrast(image).enhance(factor),
    "saturation": lambda image, factor: ImageEnhance.Color(image).enhance(factor),
    "hue": hue,
}


def jitter(image, order, factors):
    """Operations by number, from first to last; factors by name."""
    for operation in order:
        name = OPERATIONS[operation]
        image = ADJUST[name](image, float(factors[name]))
    return image


def gray(image):
    return image.convert("L").convert("RGB")


def blur(image, sigma):
    return image.filter(ImageFilter.GaussianBlur(float(sigma)))


def view(image, size, drawn, resize=crop):
    """The whole stack in torchvision's order, the flip last; `drawn`: what each layer drew for the image."""
    box, colour, grayscale, blurring = drawn
    image = resize(image, box["box"], size)
    if colour["apply"]:
        image = jitter(image, colour["order"], colour)
    if grayscale["apply"]:
        image = gray(image)
    if blurring["sigma"] > 0:
        image = blur(image, blurring["sigma"])
    return mirrored(image) if box["flip"] else image
