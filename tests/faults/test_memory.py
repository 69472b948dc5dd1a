"""Memory that does not grow with the epochs; benchmarks/soak.py looks at 500."""

import memory
import numpy as np


def test_a_run_of_many_epochs_needs_no_more_memory(tmp_path):
    """Rows of figures stay, 1 KB an epoch, and TensorFlow keeps some 20. What must not stay is anything like the images
    in float32 (276 KB), or a traced function (a megabyte)."""
    rows = memory.samples(tmp_path / "run", tmp_path / "log", epochs=60, every=0.05)
    assert rows[-1, 0] > 40  # samples are taken now and then
    assert memory.growth(rows, after=20) < 200e3


def test_growth_is_the_slope_after_the_start():
    epochs = np.arange(50)
    resident = np.where(epochs < 10, 1e9, 7e8 + 2000.0 * epochs)
    assert abs(memory.growth(np.stack([epochs, resident], 1), after=10) - 2000) < 1e-3
