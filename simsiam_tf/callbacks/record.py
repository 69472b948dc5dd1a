"""The record of a run: a row of figures per epoch, kept in metrics.csv and in checkpoints."""

import csv
import time
from pathlib import Path

import keras

from simsiam_tf.atomic import replacing
from simsiam_tf.optimizers import learning_rates


class Rates(keras.callbacks.Callback):
    """Adds "images_per_second" and the learning rate of every optimizer in use during the epoch to the logs.

    Args:
        batch_size: Images per step. The time of other callbacks between epochs does not count.

    Attributes:
        first_execution_seconds: What the first call of the step took in this process: tracing, compiling, and
            `steps_per_execution` steps. None before.
    """

    def __init__(self, batch_size):
        super().__init__()
        self.batch_size = batch_size
        self.first_execution_seconds = None

    def on_train_batch_begin(self, batch, logs=None):
        if self.first_execution_seconds is None:
            self._first = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        if self.first_execution_seconds is None:
            self.first_execution_seconds = time.perf_counter() - self._first

    def on_epoch_begin(self, epoch, logs=None):
        self._rates = learning_rates(self.model.optimizer)
        self._step, self._start = int(self.model.step.numpy()), time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        steps, seconds = int(self.model.step.numpy()) - self._step, time.perf_counter() - self._start
        logs["images_per_second"] = steps * self.batch_size / seconds
        logs["epoch_seconds"] = seconds
        logs.update(self._rates)


class RunRecord(keras.callbacks.Callback):
    """Writes a row per epoch to a CSV file, whole and atomically each time, since columns come and go.

    Put it after the callbacks whose figures it records. `rows` can be set, to go on with a resumed run.
    """

    def __init__(self, path):
        super().__init__()
        self.path = Path(path)
        self.rows = []

    def on_epoch_end(self, epoch, logs=None):
        row = {"epoch": epoch + 1, "step": int(self.model.step.numpy())} | {k: float(v) for k, v in logs.items()}
        # An epoch that is done in two parts, before and after a stop, has the row of its second part.
        self.rows = [earlier for earlier in self.rows if earlier["epoch"] <= epoch] + [row]
        self.write()

    def write(self):
        """Write all rows; a figure that an epoch did not measure is an empty field."""
        write_rows(self.path, self.rows)

    def last(self, name):
        """The newest value of one column, or None."""
        return next((row[name] for row in reversed(self.rows) if name in row), None)


def write_rows(path, rows):
    """Write a CSV file of dicts, whole and atomically; what a row has not is an empty field."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with replacing(path) as partial, partial.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
