"""The order of a run's training images, and the permutation that its folder keeps for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from simsiam_tf.atomic import replacing
from simsiam_tf.data.order import ContinualOrder, EpochOrder, drawn_permutation, read_permutation
from simsiam_tf.runs.workers import Workers
from simsiam_tf.settings.schema import Config


def training_order(config: Config, num_images: int, folder, workers: Workers) -> EpochOrder | ContinualOrder:
    """What gives each step its rows, the same in all workers.

    Args:
        folder: RunFolder; only that of the first worker is looked at.

    Raises:
        InputError: a chunk is smaller than a batch, or the permutation is not one of so many images.
    """
    d, batch_size, epochs = config.data, config.optimizer.batch_size, config.optimizer.epochs
    if d.order == "epochs":
        return EpochOrder(num_images, batch_size, config.seed)
    own = kept_permutation(config, num_images, folder) if workers.chief else np.zeros(num_images, np.int64)
    permutation = np.asarray(workers.from_chief(own), np.int64)
    kind = "single_pass" if d.order == "hybrid" else d.order
    several = d.chunks, d.rounds, d.switch(epochs), d.repeat_batch
    return ContinualOrder(permutation, batch_size, config.seed, kind, epochs, *several)


def kept_permutation(config: Config, num_images: int, folder) -> np.ndarray:
    """Of a run that goes on, the one in its folder; one that begins puts there what is given, or drawn by its seed."""
    if folder.checkpoint_folder(1).files():
        return read_permutation(folder.permutation, num_images)
    given = config.data.permutation
    found = (
        drawn_permutation(num_images, config.seed)
        if given is None
        else read_permutation(Path(given).expanduser(), num_images)
    )
    with replacing(folder.permutation) as partial:
        np.save(partial, found)
    return found
