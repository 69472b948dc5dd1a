"""From any image file or array to upright RGB pixels, and to the square in their middle.

Of small pictures that square is what is evaluated, and of square arrays what is trained on; what else is made of a
picture is in `renderings.py`.
"""

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

try:
    from pillow_heif import register_heif_opener
except ImportError:  # the extra [heic]
    HEIF = ()
else:
    register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)  # the picture itself, always
    HEIF = ("HEIF",)

# What cameras and the web write. Pillow knows 40 more, of which EPS would start Ghostscript on what is in the file.
FORMATS = ("JPEG", "PNG", "GIF", "BMP", "DIB", "WEBP", "TIFF", "AVIF", "JPEG2000", "PPM", *HEIF)


class UnreadableImage(Exception):
    """This one file cannot be used; the message says why. Callers skip or replace the file."""


def read_images(file, *needs):
    """Decode one encoded image to Pillow images, RGB, one for each need.

    The EXIF orientation, or HEIC's own, is applied, transparency is laid over white (as a browser does), CMYK is
    converted without its colour profile, gray of 16 bits and HEIC of 10 or 12 are scaled to 8, an animation or a
    multi-page file gives its first frame, HEIC its main picture.

    Args:
        file: path or binary file object.
        *needs: functions of the image's (width, height) to the smallest that will do. A JPEG is decoded at 1/2, 1/4 or
            1/8 of its size where neither side gets shorter than that.

    Raises:
        UnreadableImage: the file is missing, no image, truncated, of float pixels, or has more than
            `PIL.Image.MAX_IMAGE_PIXELS` pixels.
    """
    decoded, sizes = {}, []
    try:
        for need in needs:
            with Image.open(file, formats=FORMATS) as image:
                _refuse_bomb(image)
                image.draft(None, need(image.size))
                sizes.append(image.size)
                if image.size not in decoded:
                    image.load()
                    decoded[sizes[-1]] = to_rgb(_upright(image))
    except UnreadableImage:
        raise
    except Exception as error:
        # Pillow's plugins raise OSError, SyntaxError, ValueError, struct.error and more.
        raise UnreadableImage(_reason(error)) from error
    return [decoded[size] for size in sizes]


def read_square(file, side):
    """The middle square of one encoded image as uint8 (side, side, 3); raises what `read_images` raises."""
    # Decoded at no less than twice the side, so that the filter still does the antialiasing.
    (image,) = read_images(file, lambda size: (2 * side, 2 * side))
    return np.asarray(to_square(image, side))


def check_header(file):
    """Length of the longer side in pixels, from a few bytes; no pixel is decoded.

    Raises:
        UnreadableImage: `file` is no image or too large.
    """
    try:
        with Image.open(file, formats=FORMATS) as image:
            _refuse_bomb(image)
            return max(image.size)
    except UnreadableImage:
        raise
    except Exception as error:
        raise UnreadableImage(_reason(error)) from error


def shown_size(file):
    """(width, height) of an image as it is shown, turned upright, from a few bytes; raises as `check_header`."""
    try:
        with Image.open(file, formats=FORMATS) as image:
            _refuse_bomb(image)
            return image.size[::-1] if _lies(image) else image.size
    except UnreadableImage:
        raise
    except Exception as error:
        raise UnreadableImage(_reason(error)) from error


def to_rgb(image):
    """A Pillow image of any mode as RGB."""
    if image.mode == "F":
        raise UnreadableImage("float pixels have no known range; save it with 8 bits a channel")
    if image.mode.startswith("I"):
        # Pillow clips 16-bit pixels to 255 in convert("RGB"); 257 maps 65535 to 255.
        pixels = np.clip(np.asarray(image, np.int64), 0, 65535) / 257
        image = Image.fromarray(pixels.round().astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image if image.mode == "RGB" else image.convert("RGB")


def to_square(image, side, resample=Image.Resampling.BILINEAR):
    """The middle square of a Pillow image, as long as its shorter side, resized to (side, side)."""
    width, height = image.size
    short = min(width, height)
    # Whole pixels: at equal size the crop is then exact, not shifted by half a pixel and blurred.
    left, top = (width - short) // 2, (height - short) // 2
    return image.resize((side, side), resample, box=(left, top, left + short, top + short))


def array_squares(images, side, resample=Image.Resampling.BILINEAR):
    """uint8 (n, h, w) or (n, h, w, 1 | 3 | 4) to uint8 (n, side, side, 3); no copy if it already is that."""
    if images.ndim == 4 and images.shape[-1] == 1:
        images = images[..., 0]
    if images.shape[1:] == (side, side):
        return np.repeat(images[..., None], 3, axis=-1)
    if images.shape[1:] == (side, side, 3):
        return images
    squares = np.empty((len(images), side, side, 3), np.uint8)
    for square, pixels in zip(squares, images, strict=True):
        square[:] = to_square(to_rgb(Image.fromarray(pixels)), side, resample)
    return squares


def _refuse_bomb(image):
    width, height = image.size
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and width * height > limit:
        raise UnreadableImage(f"{width}x{height} pixels, more than PIL.Image.MAX_IMAGE_PIXELS={limit}")


def _upright(image):
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except Exception:  # A damaged EXIF block must not cost the picture, which has been decoded by now.
        return image
    return image


def _lies(image):
    """Whether it is turned by a right angle to be upright."""
    try:
        return image.getexif().get(ExifTags.Base.Orientation) in (5, 6, 7, 8)
    except Exception:  # damaged, as above
        return False


def _reason(error):
    return "not an image" if isinstance(error, UnidentifiedImageError) else first_line(error)


def first_line(error):
    """What an exception says, fit for a one-line message."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
