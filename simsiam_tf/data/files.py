"""Images that are decoded on demand from files, with bounded memory; bad ones are skipped or replaced."""

import functools
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

from simsiam_tf.atomic import replacing
from simsiam_tf.cores import usable_cores
from simsiam_tf.data.decode import UnreadableImage, check_header, read_images, read_square
from simsiam_tf.data.images import ImageSet
from simsiam_tf.data.loading import CHUNK, Kept
from simsiam_tf.data.remembered import AT_ONCE, MANY, Remembered
from simsiam_tf.data.renderings import placed, to_frame, to_whole
from simsiam_tf.errors import InputError

log = logging.getLogger("simsiam_tf.data")

# So many unreadable files in a row mean that the disk is gone, not that some files are bad.
MAX_REPLACEMENTS = 1000


class FileImages(ImageSet):
    """Image files below the folder `root`; ids are their paths relative to it.

    Args:
        form: the `Form` that they get.
        shape: height and width where all are of one shape; None: each has its own.
    """

    def __init__(self, root, name, form, ids, labels=None, class_names=None, shape=None):
        side, sized = form.of_shape(*shape) if shape else (form.side, True)
        super().__init__(name, side, ids, labels, class_names, form.frame, sized)
        self.root = Path(root)
        self._form, self._sides, self._bad = form, None, {}

    def open(self, image_id):
        """What Pillow can open for this id: a path or a binary file object.

        Raises:
            UnreadableImage: there is something else than a file.
        """
        path = self.root / str(image_id)
        if path.exists() and not path.is_file():
            raise UnreadableImage("not a file")  # a pipe would be waited for
        return path

    def whole(self, indices):
        """As for every ImageSet. An unreadable image is replaced by the next readable row's, for good: the row takes
        over that id and label too, so that images, ids and labels always belong together."""
        squares, sizes = placed(self._read(self._whole, indices), self.side)
        return squares, sizes if self.sized else None

    def frames(self, indices):
        """As for every ImageSet; unreadable images are replaced as in `whole`."""
        return np.stack(self._read(self._frame, indices))

    def load(self):
        kept, good, bad = Kept(self, len(self)), [], {}
        for row, made in self._each(self._attempt(self._both), "decoding"):
            if isinstance(made, UnreadableImage):
                bad[self.ids[row]] = made
            else:
                kept.add(*made)
                good.append(row)
        readable = self._without(bad, good)
        loaded = kept.images(readable.ids, readable.labels, self.class_names)
        loaded.skipped = readable.skipped
        return loaded

    def measured(self):
        self._sides, self._bad = self._longer_sides()
        if self.sized:
            self.side = min(self.side, int(self._sides.max(initial=0)) or self.side)
        return self

    def checked(self):
        bad = {self.ids[row]: error for row, error in self._bad.items()}
        return self if not bad else self._without(bad, np.flatnonzero(self._sides))

    def _longer_sides(self):
        """Longer sides in pixels, int32 (n,), 0 where there is no image; and {row: why} of these.

        Of a large set they are remembered: as long as its names stay the same, only the bad ones are looked at again.
        """
        kept = (
            Remembered("headers", os.fsencode(self.root.resolve()) + self.fingerprint()) if len(self) >= MANY else None
        )
        sides = kept.read().get("sides") if kept else None
        known = sides is not None and sides.shape == (len(self),)
        sides, bad = sides if known else np.zeros(len(self), np.int32), {}
        rows = np.flatnonzero(sides == 0)
        looked_at = self._each(self._attempt(self._header), "checking", rows)
        for count, (row, found) in enumerate(looked_at, start=1):
            if isinstance(found, UnreadableImage):
                bad[row] = found
            else:
                sides[row] = found
            if kept and count > len(bad) and (count % AT_ONCE == 0 or count == len(rows)):
                kept.write(sides=sides)  # what is cut off goes on from there
        return sides, bad

    def _header(self, row):
        return check_header(self.open(self.ids[row]))

    def _whole(self, row):
        if not self.sized:
            return read_square(self.open(self.ids[row]), self.side)
        (image,) = read_images(self.open(self.ids[row]), self._form.need_of_whole)
        return np.asarray(to_whole(image, self.side))

    def _frame(self, row):
        return read_frame(self.open(self.ids[row]), self._form)

    def _both(self, row):
        """What `Kept` keeps of this row."""
        if self.sized and self.views:  # decoded once where that does for both
            needs = self._form.need_of_whole, self._form.need_of_frame
            large, image = read_images(self.open(self.ids[row]), *needs)
            whole, frame = np.asarray(to_whole(large, self.side)), np.asarray(to_frame(image, self.frame))
            return whole[None], whole.shape[:2], frame[None]
        square = self._whole(row)[None] if self.keeps_squares else None
        return square, None, self._frame(row)[None] if self.frames_apart else None

    def _attempt(self, make):
        """`make`, with UnreadableImage as a value: raised, it would end the whole map of the pool."""

        def attempt(row):
            try:
                return make(row)
            except UnreadableImage as error:
                return error

        return attempt

    def _read(self, make, indices):
        """What `make` gives for each of these rows; an unreadable one gives way to the next readable row, for good."""
        found = threads().map(self._attempt(make), indices)
        return [
            self._replace(row, made, make) if isinstance(made, UnreadableImage) else made
            for row, made in zip(indices, found, strict=True)
        ]

    def _each(self, function, verb, rows=None):
        """Yield (row, function(row)) of all rows, or some, in order, computed by threads; a progress bar comes after 2
        seconds."""
        rows = range(len(self)) if rows is None else rows
        with tqdm(total=len(rows), desc=f"{verb} {self.name}", unit=" images", delay=2, leave=False) as progress:
            for start in range(0, len(rows), CHUNK):
                some = rows[start : start + CHUNK]
                yield from zip(some, threads().map(function, some), strict=True)
                progress.update(len(some))

    def _without(self, bad, good):
        """The good rows; the bad ones are counted and named in one line of the log."""
        if not bad:
            return self
        named = "; ".join(f"{shown(image_id)} ({error})" for image_id, error in list(bad.items())[:5])
        rest = f"; and {len(bad) - 5} more" if len(bad) > 5 else ""
        if not len(good):
            raise InputError(
                f"data.path: none of the {len(self)} image files of {self.root} can be decoded, such as "
                f"{named}; give a folder of intact images"
            )
        counts = f"{len(bad)} of {len(self)} images of {self.name}"
        log.warning("%s cannot be decoded and are skipped: %s%s", counts, named, rest)
        kept = self.take(good)
        kept.skipped = {name: str(error) for name, error in bad.items()}
        return kept

    def _replace(self, row, error, make):
        name = self.ids[row]
        for step in range(1, min(len(self), MAX_REPLACEMENTS)):
            other = (row + step) % len(self)
            image = self._attempt(make)(other)
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


def read_frame(file, form):
    """What is evaluated of one file: uint8 (frame, frame, 3) in this `Form`; raises what `read_images` raises."""
    (image,) = read_images(file, form.need_of_frame)
    return np.asarray(to_frame(image, form.frame))


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
    """A file name fit for a line of text: a backslash and what is no printable character, or not even one, is escaped.

    No two names look alike.
    """
    return "".join(c if c.isprintable() and c != "\\" else repr(c)[1:-1] for c in str(name))


@functools.cache
def threads():
    """One pool for the process: Pillow decodes and resizes outside the interpreter lock."""
    return ThreadPoolExecutor(usable_cores(), thread_name_prefix="decode")
