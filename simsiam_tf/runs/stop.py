"""Lets all workers of a run stop at the same step: none may leave the others waiting for it."""

import keras


class SharedStop(keras.callbacks.Callback):
    """What one worker knows and all must obey: a signal to any of them, and the chief's verdict that it is over.

    In a run of one worker it hands on what it is given. Put it after the callback that may stop the training and
    before the Checkpointer, which takes it for its `interrupt`.

    Args:
        workers: `runs.workers.Workers`.
        interrupt: Interrupt of this process.
        monitors: Of the chief, those that may end the training by their `stopped`.
        every: Steps between two questions to the other workers, whether they were asked to stop, and never within an
            execution.

    Attributes:
        requested: A worker was asked to stop.
        over: A monitor of the chief has ended the training.
    """

    def __init__(self, workers, interrupt, monitors=(), every=10):
        super().__init__()
        self.workers, self.interrupt, self.monitors = workers, interrupt, monitors
        self.every = every if workers.count > 1 else 1
        self.requested = self.over = False
        self._batches = 0

    def check(self):
        """Raise Interrupted if a worker was asked to stop."""
        if self.requested:
            self.interrupt.requested = True
            self.interrupt.check()

    def ask_monitors(self):
        """Bring `over` up to date."""
        self.over = self.workers.anywhere(any(monitor.stopped for monitor in self.monitors))

    def on_train_batch_end(self, batch, logs=None):
        self._batches += 1
        if self._batches % max(1, self.every // self.model.steps_per_execution) == 0:
            self.requested = self.workers.anywhere(self.interrupt.requested)
            if batch + 1 != self.params["steps"]:
                self._leave()

    def on_epoch_end(self, epoch, logs=None):
        self.ask_monitors()
        if self.over:
            self.model.stop_training = True
        self._leave()

    def _leave(self):
        if not self.workers.chief:  # it has still to save, and then leaves, too
            self.check()
