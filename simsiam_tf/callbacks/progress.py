"""One progress bar over the whole training: a live line on a terminal, a line now and then in a log file."""

import sys
import time

import keras
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from simsiam_tf.duration import duration

SHOWN = {"loss": "loss {:.3f}", "knn_accuracy": "kNN {:.1%}", "probe_accuracy": "probe {:.1%}"}
SHOWN |= {"val_accuracy": "held-out labels {:.1%}"}


class ProgressBar(keras.callbacks.Callback):
    """Shows epochs done, time left and the newest figures.

    The time left is that of the epochs so far, monitors included, of this process; the evaluation comes on top.

    Args:
        epochs: Epochs of the whole run; default: those of the present `fit`.
        every_seconds: Least time between two lines where the output is no terminal.
    """

    def __init__(self, epochs=None, every_seconds=10.0):
        super().__init__()
        self.epochs = epochs
        self.every_seconds = every_seconds
        self._figures, self._last_line, self._bar, self._began = {}, 0.0, None, None

    @property
    def _total(self):
        return self.epochs or self.params["epochs"]

    def on_epoch_begin(self, epoch, logs=None):
        if self._bar is None and sys.stderr.isatty():
            columns = TextColumn("epoch"), MofNCompleteColumn(), BarColumn(), TimeRemainingColumn()
            self._bar = Progress(*columns, TextColumn("{task.fields[figures]}"), console=Console(stderr=True))
            self._task = self._bar.add_task("", total=self._total, completed=epoch, figures="")
            self._bar.start()
        self._epoch = epoch
        self._began = self._began or (epoch, time.monotonic())

    def on_train_batch_end(self, batch, logs=None):
        if self._bar is not None and self.params["steps"]:
            self._bar.update(self._task, completed=self._epoch + (batch + 1) / self.params["steps"])

    def on_epoch_end(self, epoch, logs=None):
        self._figures |= {key: text.format(logs[key]) for key, text in SHOWN.items() if key in logs}
        figures = "  ".join(self._figures.values())
        if self._bar is not None:
            self._bar.update(self._task, completed=epoch + 1, figures=figures)
        elif time.monotonic() - self._last_line >= self.every_seconds or epoch + 1 == self._total:
            self._last_line = time.monotonic()
            print(f"epoch {epoch + 1}/{self._total}  {figures}{self._left(epoch + 1)}", file=sys.stderr, flush=True)

    def _left(self, done):
        if done == self._total:
            return ""
        first, start = self._began
        seconds = (time.monotonic() - start) / (done - first) * (self._total - done)
        return f"  about {duration(seconds)} left to train"

    def on_train_end(self, logs=None):
        self.close()

    def close(self):
        """Leave the terminal as it was; also called when training ends by an exception."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
