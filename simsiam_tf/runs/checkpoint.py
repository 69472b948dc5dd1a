"""The whole state of a training run in one file, written so that a crash at any moment leaves a good one behind.

A checkpoint is an .npz (a zip of plain arrays; nothing in it is executed on loading) and behind it the SHA-256 of all
that: a zip's own CRC-32 leaves out names, sizes and the directory, and a flipped bit there would ask for any memory.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import tensorflow as tf

from simsiam_tf.atomic import PARTIAL, replacing
from simsiam_tf.errors import InputError, unwritable

log = logging.getLogger("simsiam_tf.checkpoint")
META = "meta"
DIGEST = 32  # bytes


class CorruptCheckpoint(Exception):
    """The file is cut, altered, or no checkpoint at all."""


def save(path: Path, arrays: dict[str, np.ndarray], meta: dict) -> None:
    """Write arrays and a JSON-able dict to `path`: to a temporary file first, flushed to disk, then renamed.

    Raises:
        InputError: the disk is full or the folder cannot be written to; what was at `path` before is intact.
    """
    with replacing(path) as partial, partial.open("w+b") as file:
        np.savez(file, **arrays, **{META: np.array(json.dumps(meta))})
        file.write(_sha256(file, file.tell()))
        file.flush()
        os.fsync(file.fileno())


def load(path: Path) -> tuple[dict[str, np.ndarray], dict]:
    """Arrays and dict of a checkpoint.

    Raises:
        CorruptCheckpoint: the file does not read back as it was written.
        InputError: the file cannot be read at all.
    """
    try:
        with path.open("rb") as file:
            end = max(0, file.seek(0, os.SEEK_END) - DIGEST)
            if _sha256(file, end) != file.read():
                raise CorruptCheckpoint(f"{path}: its SHA-256 is not that of its content")
            file.seek(0)
            with np.load(file, allow_pickle=False) as content:
                arrays = dict(content)
        return arrays, json.loads(str(arrays.pop(META)))
    except OSError as error:  # says nothing of the content: going on from an older one would drop this one
        raise InputError(
            f"{path}: cannot be read ({error.strerror or error}); see to it and run the same command again"
        ) from error
    except (EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:  # sealed, but none of ours
        raise CorruptCheckpoint(f"{path}: {error}") from error


def _sha256(file, end: int) -> bytes:
    """SHA-256 of the first `end` bytes of an open file, which is left there."""
    digest = hashlib.sha256()
    file.seek(0)
    while end > 0 and (block := file.read(min(end, 1 << 20))):
        digest.update(block)
        end -= len(block)
    return digest.digest()


class CheckpointFolder:
    """The checkpoints of one run: the newest few and the best.

    Args:
        path: The folder; made if missing.
        keep: Number of newest checkpoints that are kept.
    """

    def __init__(self, path: Path, keep: int = 2):
        self.path, self.keep = Path(path), keep

    def files(self) -> list[Path]:
        """Checkpoints by step, the newest first."""
        return sorted(self.path.glob("step-*.npz"), reverse=True)

    def save(self, step: int, arrays: dict, meta: dict, best: bool = False) -> Path:
        """Save as the newest, and as the best if it is; then tidy up.

        The best comes first: a run that is killed between the two does this step again, and best.npz, too.

        Raises:
            InputError: the folder cannot be written to; what it held before is intact.
        """
        path, target = self._file(step), self.path / "best.npz"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(self.path, error) from error
        save(target if best else path, arrays, meta)
        if best:
            with replacing(path) as partial:
                _link(target, partial)
        self.tidy(step)
        return path

    def tidy(self, step: int) -> None:
        """Drop what a run at this step has no use for.

        That are checkpoints which are too old; later ones, since a run that passed over a corrupt checkpoint goes on
        from the one before; and what a kill has left half written.
        """
        files = self.files()
        kept = [path for path in files if path <= self._file(step)][: self.keep]
        for path in [*files, *self.path.glob(f"{PARTIAL}*")]:
            if path not in kept:
                path.unlink(missing_ok=True)

    def _file(self, step: int) -> Path:
        return self.path / f"step-{step:010d}.npz"

    def newest(self) -> tuple[dict, dict] | None:
        """Arrays and dict of the newest checkpoint that reads back; a bad one is named in the log and passed over.

        Raises:
            InputError: there are checkpoints, but none reads back.
        """
        files = self.files()
        for path in files:
            try:
                return load(path)
            except CorruptCheckpoint as error:
                log.warning("passing over a corrupt checkpoint: %s", error)
        if files:
            raise InputError(
                f"{self.path}: none of {len(files)} checkpoints can be read; delete the folder to start anew"
            )
        return None

    def best(self) -> tuple[dict, dict] | None:
        """Arrays and dict of the best checkpoint, if there is one.

        Raises:
            InputError: it cannot be read.
        """
        path = self.path / "best.npz"
        try:
            return load(path) if path.is_file() else None
        except CorruptCheckpoint as error:
            raise InputError(f"checkpoint: {error}; delete the folder of the run to start anew") from error


def _link(path: Path, other: Path) -> None:
    try:
        os.link(path, other)
    except OSError:  # a file system without hard links
        shutil.copyfile(path, other)


def collect(variables: dict) -> dict[str, np.ndarray]:
    """Values of {name: variable}."""
    return {name: tf.convert_to_tensor(variable).numpy() for name, variable in variables.items()}


def restore(arrays: dict[str, np.ndarray], variables: dict, partly: bool = False) -> None:
    """Assign what `collect` gave.

    Args:
        partly: The arrays may be those of more variables than these.

    Raises:
        InputError: the arrays are not those of these variables; nothing was assigned.
    """
    differing = variables.keys() - arrays.keys() if partly else variables.keys() ^ arrays.keys()
    if differing:
        differ = min(differing)
        earlier = "an earlier version wrote it, or " if any(name.endswith("/00000") for name in arrays) else ""
        raise InputError(
            f"checkpoint: {earlier}it is of another model (differs at {differ}); give another --name, or finish the "
            "run with the version that began it"
        )
    for name, variable in variables.items():
        if tuple(variable.shape) != arrays[name].shape:
            raise InputError(
                f"checkpoint: {name} has shape {arrays[name].shape} there, {tuple(variable.shape)} here; "
                "give another --name"
            )
    for name, variable in variables.items():
        variable.assign(arrays[name])


def by_path(owner: str, variables: list, own_name: str | None = None) -> dict:
    """{"owner/path": variable}.

    Args:
        own_name: What paths begin with and is left out, such as a name that Keras numbers; default: `owner`.

    Raises:
        ValueError: two variables of an owner have one path.
    """
    start = f"{own_name or owner}/"
    named = {f"{owner}/{variable.path.removeprefix(start)}": variable for variable in variables}
    if len(named) < len(variables):
        raise ValueError(f"{owner}: two of its variables have one path; give each layer a name of its own")
    return named
