"""What a trained classifier comes to: its figures for result.json, and its predictions as a table."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from simsiam_tf.atomic import replacing
from simsiam_tf.evaluation.features import Extractor
from simsiam_tf.runs.embed import outputs, utf8, write_table
from simsiam_tf.runs.labelled import class_names
from simsiam_tf.settings.schema import Config


def classified(config: Config, network, learned, test, kept: dict) -> dict:
    """Of a classifier that is kept, the figures of its labels, its epoch and, for the first time, the test images.

    Args:
        network: Keras model, pixels -> probabilities (n, k).
        learned: What `labelled` gave.
        test: ImageSet, or None.
        kept: Its row of the record: that of the best epoch on the held-out labels, else of the last.

    Returns:
        {"classifier": {"labels": used, held-out ones among them, "held_out", "epoch" and "steps" of the weights that
        are kept, "class_names", and where there are such images "held_out_accuracy" and "test_accuracy"}}.
    """
    train, held = learned
    found = {"labels": len(np.unique(train.ids)) + len(held or ()), "held_out": len(held or ())}
    found |= {"epoch": kept["epoch"], "steps": kept["step"], "class_names": class_names(train)}
    if "val_accuracy" in kept:
        found["held_out_accuracy"] = kept["val_accuracy"]
    if test is not None and test.labels is not None:
        predicted = Extractor(network).of(test, config.data.image_size).argmax(axis=1)
        found["test_accuracy"] = float(np.mean(predicted == test.labels))
    return {"classifier": found}


def predict(network, names: list[str], images, crop: int, path: Path, batch_size: int = 256) -> np.ndarray:
    """Write what a classifier says of each image of an ImageSet; those that were left out are named beside the file.

    Columns: id, predicted (name of the class), probability (of that class), and "p " + name for each class. In CSV
    a name has the bytes that it has on disk; for Parquet see `embed`.

    Args:
        network: Keras model, pixels -> probabilities (n, k).
        names: Of its classes.
        path: .csv or .parquet.

    Returns:
        The probabilities.

    Raises:
        InputError: the file cannot be written.
    """
    rows, probabilities = outputs(network, images, crop, path, batch_size)
    top = probabilities.argmax(axis=1)
    names = names if path.suffix == ".csv" else [utf8(name) for name in names]
    columns = {"id": images.ids[rows], "predicted": np.array(names)[top], "probability": probabilities.max(axis=1)}
    columns |= {f"p {name}": probabilities[:, place] for place, name in enumerate(names)}
    with replacing(path) as partial:
        if path.suffix == ".csv":
            _write_csv(columns, partial)
        else:
            write_table(columns, partial)
    return probabilities


def _write_csv(columns, path):
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*(values.tolist() for values in columns.values()), strict=True))
