"""The features of a finished run for TensorBoard's projector: points with their pictures and labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from simsiam_tf.atomic import replacing
from simsiam_tf.data.files import shown
from simsiam_tf.evaluation.features import Extractor
from simsiam_tf.runs.label_free import spaced

PICTURES, TILE = 2000, 64  # at most so many, of a side of so many pixels at most: a sprite of 8,192 px is the limit


def write_projector(folder: Path, backbone, images, side: int) -> None:
    """Write the projector's files into the folder of a TensorBoard run; its row i is tile i and line i.

    Args:
        backbone: Keras model, pixels -> (n, d).
        images: ImageSet of which at most 2,000, evenly spaced, are shown.
        side: Of the pictures that the backbone gets.
    """
    from tensorboard.plugins import projector

    folder.mkdir(parents=True, exist_ok=True)
    images = images.take(spaced(len(images), PICTURES))
    tiles = []

    def tile(batch):
        tiles.append(tf.image.resize(batch, (min(side, TILE),) * 2, method="area").numpy())

    features = Extractor(backbone).of(images, side, tile)
    contents = {
        "features.tsv": "".join("\t".join(f"{value:.4g}" for value in row) + "\n" for row in features),
        "metadata.tsv": metadata(images),
        "sprite.png": sprite(np.concatenate(tiles)),
    }
    for name, content in contents.items():
        with replacing(folder / name) as partial:
            partial.write_bytes(content if isinstance(content, bytes) else content.encode())
    config = projector.ProjectorConfig()
    embedding = config.embeddings.add(tensor_name=f"features of {images.name}", tensor_path="features.tsv")
    embedding.metadata_path, embedding.sprite.image_path = "metadata.tsv", "sprite.png"
    embedding.sprite.single_image_dim.extend([min(side, TILE)] * 2)
    projector.visualize_embeddings(str(folder), config)


def metadata(images) -> str:
    """A line for each image: its class, where there are labels, and its id. One column alone bears no header."""
    if images.labels is None:
        return "".join(f"{shown(each)}\n" for each in images.ids)
    names = images.class_names or np.arange(images.labels.max() + 1)
    rows = [(names[label], each) for label, each in zip(images.labels, images.ids, strict=True)]
    return "".join(f"{shown(name)}\t{shown(each)}\n" for name, each in [("class", "image"), *rows])


def sprite(tiles: np.ndarray) -> bytes:
    """A PNG of tiles (n, h, w, 3) in rows of equal length, as square as can be; what is left of it is white."""
    n, h, w, _ = tiles.shape
    columns = int(np.ceil(np.sqrt(n)))
    rows = -(-n // columns)
    full = np.full((rows * columns, h, w, 3), 255, np.uint8)
    full[:n] = np.rint(tiles)
    sheet = full.reshape(rows, columns, h, w, 3).transpose(0, 2, 1, 3, 4).reshape(rows * h, columns * w, 3)
    return tf.io.encode_png(sheet).numpy()
