"""Images that are decoded on demand from files, with bounded memory; bad ones are skipped or replaced."""

import functools
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

from simsiam_tf.atomic import replacing
from simsiam_tf.data.decode import UnreadableImage, check_header, read_square
from simsiam_tf.data.images import CHUNK, ArrayImages, ImageSet
from simsiam_tf.errors import InputError

log = logging.getLogger("simsiam_tf.data")

# So many unreadable files in a row mean that the disk is gone, not that some files are bad.
MAX_REPLACEMENTS = 1000


class FileImages(ImageSet):
    """Image files below the folder `root`; ids are their paths relative to it."""

    def __init__(self, root, name, side, ids, labels=None, class_names=None):
        super().__init__(name, side, ids, labels, class_names)
        self.root = Path(root)

    def open(self, image_id):
        """What Pillow can open for this id: a path or a binary file object.

        Raises:
            UnreadableImage: there is something else than a file.
        """
        path = self.root / str(image_id)
        if path.exists() and not path.is_file():
            raise UnreadableImage("not a file")  # a pipe would be waited for
        return path

    def gather(self, indices):
        """Images of these rows. An unreadable one is replaced by the next readable row's, for good: the row
        takes over that id and label too, so that images, ids and labels always belong together."""
        images = np.empty((len(indices), *self.image_shape), np.uint8)
        for place, (row, image) in enumerate(zip(indices, threads().map(self._decode, indices), strict=True)):
            images[place] = self._replace(row, image) if isinstance(image, UnreadableImage) else image
        return images

    def load(self):
        images = np.empty((len(self), *self.image_shape), np.uint8)
        good, bad = [], {}
        for row, image in self._each(self._decode, "decoding"):
            if isinstance(image, UnreadableImage):
                bad[self.ids[row]] = image
            else:
                images[len(good)] = image
                good.append(row)
        readable = self._without(bad, good)
        loaded = ArrayImages(images[: len(good)], self.name, readable.ids, readable.labels, self.class_names)
        loaded.skipped = readable.skipped
        return loaded

    def checked(self):
        good, bad = [], {}
        for row, error in self._each(self._check, "checking"):
            if error is None:
                good.append(row)
            else:
                bad[self.ids[row]] = error
        return self._without(bad, good)

    def _decode(self, row):
        """The square, or UnreadableImage as a value: raised, it would end the whole map of the pool."""
        try:
            return read_square(self.open(self.ids[row]), self.side)
        except UnreadableImage as error:
            return error

    def _check(self, row):
        try:
            check_header(self.open(self.ids[row]))
        except UnreadableImage as error:
            return error
        return None

    def _each(self, function, verb):
        """Yield (row, function(row)) in order, computed by threads; a progress bar comes after 2 seconds."""
        bar = tqdm(total=len(self), desc=f"{verb} {self.name}", unit=" images", delay=2, leave=False)
        with bar as progress:
            for start in range(0, len(self), CHUNK):
                rows = range(start, min(start + CHUNK, len(self)))
                yield from zip(rows, threads().map(function, rows), strict=True)
                progress.update(len(rows))

    def _without(self, bad, good):
        """The good rows; the bad ones are counted and named in one line of the log."""
        if not bad:
            return self
        named = "; ".join(f"{shown(image_id)} ({error})" for image_id, error in list(bad.items())[:5])
        rest = f"; and {len(bad) - 5} more" if len(bad) > 5 else ""
        if not good:
            raise InputError(
                f"data.path: none of the {len(self)} image files of {self.root} can be decoded, such as "
                f"{named}; give a folder of intact images"
            )
        counts = f"{len(bad)} of {len(self)} images of {self.name}"
        log.warning("%s cannot be decoded and are skipped: %s%s", counts, named, rest)
        kept = self.take(good)
        kept.skipped = {name: str(error) for name, error in bad.items()}
        return kept

    def _replace(self, row, error):
        name = self.ids[row]
        for step in range(1, min(len(self), MAX_REPLACEMENTS)):
            other = (row + step) % len(self)
            image = self._decode(other)
            if not isinstance(image, UnreadableImage):
                taker = self.ids[other]
                names = shown(name), self.name, error, shown(taker)
                log.warning("%s of %s cannot be decoded (%s); %s takes its place", *names)
                self.ids[row] = taker
                if self._labels is not None:
                    self._labels[row] = self._labels[other]
                return image
        raise InputError(
            f"data.path: {shown(name)} of {self.root} and the files after it cannot be decoded any more ({error}); "
            "check that the folder is still there"
        )


def write_unreadable(path, *image_sets):
    """Write a line "name: reason" to `path` for every image that these sets have left out; no file if there is none."""
    lines = [f"{shown(name)}: {why}\n" for images in image_sets if images for name, why in images.skipped.items()]
    if lines:
        with replacing(path) as partial:
            partial.write_text("".join(lines), encoding="utf-8")
        log.warning("all that are skipped are named in %s", path)
    else:
        path.unlink(missing_ok=True)  # of an earlier time


def shown(name):
    """A file name fit for a line of text: what is no printable character, or not even one, is escaped."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(name))


@functools.cache
def threads():
    """One pool for the process: Pillow decodes and resizes outside the interpreter lock."""
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="decode")
