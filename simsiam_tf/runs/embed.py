"""Features of images as a table: Parquet or .npz, one row per image with its id, its label if any, and its features."""

import os
from pathlib import Path

import numpy as np

from simsiam_tf.atomic import replacing
from simsiam_tf.data.files import write_unreadable
from simsiam_tf.evaluation.features import CHECKED, Extractor

GROUP = 8192  # rows of Parquet that are written at once, which takes 1.6 times as much memory as they do


def embed(backbone, images, crop: int, path: Path, batch_size: int = 256) -> np.ndarray:
    """Write the features of an ImageSet; columns id (str), label (int64, if any), features (list of float32).

    Where classes have names, Parquet has them as a dictionary column class_name, .npz as an array class_names, which
    labels are places in.
    An id is a file's path as Python lists it, newlines and all. Parquet's strings are UTF-8: where a path is not, its
    other bytes are escaped there, and a column id_bytes (binary) has all paths as they are on disk.
    Images that were left out are named beside the file.

    Args:
        backbone: Keras model, pixels -> (n, d).
        images: ImageSet.
        crop: Side of the centre crop that the encoder sees.
        path: .parquet or .npz.

    Returns:
        The features (n, d).

    Raises:
        InputError: the file cannot be written.
    """
    rows, features = outputs(backbone, images, crop, path, batch_size)
    columns = {"id": images.ids[rows]}
    if images.labels is not None:
        columns["label"] = images.labels[rows]
    names = None if images.labels is None else images.class_names
    with replacing(path) as partial:
        if path.suffix == ".npz":
            named = {} if names is None else {"class_names": np.array(names)}
            columns["id"] = np.array(columns["id"].tolist())  # NumPy writes no other strings without pickle
            np.savez(partial, **columns, **named, features=features)
        else:
            _write_parquet(columns, names, features, partial)
    return features


def outputs(network, images, crop: int, path: Path, batch_size: int):
    """Numbers (m,) of the images of a set that could be read, and what a network makes of them, (m, d).

    The others are named beside the file at `path`.
    """
    write_unreadable(path.with_name(f"{path.name}.unreadable.txt"), images)
    return distinct(images, Extractor(network)(images.batches(batch_size, crop=crop), len(images)))


def distinct(images, features):
    """The first row of each id, in order, and the features (m, d) of these, which take the place of the first.

    A streamed file that turned out unreadable was replaced by a neighbour, which must not count twice.
    """
    rows = np.sort(np.unique(images.ids, return_index=True)[1])
    for start in range(0, len(rows) if len(rows) < len(features) else 0, CHECKED):  # they may be a file
        some = rows[start : start + CHECKED]
        features[start : start + len(some)] = features[some]
    return rows, features[: len(rows)]


def id_columns(ids: np.ndarray) -> dict[str, list]:
    """Columns of a Parquet table that say which picture a row is of: id, and id_bytes where one is not UTF-8."""
    columns = {"id": [utf8(name) for name in ids.tolist()]}
    if columns["id"] != ids.tolist():
        columns["id_bytes"] = [os.fsencode(name) for name in ids.tolist()]
    return columns


def utf8(name: str) -> str:
    """A name, the bytes of it that are not UTF-8 escaped."""
    return os.fsencode(name).decode(errors="backslashreplace")


def _write_parquet(columns, names, features, path):
    import pyarrow as pa  # only this format needs it

    if names is not None:
        places = pa.array(columns["label"], pa.int32())
        columns = columns | {"class_name": pa.DictionaryArray.from_arrays(places, pa.array(map(utf8, names)))}
    values = pa.array(features.ravel(), pa.float32())
    write_table(columns | {"features": pa.FixedSizeListArray.from_arrays(values, features.shape[1])}, path)


def write_table(columns: dict, path: Path) -> None:
    """Write Parquet, its column "id" as `id_columns` has it."""
    import pyarrow as pa
    import pyarrow.parquet

    pyarrow.parquet.write_table(pa.table(columns | id_columns(columns["id"])), path, row_group_size=GROUP)
