"""The whole state of a training run in one file, written so that a crash at any moment leaves a good one behind.

A checkpoint is an .npz (a zip of plain arrays, with a CRC-32 each; nothing in it is executed on loading).
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import tensorflow as tf

from simsiam_tf.errors import InputError, unwritable

log = logging.getLogger("simsiam_tf.checkpoint")
META = "meta"


class CorruptCheckpoint(Exception):
    """The file is truncated, altered, or no checkpoint at all."""


def save(path: Path, arrays: dict[str, np.ndarray], meta: dict) -> None:
    """Write arrays and a JSON-able dict to `path`: to a temporary file first, flushed to disk, then renamed.

    Raises:
        InputError: the disk is full or the folder cannot be written to; what was at `path` before is intact.
    """
    partial = path.with_suffix(".tmp")
    try:
        with partial.open("wb") as file:
            np.savez(file, **arrays, **{META: np.array(json.dumps(meta))})
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise unwritable(path, error) from error


def load(path: Path) -> tuple[dict[str, np.ndarray], dict]:
    """Arrays and dict of a checkpoint.

    Raises:
        CorruptCheckpoint: the file does not read back as it was written.
    """
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return arrays, json.loads(str(arrays.pop(META)))
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, NotImplementedError) as error:
        raise CorruptCheckpoint(f"{path}: {error}") from error


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
        """Save as the newest, and as the best if it is; then drop what is too old."""
        self.path.mkdir(parents=True, exist_ok=True)
        path = self.path / f"step-{step:010d}.npz"
        save(path, arrays, meta)
        if best:
            partial = self.path / "best.tmp"
            partial.unlink(missing_ok=True)
            try:
                os.link(path, partial)
            except OSError:  # a file system without hard links
                shutil.copyfile(path, partial)
            os.replace(partial, self.path / "best.npz")
        for old in self.files()[self.keep :]:
            old.unlink()
        return path

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


def collect(groups: dict[str, list]) -> dict[str, np.ndarray]:
    """Values of groups of variables, under names that keep their order."""
    return {
        f"{group}/{i:05d}": tf.convert_to_tensor(v).numpy()
        for group, variables in groups.items()
        for i, v in enumerate(variables)
    }


def restore(arrays: dict[str, np.ndarray], groups: dict[str, list]) -> None:
    """Assign what `collect` gave.

    Raises:
        InputError: the arrays are not those of these variables; nothing was assigned.
    """
    wanted = {f"{group}/{i:05d}": v for group, variables in groups.items() for i, v in enumerate(variables)}
    if wanted.keys() != arrays.keys():
        difference = sorted(wanted.keys() ^ arrays.keys())
        raise InputError(f"checkpoint: it is of another model (differs at {difference[0]}); use another run name")
    for name, variable in wanted.items():
        if tuple(variable.shape) != arrays[name].shape:
            raise InputError(
                f"checkpoint: {variable.path} has shape {arrays[name].shape} there, {tuple(variable.shape)} here; "
                "use another run name"
            )
    for name, variable in wanted.items():
        variable.assign(arrays[name])
