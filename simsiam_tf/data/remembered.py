"""What one process has found out about a set of images and the next need not: arrays in the user's cache folder."""

import logging
import os
import zipfile
from hashlib import sha256
from pathlib import Path

import numpy as np

from simsiam_tf.atomic import replacing
from simsiam_tf.errors import InputError

log = logging.getLogger("simsiam_tf.data")
MANY = 10_000  # images: what takes longer to find out about so many than to read from the cache is kept
AT_ONCE = 100_000  # images that are looked at between two times that what is known is kept


def cache_folder():
    """$XDG_CACHE_HOME/simsiam_tf, by default ~/.cache/simsiam_tf; may be deleted at any time."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "simsiam_tf")


class Remembered:
    """Arrays by name, kept for a key.

    Args:
        kind: of what they are: a folder of the cache.
        key: bytes that change when the arrays do.
    """

    def __init__(self, kind, key):
        self.path = cache_folder() / kind / f"{sha256(key).hexdigest()[:32]}.npz"

    def read(self):
        """{name: array}, empty if nothing is kept or it cannot be read."""
        try:
            with open(self.path, "rb") as file, np.load(file, allow_pickle=False) as content:
                return dict(content)
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
            return {}

    def write(self, **arrays):
        """Keep these in place of those before; without a place to write to nothing is kept, and that is said."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(self.path) as partial:
                np.savez(partial, **arrays)
        except (OSError, InputError) as error:
            log.info("not kept for the next time: %s", error)
