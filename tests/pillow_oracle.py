"""torchvision's augmentations of Pillow images, from the parameters that our layers draw."""

import math

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

OPERATIONS = ("brightness", "contrast", "saturation", "hue")


def torchvision_box(rng, height, width, area, ratio):
    """RandomResizedCrop.get_params, as a loop: (top, left, height, width)."""
    for _ in range(10):
        target = height * width * rng.uniform(*area)
        aspect = math.exp(rng.uniform(math.log(ratio[0]), math.log(ratio[1])))
        w, h = round(math.sqrt(target * aspect)), round(math.sqrt(target / aspect))
        if 0 < w <= width and 0 < h <= height:
            return rng.integers(0, height - h + 1), rng.integers(0, width - w + 1), h, w
    if width / height < ratio[0]:
        h, w = round(width / ratio[0]), width
    elif width / height > ratio[1]:
        h, w = height, round(height * ratio[1])
    else:
        h, w = height, width
    return (height - h) // 2, (width - w) // 2, h, w


def torchvision_view(image, size, rng):
    """The official main_simsiam.py's view of a Pillow image, drawn by a NumPy generator."""
    factors = {name: rng.uniform(0.6, 1.4) for name in OPERATIONS[:3]} | {"hue": rng.uniform(-0.1, 0.1)}
    box = torchvision_box(rng, image.height, image.width, (0.2, 1.0), (3 / 4, 4 / 3))
    drawn = [
        {"box": box, "flip": rng.random() < 0.5},
        {**factors, "order": rng.permutation(4), "apply": rng.random() < 0.8},
        {"apply": rng.random() < 0.2},
        {"sigma": rng.uniform(0.1, 2.0) if rng.random() < 0.5 else 0},
    ]
    return np.asarray(view(image, size, drawn))


def torchvision_frame(image, size, resized):
    """Resize(resized) and CenterCrop(size) of a Pillow image."""
    short = min(image.size)
    width, height = (int(resized * length / short) for length in image.size)
    left, top = round((width - size) / 2), round((height - size) / 2)
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image.crop((left, top, left + size, top + size)))


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
