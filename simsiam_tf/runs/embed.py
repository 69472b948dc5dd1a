"""Features of images as a table: Parquet or .npz, one row per image with its id, its label if any, and its features."""

from pathlib import Path

import numpy as np

from simsiam_tf.atomic import replacing
from simsiam_tf.data.files import shown, write_unreadable
from simsiam_tf.evaluation.features import Extractor


def embed(backbone, images, crop: int, path: Path, batch_size: int = 256) -> np.ndarray:
    """Write the features of an ImageSet; columns id (str), label (int64, if any), features (list of float32).

    What is no printable character of an id is escaped. Images that were left out are named beside the file.

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
    write_unreadable(path.with_name(f"{path.name}.unreadable.txt"), images)
    features = Extractor(backbone)(images.batches(batch_size, crop=crop))
    # A streamed file that turned out unreadable was replaced by a neighbour, which must not count twice.
    _, rows = np.unique(images.ids, return_index=True)
    rows.sort()
    features = features[rows]
    columns = {"id": np.array([shown(name) for name in images.ids[rows]])}
    if images.labels is not None:
        columns["label"] = images.labels[rows]
    with replacing(path) as partial:
        if path.suffix == ".npz":
            np.savez(partial, **columns, features=features)
        else:
            _write_parquet(columns, features, partial)
    return features


def _write_parquet(columns, features, path):
    import pyarrow as pa  # only this format needs it
    import pyarrow.parquet

    values = pa.array(features.ravel(), pa.float32())
    table = pa.table(columns | {"features": pa.FixedSizeListArray.from_arrays(values, features.shape[1])})
    pyarrow.parquet.write_table(table, path)
