"""A run as TensorBoard shows it: figures over steps, views, configuration and verdict."""

from __future__ import annotations

import contextlib
import errno
import math
import shutil

import keras
import tensorflow as tf

from simsiam_tf.errors import unwritable
from simsiam_tf.evaluation.verdict import judge
from simsiam_tf.runs.build import build_augmenter, view_size
from simsiam_tf.runs.projector import write_projector

LOOKED = ("relative_std", "feature_std", "correlation_strength", "effective_rank")
RUNS = ("train", "validation", "views", "result")
# How a column of metrics.csv ends, or begins, and the group of charts that it is among.
BEGINNINGS = {"features_": "spectrum", "projections_": "spectrum"}
GROUPS = {
    "_accuracy": "accuracy",
    "learning_rate": "learning_rate",
    "images_per_second": "speed",
    "epoch_seconds": "speed",
    "energy_kwh": "energy",
}


class EventFiles(keras.callbacks.Callback):
    """Writes what RunRecord and CollapseMonitor know, by training step; put it after both.

    A run that goes on begins its part of the folder anew from what its checkpoint knows. So every figure stands there
    once, whatever was written after that checkpoint, or was not.

    Args:
        config: Of the run.
        folder: RunFolder.
        record: RunRecord.
        monitor: CollapseMonitor, or None.
        views: ViewImages, which is called here, not by `fit`.
        steps_per_epoch: Of the run.
    """

    def __init__(self, config, folder, record, monitor, views, steps_per_epoch):
        super().__init__()
        self.config, self.folder, self.steps_per_epoch = config, folder, steps_per_epoch
        self.record, self.monitor, self.views = record, monitor, views
        self._writers, self._looked, self._verdict = {}, 0, None

    def set_model(self, model):
        super().set_model(model)
        self.views.set_model(model)

    def begin(self, model):
        """Write anew what is known at the model's present step."""
        self.set_model(model)
        with self._writable():
            for name in RUNS:  # what else lies there is not ours
                if (self.folder.tensorboard / name).exists():
                    shutil.rmtree(self.folder.tensorboard / name)
        self._text("train", "configuration", f"```yaml\n{self.folder.config.read_text()}```", 0)
        for row in self.record.rows:
            self._write_row(row)
        self._write_looks()
        for epoch in range(0, math.ceil(int(model.step.numpy()) / self.steps_per_epoch), self.views.every):
            if self.config.augmentation.view_sizes:
                model.use_augmenter(build_augmenter(self.config, view_size(self.config, epoch)))
            with self._writable():
                self.views.write(epoch, epoch * self.steps_per_epoch)

    def on_epoch_begin(self, epoch, logs=None):
        self.views.on_epoch_begin(epoch)

    def on_train_batch_end(self, batch, logs=None):
        with self._writable():
            self.views.on_train_batch_end(batch)
        self._write_looks()

    def on_epoch_end(self, epoch, logs=None):
        self._write_looks()
        self._write_row(self.record.rows[-1])

    def finish(self, result):
        """Say what came of the run, given what result.json will hold."""
        said = [result.get("verdict"), result.get("reason"), result.get("quality", {}).get("sentence")]
        self._text("result", "verdict", "\n\n".join(text for text in said if text), result["steps"])
        for writer in self._writers.values():
            writer.close()

    def project(self, backbone, images, side):
        """The projector's files; an open TensorBoard looks for them when the run of `finish` appears beside them."""
        with self._writable():
            write_projector(self.folder.tensorboard / "result", backbone, images, side)

    def _write_row(self, row):
        for column, value in row.items():
            if column in ("epoch", "step") or (self.monitor and column in LOOKED):
                continue
            run = "validation" if column.startswith("val_") or column == "knn_accuracy" else "train"
            group = next((group for ending, group in GROUPS.items() if column.endswith(ending)), None)
            group = group or next((group for part, group in BEGINNINGS.items() if column.startswith(part)), "loss")
            self._scalar(run, f"{group}/{column.removeprefix('val_')}", value, row["step"])
        self._flush()

    def _write_looks(self):
        looks = self.monitor.looks if self.monitor else []
        if not looks or looks[-1]["step"] <= self._looked:
            return
        for count, look in enumerate(looks, 1):
            if look["step"] <= self._looked:
                continue
            for name in LOOKED:
                self._scalar("train", f"collapse/{name}", look[name], look["step"])
            found = judge(looks[:count], self.monitor.grace_steps)
            if found.verdict != self._verdict:
                self._text("train", "verdict", found.sentence, look["step"])
            self._verdict = found.verdict
        self._looked = looks[-1]["step"]
        self._flush()

    def _scalar(self, run, tag, value, step):
        with self._writable(), self._writer(run).as_default():
            tf.summary.scalar(tag, value, step)

    def _text(self, run, tag, text, step):
        with self._writable(), self._writer(run).as_default():
            tf.summary.text(tag, text, step)
        self._flush()

    def _writer(self, run):
        if run not in self._writers:
            self._writers[run] = tf.summary.create_file_writer(str(self.folder.tensorboard / run))
        return self._writers[run]

    def _flush(self):
        with self._writable():
            for writer in self._writers.values():
                writer.flush()

    @contextlib.contextmanager
    def _writable(self):
        """TensorFlow's word for a full disk as ours."""
        try:
            yield
        except OSError as error:
            raise unwritable(self.folder.tensorboard, error) from error
        except tf.errors.OpError as error:
            if "No space left on device" not in str(error):
                raise
            full = OSError(errno.ENOSPC, "No space left on device")
            raise unwritable(self.folder.tensorboard, full) from error
