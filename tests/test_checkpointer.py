"""What is saved when a run is asked to stop."""

import keras
import pytest

from simsiam_tf.callbacks import DivergenceMonitor, RunRecord
from simsiam_tf.runs.checkpoint import CheckpointFolder
from simsiam_tf.runs.checkpointer import Checkpointer
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
