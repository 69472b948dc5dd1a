"""A sign of life in the run folder, for what watches a run from outside, such as the container's health check."""

import contextlib
import math
import os
import time

import keras


class Heartbeat(keras.callbacks.Callback):
    """Sets the time of a file to now while training makes steps.

    Args:
        path: The file, which must exist.
        every_seconds: Least time between two touches.
    """

    def __init__(self, path, every_seconds=10.0):
        super().__init__()
        self.path, self.every_seconds, self._last = path, every_seconds, -math.inf

    def on_train_batch_end(self, batch, logs=None):
        if time.monotonic() - self._last >= self.every_seconds:
            self._last = time.monotonic()
            with contextlib.suppress(OSError):  # no reason to end a run
                os.utime(self.path)
