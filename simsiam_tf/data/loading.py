"""From a set that converts or decodes its images when they are read to one in memory; and the arrays that do so."""

import numpy as np

from simsiam_tf.data.decode import array_squares
from simsiam_tf.data.images import ArrayImages, ImageSet
from simsiam_tf.data.renderings import array_frames, array_wholes, resized_side

CHUNK = 256  # images converted or decoded at once


class RawImages(ImageSet):
    """Rows of a uint8 array of any image shape, perhaps memory-mapped: converted when read.

    Args:
        form: the `Form` that they get.
    """

    def __init__(self, array, name, form, labels=None):
        height, width = array.shape[1:3]
        side, sized = form.of_shape(height, width)
        super().__init__(name, side, np.arange(len(array)).astype(str), labels, None, form.frame, sized)
        self.array = array

    def whole(self, indices):
        return self._whole(self._pixels(indices))

    def frames(self, indices):
        return array_frames(self._pixels(indices), self.frame)

    def load(self):
        kept = Kept(self, len(self))
        for row in range(0, len(self), CHUNK):
            kept.add(*self.made_of(self._pixels(np.arange(row, min(row + CHUNK, len(self))))))
        return kept.images(self.ids, self.labels)

    def made_of(self, pixels):
        """What `Kept` keeps of some rows."""
        whole = self._whole(pixels) if self.keeps_squares else (None, None)
        return *whole, array_frames(pixels, self.frame) if self.frames_apart else None

    def _whole(self, pixels):
        return array_wholes(pixels, self.side) if self.sized else (array_squares(pixels, self.side), None)

    def _pixels(self, indices):
        return np.asarray(self.array[self.ids[indices].astype(np.int64)])


class Kept:
    """Arrays for `n` images of a set that is being loaded, as many as it needs."""

    def __init__(self, image_set, n):
        self.set, self.count = image_set, 0
        side, frame = image_set.side, image_set.frame
        self.squares = np.zeros((n, side, side, 3), np.uint8) if image_set.keeps_squares else None
        self.sizes = np.zeros((n, 2), np.int32) if image_set.keeps_squares and image_set.sized else None
        self.frames = np.zeros((n, frame, frame, 3), np.uint8) if image_set.frames_apart else None

    def add(self, squares, sizes, frames):
        """The next images: uint8 (m, h, w, 3) that fit into the squares, their sizes (m, 2), and frames; None for those
        that are not kept."""
        m = len(frames if squares is None else squares)
        rows = slice(self.count, self.count + m)
        if self.squares is not None:
            self.squares[rows, : squares.shape[1], : squares.shape[2]] = squares
        if self.sizes is not None:
            self.sizes[rows] = sizes
        if self.frames is not None:
            self.frames[rows] = frames
        self.count += m

    def images(self, ids, labels, class_names=None):
        """What has been added, as ArrayImages."""
        squares, sizes, frames = (
            None if each is None else each[: self.count] for each in (self.squares, self.sizes, self.frames)
        )
        about = self.set.name, ids, labels, class_names
        if squares is None:
            return ArrayImages(frames, *about)
        if sizes is not None and (sizes == self.set.side).all():  # all are squares of one size
            sizes, frames = None, None if self.set.side == resized_side(self.set.frame) else frames
        return ArrayImages(squares, *about, sizes, frames, self.set.frame)
