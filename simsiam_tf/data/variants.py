"""Copies of a picture as they come about: saved anew, cropped, made brighter, mirrored."""

import io

from PIL import Image, ImageEnhance, ImageOps

QUALITY, CROP, BRIGHTER = 60, 0.05, 1.2


def copies(image) -> dict:
    """{kind: Pillow image} of a Pillow image, RGB."""
    width, height = image.size
    return {
        "saved anew": _saved(image),
        "cropped": image.crop((0, 0, width - round(CROP * width), height - round(CROP * height))),
        "brighter": ImageEnhance.Brightness(image).enhance(BRIGHTER),
        "mirrored": ImageOps.mirror(image),
    }


def _saved(image):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=QUALITY)
    return Image.open(file, formats=["JPEG"]).convert("RGB")
