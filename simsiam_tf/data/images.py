"""Sets of images that deliver uint8 squares: what they have in common, and those in memory.

Arrays that are converted when read, files and TFRecords have their own modules; where sets come from is in sources.py,
what is made of a picture in renderings.py, and the order of training in pipeline.py.
"""

import copy
from hashlib import sha256

import numpy as np

from simsiam_tf.data.renderings import resized_side
from simsiam_tf.errors import InputError


class ImageSet:
    """n images as uint8 squares, with an id each and perhaps labels.

    `whole` delivers what training cuts its views from, `frames` and `batches` what is evaluated and embedded.

    Args:
        name: short description for logs and tables, such as "cifar10/train".
        side: side in pixels of the squares that hold the whole pictures.
        ids: str (n,), file path relative to the folder, or the record number.
        labels: int64 (n,), or None for an unlabelled set.
        class_names: tuple of str, or None.
        frame: side of the frames; default `side`, for squares that are trained on and evaluated as they are.
        sized: whether pictures have sizes of their own, smaller than the square; else they fill it.

    Attributes:
        views: whether views are to be cut from it; if not, `load` keeps the frames alone.
        skipped: {id: reason} of the images that `load` or `checked` has left out.
    """

    in_memory = False
    views = True

    def __init__(self, name, side, ids, labels=None, class_names=None, frame=None, sized=False):
        self.name = name
        self.side, self.frame, self.sized = side, frame or side, sized
        self.ids = names(ids)
        self._labels = None if labels is None else np.array(labels, dtype=np.int64)
        self.class_names = class_names
        self.skipped = {}

    def __len__(self):
        return len(self.ids)

    def __repr__(self):
        place = "in memory" if self.in_memory else "streamed"
        return f"<{type(self).__name__} {self.name}: {len(self)} images of {self.side} px, {place}>"

    @property
    def image_shape(self):
        return (self.side, self.side, 3)

    @property
    def labels(self):
        return self._labels

    @property
    def frames_apart(self):
        """Whether frames are more than the middle of the squares, so that both are kept in memory."""
        return self.sized or self.side != resized_side(self.frame)

    @property
    def keeps_squares(self):
        """Whether `load` keeps the squares: views are cut from them, or the frames are."""
        return self.views or not self.frames_apart

    @property
    def nbytes(self):
        """Bytes that the set takes, or would take, in memory."""
        return len(self) * self.bytes_each

    @property
    def bytes_each(self):
        return 3 * (self.keeps_squares * self.side**2 + self.frames_apart * self.frame**2)

    def fingerprint(self):
        """SHA-256 of the ids in their order, bytes (32,)."""
        found = sha256()
        for start in range(0, len(self), 65536):  # in parts: all of ten million would be another copy of them
            found.update(
                "".join(f"{name}\0" for name in self.ids[start : start + 65536]).encode(errors="surrogateescape")
            )
        return found.digest()

    def take(self, indices):
        """The subset of these rows, in this order; files stay on disk."""
        indices = np.asarray(indices, dtype=np.int64)
        subset = copy.copy(self)
        subset.ids = self.ids[indices]
        subset._labels = None if self._labels is None else self._labels[indices]
        return subset

    def whole(self, indices):
        """The whole pictures of these rows, for training.

        Returns:
            uint8 (len(indices), side, side, 3), each picture in the top left corner of its square; and int32
            (len(indices), 2), their heights and widths, or None if they fill it.
        """
        raise NotImplementedError

    def gather(self, indices):
        """The squares of `whole` alone."""
        return self.whole(indices)[0]

    def frames(self, indices):
        """What is evaluated of these rows: uint8 (len(indices), frame, frame, 3), see `renderings.to_frame`."""
        raise NotImplementedError

    def load(self):
        """The same images as ArrayImages, without those that cannot be decoded (named in the log).

        Raises:
            InputError: no image can be decoded.
        """
        raise NotImplementedError

    def measured(self):
        """Itself, with `side` no larger than its largest picture where a cheap look shows that."""
        return self

    def checked(self):
        """For a set that is to be streamed: itself without images that a cheap look shows unreadable."""
        return self

    def batches(self, batch_size, crop=None):
        """Iterate over the frames of all images in order: uint8 (<= batch_size, h, w, 3), the last batch short.

        Args:
            batch_size: images in a batch.
            crop: side in pixels of an optional centre crop of the frames.

        Raises:
            InputError: `crop` is larger than the frames.
        """
        side = self.frame if crop is None else crop
        if not 1 <= side <= self.frame:
            raise InputError(f"crop: {crop} px does not fit into images of {self.frame} px; use 1 to {self.frame}")
        # A generator expression: with `yield`, the error above would wait for the first batch.
        return (
            middle(self.frames(np.arange(row, min(row + batch_size, len(self)))), side)
            for row in range(0, len(self), batch_size)
        )


class ArrayImages(ImageSet):
    """Images in memory.

    Args:
        images: uint8 (n, side, side, 3), squares that hold the whole pictures.
        sizes: int (n, 2), their heights and widths; default: they fill the squares.
        frames: uint8 (n, frame, frame, 3); default: the middle of the squares.
        frame: side of that middle; default: all of it.
    """

    in_memory = True

    def __init__(
        self, images, name="arrays", ids=None, labels=None, class_names=None, sizes=None, frames=None, frame=None
    ):
        ids = np.arange(len(images)).astype(str) if ids is None else ids
        frame = frame if frames is None else frames.shape[1]
        super().__init__(name, images.shape[1], ids, labels, class_names, frame, sized=sizes is not None)
        self.images, self.sizes, self._frames = images, sizes, frames

    @property
    def nbytes(self):
        return self.images.nbytes + (0 if self._frames is None else self._frames.nbytes)

    def take(self, indices):
        subset = super().take(indices)
        rows = np.asarray(indices, dtype=np.int64)
        subset.images = self.images[rows]
        subset.sizes = None if self.sizes is None else self.sizes[rows]
        subset._frames = None if self._frames is None else self._frames[rows]
        return subset

    def whole(self, indices):
        return self.images[indices], None if self.sizes is None else self.sizes[indices]

    def frames(self, indices):
        return middle(self.images[indices], self.frame) if self._frames is None else self._frames[indices]

    def load(self):
        return self


def names(ids):
    """Names as an array that takes of each its own length, not that of the longest: StringDType, whose bytes are UTF-8;
    str objects if one is of other bytes."""
    try:
        return np.array(ids, dtype=np.dtypes.StringDType())
    except UnicodeEncodeError:
        return np.array(ids, dtype=object)


def middle(images, side):
    """The central crop (n, side, side, 3) of square images, torchvision's CenterCrop."""
    start = round((images.shape[1] - side) / 2)
    return images[:, start : start + side, start : start + side]
