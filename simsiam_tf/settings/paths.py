"""A look at the files that settings name, before TensorFlow is imported and before anything is written."""

from __future__ import annotations

from pathlib import Path

from simsiam_tf.errors import InputError
from simsiam_tf.settings.schema import DataSettings

SUFFIXES = (".parquet", ".npz")
WANTED = {"folder": "a folder of image files", "arrays": "an .npz or .npy file"}


def check_data(data: DataSettings) -> None:
    """Refuse a `data.path` where nothing of the kind is.

    Raises:
        InputError: the source needs a path, or there is nothing at it that it could read.
    """
    if data.source == "tfds" and data.name is None:
        raise InputError("data.name: none given, but data.source tfds needs one; give a TFDS name such as cifar10")
    wanted = WANTED.get(data.source)
    if wanted is None:  # TFDS makes its data_dir, the digits need none
        return
    if data.path is None:
        raise InputError(f"data.path: none given, but data.source {data.source} needs one; give {wanted}")
    path = Path(data.path).expanduser()
    if not (path.is_dir() if data.source == "folder" else path.is_file()):
        missing = "is not there" if not path.exists() else "is of another kind"
        raise InputError(f"data.path: {path} {missing}; give {wanted}")


def check_output(path: Path) -> Path:
    """`path` if it can be written to in a known format.

    Raises:
        InputError: unknown ending or missing folder.
    """
    if path.suffix not in SUFFIXES:
        raise InputError(f"output: {path} ends in neither .parquet nor .npz; give one of these")
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
