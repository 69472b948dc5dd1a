"""A look at the files that settings name, before TensorFlow is imported and before anything is written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from simsiam_tf.errors import InputError
from simsiam_tf.settings.data import PERMUTATION, PLACES, DataSettings
from simsiam_tf.settings.methods.distillation import DistillationSettings

TEACHER = "teacher.keras"  # in a run's folder
BEGAN_WITH = "began_with.json"  # names the run whose encoder a classifier began with, as seen from its own folder
SUFFIXES = (".parquet", ".npz")


def check_data(data) -> None:
    """Refuse a `data.path` where nothing of the kind is.

    Args:
        data: Anything with source, name and path.

    Raises:
        InputError: the source needs a name or a path, or there is nothing at it that it could read.
    """
    if data.source == "tfds" and data.name is None:
        raise InputError("data.name: none given, but data.source tfds needs one; give a TFDS name such as cifar10")
    place = PLACES[data.source]
    if place is None:
        return
    if data.path is None:
        raise InputError(f"data.path: none given, but data.source {data.source} needs one; give {place.words}")
    path = Path(data.path).expanduser()
    if not (path.is_dir() if place.endings else path.is_file()):
        missing = "is not there" if not path.exists() else "is of another kind"
        raise InputError(f"data.path: {path} {missing}; give {place.words}")
    if place.endings and not any(name.lower().endswith(place.endings) for _, names in files_in(path) for name in names):
        found = "has no files of these types" if os.access(path, os.R_OK | os.X_OK) else "cannot be opened"
        raise InputError(f"data.path: {path} {found}; give {place.wanted}")


def check_permutation(config) -> None:
    """Refuse a `data.permutation` that is not there, unless the run has begun and keeps its own.

    Raises:
        InputError: there is no such file.
    """
    given = config.data.permutation
    if given is not None and not Path(given).expanduser().is_file() and not (config.folder / PERMUTATION).is_file():
        raise InputError(f"data.permutation: {given} is not there; give a file that numpy.save has written")


def check_teacher(config) -> None:
    """Refuse a `method.teacher` that is no encoder, unless the folder of this Config's run has its copy already.

    Raises:
        InputError: as `teacher_file`.
    """
    if isinstance(config.method, DistillationSettings) and not (config.folder / TEACHER).is_file():
        teacher_file(config.method.teacher)


def teacher_file(given: str | None) -> Path:
    """The .keras file that a `method.teacher` means: itself, or the encoder of a finished run's folder.

    Raises:
        InputError: there is none.
    """
    way_out = "give the folder of a finished run, or a .keras file"
    if given is None:
        raise InputError(f"method.teacher: none given; {way_out}")
    path = Path(given).expanduser()
    if not path.exists():
        raise InputError(f"method.teacher: {path} is not there; {way_out}")
    file = path / "backbone.keras" if path.is_dir() else path
    if not file.is_file() or file.suffix != ".keras":
        found = f"has no {file.name} yet" if path.is_dir() else "is of another kind"
        raise InputError(f"method.teacher: {path} {found}; {way_out}")
    return file


def files_in(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Each folder in this one, "" for itself, with the names of its files; hidden ones are left out, links followed."""
    visited = set()
    for directory, names, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(directory)
        if real in visited:  # A link to a folder above would be walked for ever.
            names.clear()
            continue
        visited.add(real)
        # Sorted, so that of two links to one folder the same one counts on every host.
        names[:] = sorted(name for name in names if not name.startswith("."))
        inside = Path(directory).relative_to(folder)
        yield inside.as_posix() if inside.parts else "", [name for name in files if not name.startswith(".")]


def check_output(path: Path, suffixes: tuple[str, ...] = SUFFIXES) -> Path:
    """`path` if it can be written to in a known format.

    Raises:
        InputError: unknown ending or missing folder.
    """
    if path.suffix not in suffixes:
        wrong = f"ends in neither {' nor '.join(suffixes)}" if len(suffixes) > 1 else f"does not end in {suffixes[0]}"
        raise InputError(f"output: {path} {wrong}; give {'one of these' if len(suffixes) > 1 else 'a name that does'}")
    if not path.parent.is_dir():
        raise InputError(f"output: folder {path.parent} does not exist; make it first")
    return path


def check_images(where: str) -> None:
    """Refuse images to embed that are not there: "train" or "test" of the run's own, an .npz or .npy file, or a folder.

    Raises:
        InputError: there is nothing of the kind.
    """
    if where not in ("train", "test"):
        source = "arrays" if where.endswith((".npz", ".npy")) else "folder"
        check_data(DataSettings(source=source, path=where))


def check_picture(path: Path) -> Path:
    """`path` if it is a file.

    Raises:
        InputError: it is not.
    """
    if not path.is_file():
        missing = "is not there" if not path.exists() else "is of another kind"
        raise InputError(f"query: {path} {missing}; give a picture file")
    return path
