"""What is saved when a run is asked to stop, and while it goes on."""

import threading
from concurrent.futures import wait

import keras
import numpy as np
import pytest

from simsiam_tf.callbacks import DivergenceMonitor, RunRecord
from simsiam_tf.errors import InputError
from simsiam_tf.runs.checkpoint import CheckpointFolder, collect, load
from simsiam_tf.runs.checkpointer import Checkpointer, method_variables
from simsiam_tf.runs.interrupt import Interrupt, Interrupted


class AskedAt(keras.callbacks.Callback):
    """A signal that comes in the step that ends with this one."""

    def __init__(self, interrupt, step):
        super().__init__()
        self.interrupt, self.step = interrupt, step

    def on_train_batch_end(self, batch, logs=None):
        self.interrupt.requested = int(self.model.step.numpy()) >= self.step


@pytest.mark.parametrize(("step", "rows"), [(3, 0), (4, 1), (7, 1), (8, 2)])
def test_an_epoch_that_is_done_has_its_row(small_model, images, tmp_path, step, rows):
    """Four steps an epoch."""
    interrupt, model = Interrupt(), small_model()
    record, divergence = RunRecord(tmp_path / "metrics.csv"), DivergenceMonitor()
    checkpointer = Checkpointer(CheckpointFolder(tmp_path / "checkpoints", 2), record, interrupt, divergence)
    with pytest.raises(Interrupted):
        model.fit(images, None, 16, 3, 0, [divergence, AskedAt(interrupt, step), record, checkpointer], shuffle=False)
    _, meta = checkpointer.folder.newest()
    assert int(model.step.numpy()) == step
    assert [row["step"] for row in meta["rows"]] == [4, 8][:rows]


def saver(tmp_path, folder):
    return Checkpointer(folder, RunRecord(tmp_path / "metrics.csv"), Interrupt(), DivergenceMonitor())


class OnceStepped(CheckpointFolder):
    """Begins to write when training has gone on by a step."""

    def __init__(self, path):
        super().__init__(path)
        self.went_on = threading.Event()

    def save(self, step, *state):
        if step == 4:
            assert self.went_on.wait(60)
        return super().save(step, *state)


def test_training_goes_on_while_the_state_is_written(small_model, images, tmp_path):
    """What is written is nevertheless the state at the end of the epoch."""
    folder, model, states = OnceStepped(tmp_path / "checkpoints"), small_model(), {}

    def look(batch, logs):
        step = int(model.step.numpy())
        states[step] = collect(method_variables(model))
        if step > 4:
            folder.went_on.set()

    checkpointer = saver(tmp_path, folder)
    looker = keras.callbacks.LambdaCallback(on_train_batch_end=look)
    model.fit(images, None, 16, 2, 0, [looker, checkpointer.record, checkpointer], shuffle=False)
    checkpointer.wait()
    first, meta = load(folder.files()[-1])
    assert [row["step"] for row in meta["rows"]] == [4]
    for name, values in states[4].items():
        np.testing.assert_array_equal(first[name], values, err_msg=name)
    assert any((states[8][name] != values).any() for name, values in states[4].items())


def test_a_state_that_cannot_be_written_ends_training_soon(small_model, images, tmp_path):
    class Full(CheckpointFolder):
        def save(self, *state):
            raise InputError("disk: full; free some space")

    model, checkpointer = small_model(), saver(tmp_path, Full(tmp_path))
    written = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: epoch and wait([checkpointer._writing]))
    with pytest.raises(InputError, match="disk: full"):
        model.fit(images, None, 16, 3, 0, [written, checkpointer.record, checkpointer], shuffle=False)
    assert int(model.step.numpy()) == 5
