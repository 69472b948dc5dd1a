"""Where the records of TFRecord files lie, and their labels as far as they have been read."""

import os
import struct

import numpy as np

from simsiam_tf.data.files import threads
from simsiam_tf.data.remembered import MANY, Remembered

UNKNOWN = np.iinfo(np.int64).min  # no label


class RecordIndex:
    """The records of some files, in their order; remembered until one of these has another size or time.

    A label stands behind its picture, so reading the labels of a set means reading all of it.

    Args:
        name: of the set, for the cache.
        paths: of the files.

    Attributes:
        places: int64 (n, 2), offset and length of each record in bytes.
        labels: int64 (n,), to be filled in; `UNKNOWN` where one has not been read.
    """

    def __init__(self, name, paths):
        self.paths = paths
        states = [(path, found.st_size, found.st_mtime_ns) for path in paths for found in [os.stat(path)]]
        self._kept = Remembered(f"records/{name}", repr(states).encode(errors="surrogateescape"))
        found = self._kept.read()
        known = found.keys() >= {"starts", "places", "labels"}
        if not known:
            places = list(threads().map(_record_places, paths))
            starts = np.cumsum([0, *map(len, places)])
            found = {"starts": starts, "places": np.concatenate(places), "labels": np.full(starts[-1], UNKNOWN)}
        self._starts, self.places, self.labels = found["starts"], found["places"], found["labels"]
        if not known:
            self.keep()

    def rows(self, number):
        """Rows of the index that the file of this number holds."""
        return np.arange(self._starts[number], self._starts[number + 1])

    def record(self, row):
        """Its bytes."""
        offset, length = self.places[row]
        with open(self.paths[np.searchsorted(self._starts, row, side="right") - 1], "rb") as file:
            file.seek(offset)
            return file.read(length)

    def keep(self):
        """Remember what is known by now, if there is much of it."""
        if len(self.labels) >= MANY:
            self._kept.write(starts=self._starts, places=self.places, labels=self.labels)


def _record_places(path):
    """Offset and length of every record of a TFRecord file, int64 (n, 2), from the bytes before each."""
    places = []
    size = os.path.getsize(path)
    with open(path, "rb", buffering=0) as file:
        start = 0
        while start + 12 <= size:
            (length,) = struct.unpack("<Q", os.pread(file.fileno(), 8, start))
            places.append((start + 12, length))
            start += length + 16  # length and its checksum, data, and the data's checksum
    return np.array(places, np.int64).reshape(-1, 2)
