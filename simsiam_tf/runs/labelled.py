"""Which labels a run learns from, and which of them tell it when to end."""

from __future__ import annotations

import numpy as np

from simsiam_tf.data import Splits, holdout
from simsiam_tf.errors import InputError
from simsiam_tf.evaluation.protocol import label_subset
from simsiam_tf.settings.methods.classifier import LabelSettings
from simsiam_tf.settings.schema import Config


def learns_labels(config: Config) -> bool:
    return isinstance(config.method, LabelSettings)


def labelled(config: Config, splits: Splits) -> Splits:
    """What a run trains on and what its monitors look at: for one that learns from labels, no test images.

    Its training images come as many times over as all of them would come once, so that an epoch has the same steps
    whatever the share of the labels. The held-out ones stand in the place of the test images; None where there are too
    few labels for any.

    Raises:
        InputError: there are no labels, or all are of one class.
    """
    if not learns_labels(config):
        return splits
    m, images = config.method, splits.train
    if images.labels is None:
        raise InputError(
            f"data.source: {images.name} has no labels, which a {m.name} learns from; give class sub-folders, or an "
            "array of labels"
        )
    if images.labels.min() == images.labels.max():
        raise InputError(f"data.source: {images.name} has labels of one class only; give images of two or more")
    n = len(images)
    rows = label_subset(images.labels, m.labels if m.labels <= 1 else min(1, m.labels / n), m.subset, config.seed)
    rest, held = _held_out(images.labels[rows], m.held_out, config.seed)
    times = max(1, round(n / len(rows)))
    return Splits(images.take(np.tile(rows[rest], times)), images.take(rows[held]) if len(held) else None)


def _held_out(labels, fraction, seed):
    """Places (rest, held out): rounded for each class, of which one stays in the rest; none, if no class has enough."""
    counts = np.unique_counts(labels).counts
    if not np.any((counts > 1) & (fraction * counts >= 0.5)):
        return np.arange(len(labels)), np.empty(0, int)
    return holdout(labels, fraction, seed, stream="early")


def class_names(images) -> list[str]:
    """A name for each class of a labelled set: its own, or its number."""
    return list(images.class_names or map(str, range(int(images.labels.max()) + 1)))
