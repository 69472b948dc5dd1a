"""Saves the whole training state at the end of epochs and when the run is asked to stop."""

import copy
from concurrent.futures import ThreadPoolExecutor

import keras

from simsiam_tf.runs.checkpoint import CheckpointFolder, by_path, collect, restore


def method_variables(model) -> dict:
    """{"owner/path": variable} of all weights; the owner is the attribute that holds the layer, or "method"."""
    named, owned = {}, set()
    for attribute, value in vars(model).items():
        if isinstance(value, keras.layers.Layer) and not attribute.startswith("_"):
            named |= by_path(attribute, value.weights)
            owned |= {id(variable) for variable in value.weights}
    rest = [variable for variable in model.weights if id(variable) not in owned]
    return named | by_path("method", rest, model.name)


class Checkpointer(keras.callbacks.Callback):
    """Put it last, so that what it saves includes what the other callbacks did.

    Steps wait while the state is copied to host memory. A thread writes the copy to disk while training goes on: `wait`
    for it once `fit` is left.

    Args:
        folder: Where checkpoints go.
        record: RunRecord whose rows travel with the checkpoint.
        interrupt: Interrupt or SharedStop. When it is requested, the state is saved after the present step, or with the
            epoch that this step ends, and `Interrupted` leaves `fit`.
        divergence: DivergenceMonitor, asked before a save inside an epoch: a diverged state is never saved.
        stateful: Callbacks whose `variables` belong to the state.
        monitor: CollapseMonitor whose `state` travels with the checkpoint, or None.
        every: Epochs between two checkpoints; the last epoch is always saved.
        held_out: HeldOut that says which epoch is the best; without it the kNN accuracy does.
    """

    def __init__(
        self, folder: CheckpointFolder, record, interrupt, divergence, stateful=(), monitor=None, every=1, held_out=None
    ):
        super().__init__()
        self.divergence, self.monitor, self.held_out = divergence, monitor, held_out
        self.folder, self.record, self.interrupt = folder, record, interrupt
        self.stateful, self.every = list(stateful), every
        self._writer, self._writing = ThreadPoolExecutor(1, "checkpoint"), None

    def variables(self):
        """{name: variable} of the run, but for metrics: an epoch, or a part of one, begins with new ones."""
        optimizer = self.model.optimizer
        named = method_variables(self.model) | by_path("optimizer", optimizer.variables, optimizer.name)
        for callback in self.stateful:
            named |= by_path(type(callback).__name__, callback.variables)
        return named

    def resume(self, model):
        """Bring model, optimizer, callbacks and record to the newest checkpoint, if there is one.

        Raises:
            InputError: no checkpoint of the folder can be used.
        """
        self.set_model(model)
        newest = self.folder.newest()
        if newest:
            arrays, meta = newest
            restore(arrays, self.variables())
            self.record.rows = meta["rows"]
            self.record.write()
            if self.monitor is not None:
                self.monitor.state = meta["monitor"]
            self.folder.tidy(int(self.model.step.numpy()))  # a kill may have come between the last save and this
        if self.held_out is not None:
            self.held_out.judge(self.record.rows)

    def restore_best(self):
        """Give the model the weights of the best epoch on held-out labels, if there is one; `step` becomes its, too.

        Raises:
            InputError: its checkpoint cannot be read.
        """
        if self.held_out is not None and self.held_out.best is not None:
            restore(self.folder.best()[0], method_variables(self.model), partly=True)

    def save(self, best=False):
        """Copy the state and have it written, after what was to be written before.

        Raises:
            InputError: the one before could not be written.
        """
        self.wait()
        meta = {"rows": self.record.rows, "monitor": self.monitor.state if self.monitor else {}}
        state = int(self.model.step.numpy()), collect(self.variables()), copy.deepcopy(meta), best
        self._writing = self._writer.submit(self.folder.save, *state)

    def wait(self):
        """Until the last save is on the disk.

        Raises:
            InputError: it could not be written; what the folder held before is intact.
        """
        writing, self._writing = self._writing, None
        if writing:
            writing.result()

    def on_train_batch_end(self, batch, logs=None):
        if self._writing and self._writing.done():
            self.wait()
        if self.interrupt.requested and batch + 1 != self.params["steps"]:
            self.divergence.check_state()
            self.save()
            self._leave_if_asked()

    def on_epoch_end(self, epoch, logs=None):
        best = self._is_best(epoch, logs)
        last = epoch + 1 == self.params["epochs"] or self.model.stop_training
        if best or last or (epoch + 1) % self.every == 0 or self.interrupt.requested:
            self.save(best)
        self._leave_if_asked()

    def _leave_if_asked(self):
        if self.interrupt.requested:
            self.wait()
        self.interrupt.check()

    def _is_best(self, epoch, logs):
        if self.held_out is not None:
            return self.held_out.best is not None and self.held_out.best["epoch"] == epoch + 1
        accuracies = [row["knn_accuracy"] for row in self.record.rows if "knn_accuracy" in row]
        return "knn_accuracy" in logs and logs["knn_accuracy"] == max(accuracies)
