"""Files that are there whole or not at all, whatever ends the process while it writes them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from simsiam_tf.errors import unwritable

PARTIAL = "partial-"  # begins the names of files that are being written, or that a kill has left behind


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to, of the same ending; when all is written, it takes the place of `path`.

    Raises:
        InputError: the disk is full or the folder cannot be written to; what was at `path` before is intact.
    """
    partial = path.with_name(PARTIAL + path.name)
    try:
        partial.unlink(missing_ok=True)  # it may be a second name of a file that is whole
        yield partial
        os.replace(partial, path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
