"""Sets of images that deliver uint8 squares: what they have in common, and the two kinds that sit on arrays.

Files and TFRecords have their own modules; where sets come from is in sources.py, and the order of training
in pipeline.py.
"""

import copy

import numpy as np

from simsiam_tf.data.decode import array_squares
from simsiam_tf.errors import InputError

CHUNK = 256  # images converted or decoded at once


class ImageSet:
    """n images as uint8 squares (side, side, 3), with an id each and perhaps labels.

    Args:
        name: short description for logs and tables, such as "cifar10/train".
        side: side of the delivered squares in pixels.
        ids: str (n,), file path relative to the folder, or the record number.
        labels: int64 (n,), or None for an unlabelled set.
        class_names: tuple of str, or None.

    Attributes:
        skipped: {id: reason} of the images that `load` or `checked` has left out.
    """

    in_memory = False

    def __init__(self, name, side, ids, labels=None, class_names=None):
        self.name = name
        self.side = side
        self.ids = np.array(ids, dtype=str)
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
    def nbytes(self):
        """Bytes of all squares, whether in memory or not."""
        return len(self) * self.side * self.side * 3

    def take(self, indices):
        """The subset of these rows, in this order; files stay on disk."""
        indices = np.asarray(indices, dtype=np.int64)
        subset = copy.copy(self)
        subset.ids = self.ids[indices]
        subset._labels = None if self._labels is None else self._labels[indices]
        return subset

    def gather(self, indices):
        """Images of these rows: uint8 (len(indices), side, side, 3)."""
        raise NotImplementedError

    def load(self):
        """The same images as ArrayImages, without those that cannot be decoded (named in the log).

        Raises:
            InputError: no image can be decoded.
        """
        raise NotImplementedError

    def checked(self):
        """For a set that is to be streamed: itself without images that a cheap look shows unreadable."""
        return self

    def batches(self, batch_size, crop=None):
        """Iterate over all images in order: uint8 (<= batch_size, h, w, 3), the last batch short.

        Args:
            batch_size: images in a batch.
            crop: side of an optional centre crop in pixels.

        Raises:
            InputError: `crop` is larger than the stored images.
        """
        side = self.side if crop is None else crop
        if not 1 <= side <= self.side:
            raise InputError(f"crop: {crop} px does not fit into images of {self.side} px; use 1 to {self.side}")
        start = (self.side - side) // 2
        window = slice(start, start + side)
        # A generator expression: with `yield`, the error above would wait for the first batch.
        return (
            self.gather(np.arange(row, min(row + batch_size, len(self))))[:, window, window]
            for row in range(0, len(self), batch_size)
        )


class ArrayImages(ImageSet):
    """Images in memory: `images` uint8 (n, side, side, 3)."""

    in_memory = True

    def __init__(self, images, name="arrays", ids=None, labels=None, class_names=None):
        ids = np.arange(len(images)).astype(str) if ids is None else ids
        super().__init__(name, images.shape[1], ids, labels, class_names)
        self.images = images

    def take(self, indices):
        subset = super().take(indices)
        subset.images = self.images[np.asarray(indices, dtype=np.int64)]
        return subset

    def gather(self, indices):
        return self.images[indices]

    def load(self):
        return self


class RawImages(ImageSet):
    """Rows of a uint8 array of any image shape, perhaps memory-mapped: converted to squares when read."""

    def __init__(self, array, name, side, labels=None):
        super().__init__(name, side, np.arange(len(array)).astype(str), labels)
        self.array = array

    def gather(self, indices):
        rows = self.ids[indices].astype(np.int64)
        return array_squares(np.asarray(self.array[rows]), self.side)

    def load(self):
        images = np.empty((len(self), *self.image_shape), np.uint8)
        for row in range(0, len(self), CHUNK):
            images[row : row + CHUNK] = self.gather(np.arange(row, min(row + CHUNK, len(self))))
        return ArrayImages(images, self.name, self.ids, self.labels)
