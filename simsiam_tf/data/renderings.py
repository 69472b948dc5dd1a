"""What is made of a picture: the whole of it, to cut random views from, and the frame that is evaluated and embedded.

torchvision's RandomResizedCrop sees the whole picture, so that is what is kept: in the top left corner of a square,
whose side is one for all, with its height and width. Pictures up to that side keep their pixels; larger ones shrink.
"""

from typing import NamedTuple

import numpy as np
from PIL import Image

from simsiam_tf.data.decode import array_squares, to_rgb, to_square

LEAST = 128  # JPEGs are decoded at no less: below, what they lose changes features by more than 1 %.
LARGE = 64  # Up to this side the middle square is evaluated, above it the ImageNet protocol's part of it.


class Form(NamedTuple):
    """What is made of the pictures of a set.

    Args:
        image_size: side of the views and the frames.
        store_size: side up to which wholes are kept, and to which square arrays are resized; None: the defaults.
    """

    image_size: int
    store_size: int | None = None

    @property
    def frame(self):
        return self.image_size

    @property
    def side(self):
        """Of the squares that hold pictures of any shape."""
        return self.store_size or whole_side(self.image_size)

    def need_of_whole(self, size):
        """What a picture of this (width, height) may be reduced to while it is decoded, for `to_whole`.

        By default what its frame needs is enough, which costs no more than frames alone.
        """
        least = max(2 * resized_side(self.frame), LEAST, self.store_size or 0)
        return tuple(min(length, least) for length in fitted(size, self.side))

    def need_of_frame(self, size):
        """The same for `to_frame`: the filter still does the antialiasing."""
        return (max(2 * resized_side(self.frame), LEAST),) * 2

    def of_shape(self, height, width):
        """Side of the squares, and whether pictures have sizes in them, of a set of pictures of one shape.

        Squares, such as CIFAR-10's, are not kept in the corner of a larger square but resized to it: up to 64 px to the
        size of the views, which published runs have.
        """
        if height != width:
            return min(self.side, max(height, width)), True
        if self.store_size or self.image_size <= LARGE:
            return self.store_size or self.image_size, False
        return max(resized_side(self.image_size), min(self.side, height)), False


def resized_side(side):
    """The shorter side to which a picture is resized before the frame of `side` px is cut: 256 for 224."""
    return side if side <= LARGE else round(side * 8 / 7)


def whole_side(image_size):
    """The side up to which the wholes of larger pictures are kept for views of `image_size` px: 512 for 224.

    From there on no difference of views from those of the originals is seen (docs/reproduction.md), of photographs of
    usual size, which 512 px hold as they are.
    """
    return min(4 * image_size, max(512, 2 * resized_side(image_size)))


def fitted(size, side):
    """(width, height), scaled so that the longer one is `side` if it is longer."""
    scale = min(1, side / max(size))
    return tuple(max(1, round(length * scale)) for length in size)


def to_whole(image, side):
    """A Pillow image, shrunk to a longer side of `side` px if it is longer."""
    # The views' filter antialiases once more. Of Pillow's filters this one blurs least for its time.
    return image.resize(fitted(image.size, side), Image.Resampling.BOX)


def to_frame(image, side, resample=Image.Resampling.BILINEAR):
    """The square (side, side) of a Pillow image that is evaluated.

    Above 64 px torchvision's Resize to 8/7 of the side and CenterCrop (the ImageNet protocol, He et al. 2016), up to
    64 px the middle square, resized.
    """
    width, height = image.size
    if side <= LARGE:
        return to_square(image, side, resample)
    if width == height:
        start = round((resized_side(side) - side) / 2)  # torchvision's, as below
        return to_square(image, resized_side(side), resample).crop((start, start, start + side, start + side))
    # torchvision: the longer side is cut to whole pixels, the margins are rounded.
    resized = [resized_side(side) * length // min(width, height) for length in (width, height)]
    left, top = (round((length - side) / 2) for length in resized)
    # Only the crop is computed: the filter sees the pixels around it, as if all were resized.
    x, y = width / resized[0], height / resized[1]
    return image.resize((side, side), resample, (left * x, top * y, (left + side) * x, (top + side) * y))


def frame_rule(side):
    """`to_frame` of a file and what is decoded for it, in numbers, for a program elsewhere (docs/guide.md has one).

    The picture is resized to a shorter side of `resize` px, or left as it is if that is None; of it a square of `crop`
    px, or of its shorter side, begins at half of what is left over, rounded as NumPy's function `round` does; that
    square becomes `size`. Both resizings are one, with `filter`, which sees the pixels around the square, too. `decode`
    is what `read_images` gives to Pillow's `draft`.
    """
    large = side > LARGE
    return {
        "size": [side, side],
        "resize": resized_side(side) if large else None,
        "crop": side if large else None,
        "round": "round" if large else "floor",
        "filter": "BILINEAR",
        "decode": list(Form(side).need_of_frame(None)),
        "rule": f"torchvision's Resize({resized_side(side)}) and CenterCrop({side})" if large else "the middle square",
    }


def array_wholes(images, side):
    """uint8 (n, h, w[, c]) to uint8 (n, side, side, 3) and the sizes (n, 2) of the pictures in them, see `placed`."""
    return placed([np.asarray(to_whole(to_rgb(Image.fromarray(pixels)), side)) for pixels in unboxed(images)], side)


def array_frames(images, side, resample=Image.Resampling.BILINEAR):
    """uint8 (n, h, w[, c]) to the frames, uint8 (n, side, side, 3)."""
    if side <= LARGE:
        return array_squares(images, side, resample)
    return np.stack([np.asarray(to_frame(to_rgb(Image.fromarray(each)), side, resample)) for each in unboxed(images)])


def unboxed(images):
    """Without the axis of a single channel, which Pillow does not know."""
    return images[..., 0] if images.ndim == 4 and images.shape[-1] == 1 else images


def placed(wholes, side):
    """Pictures of any size up to `side` as one array.

    Args:
        wholes: n arrays uint8 (h, w, 3).

    Returns:
        uint8 (n, side, side, 3), each picture in the top left corner of its square, the rest 0; and int32 (n, 2), their
        heights and widths.
    """
    squares = np.zeros((len(wholes), side, side, 3), np.uint8)
    for square, pixels in zip(squares, wholes, strict=True):
        square[: pixels.shape[0], : pixels.shape[1]] = pixels
    return squares, np.array([pixels.shape[:2] for pixels in wholes], np.int32)
