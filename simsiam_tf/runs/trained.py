"""The whole method of a finished run: its encoder, and the heads that only its checkpoints have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simsiam_tf.errors import InputError
from simsiam_tf.interop.formats import BARE
from simsiam_tf.methods import Method
from simsiam_tf.runs.build import build_method
from simsiam_tf.runs.checkpoint import restore
from simsiam_tf.runs.checkpointer import method_variables
from simsiam_tf.runs.folder import RunFolder
from simsiam_tf.runs.labelled import learns_labels
from simsiam_tf.runs.teacher import load_teacher
from simsiam_tf.settings import files


@dataclass(frozen=True)
class Trained:
    """A method, and what its weights have seen: epochs, and batches that its BatchNorms were given."""

    method: Method
    epoch: int
    batches: int


def untrained_method(folder: RunFolder) -> Method:
    """A fresh method of the run's configuration, as its seed draws it."""
    config = files.read(folder.config)
    num_classes = folder.load_classifier().output_shape[-1] if learns_labels(config) else None
    teacher = load_teacher(config, folder.teacher)
    return build_method(config, steps_per_epoch=1, num_images=1, num_classes=num_classes, teacher=teacher)


def trained_method(folder: RunFolder, backbone) -> Trained:
    """Backbone and heads of a finished run; its targets, queues and banks are new.

    Args:
        backbone: What `folder.load_backbone()` gave; of averaged weights it is the average.

    Raises:
        InputError: the run has no checkpoint, or its newest is not that of the finished run.
    """
    config, model = files.read(folder.config), untrained_method(folder)
    learned = learns_labels(config)
    imported = folder.load_imported(model)
    epoch, batches = (imported.about.get("epoch", 0), imported.batches) if imported else (0, 0)
    checkpoints = folder.checkpoint_folder(1)
    kept = (checkpoints.best() if learned else None) or checkpoints.newest()
    if kept:
        arrays, meta = kept
        restore(arrays, method_variables(model), partly=True)
        epoch += meta["rows"][-1]["epoch"] if meta["rows"] else 0
        batches += model.batches_per_step * int(model.step.numpy())
    elif not imported:
        raise InputError(
            f"RUN: {folder.path} has no checkpoint to take the heads from; give one that has, or do with its backbone "
            f"(export --format {BARE[type(config.backbone)]})"
        )
    here, judged = model.encoder.get_weights(), backbone.get_weights()
    if not all(np.array_equal(a, b, equal_nan=True) for a, b in zip(here, judged, strict=True)):
        raise InputError(f"RUN: {folder.path} is being trained on; finish its training with the same command")
    model.backbone.set_weights(judged)
    return Trained(model, epoch, batches)
