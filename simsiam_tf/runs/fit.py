"""Training from the model's present step to the end: one `fit` for each part that is of one kind."""

from __future__ import annotations

import functools
import re
import time

import keras
import tensorflow as tf

from simsiam_tf.data import training_batches
from simsiam_tf.data.service import Servers
from simsiam_tf.errors import InputError
from simsiam_tf.runs.build import build_augmenter, steps_per_execution, view_stages
from simsiam_tf.runs.watchers import Watchers
from simsiam_tf.runs.workers import Workers
from simsiam_tf.settings.schema import Config


class EndOfPart(keras.callbacks.Callback):
    """Ends `fit` after so many epochs of the run, which is not at its end; what comes after them is another fit."""

    def __init__(self, epochs):
        super().__init__()
        self.epochs = epochs

    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 == self.epochs:
            self.model.stop_training = True


def fit(config: Config, model, images, watchers: Watchers, workers: Workers, steps_per_epoch: int, order=None) -> float:
    """Train to the end; returns the seconds it took this time.

    A run that was stopped inside an epoch first does the rest of that epoch. Each size of views is a fit of its own.

    Args:
        images: ImageSet to train on.
        order: As `training_batches` takes it.
    """
    start, total = time.monotonic(), config.optimizer.epochs * steps_per_epoch
    last = min(total, config.training.stop_after_steps or total)
    stages, drawn = view_stages(config), None
    labelled = bool(watchers.probes) or "labels" in model.reads
    servers = Servers(config.data.servers, images) if config.data.servers else None

    def batches(step, part, parts):
        size, reads = config.optimizer.batch_size, {"with_labels": labelled, "with_rows": "rows" in model.reads}
        where = {"part": part, "parts": parts, "servers": servers}
        return training_batches(images, size, config.seed, step, **reads, **where, order=order)

    try:
        while (step := int(model.step.numpy())) < last and not watchers.stop.over:
            epoch, done = divmod(step, steps_per_epoch)
            steps = min(steps_per_epoch - done, last - step)
            whole = steps == steps_per_epoch
            stage_end, size = next(stage for stage in stages if epoch < stage[0])
            if config.augmentation.view_sizes and size != drawn:
                model.use_augmenter(build_augmenter(config, size))
                drawn = size
            model.steps_per_execution = steps_per_execution(config, steps)
            model.fit(
                workers.batches(functools.partial(batches, step)),
                initial_epoch=epoch,
                epochs=last // steps_per_epoch if whole else config.optimizer.epochs,
                steps_per_epoch=steps,
                callbacks=[EndOfPart(stage_end if whole else epoch + 1), *watchers.callbacks],
                shuffle=False,
                verbose=0,
            )
    except tf.errors.OpError as error:
        raise one_line(error) from error
    finally:
        watchers.close()
    return time.monotonic() - start


def one_line(error: tf.errors.OpError) -> Exception:
    """What a user did not do wrong stays as it is; bad data, met in TensorFlow's threads, are named."""
    if found := re.search(r"InputError: (.*)", str(error)):
        return InputError(found[1])
    return error
