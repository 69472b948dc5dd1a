"""The program that a GPU runs, on a CPU: bfloat16, compiled by XLA, several steps an execution, average and probe."""

import json

import keras
import numpy as np
import pytest

from simsiam_tf.cli import main as cli
from simsiam_tf.runs.checkpoint import CheckpointFolder
from small_run import arguments, rows

pytestmark = pytest.mark.long

PROGRAM = {
    "data__limit": 192,  # six steps an epoch
    "training__precision": "bfloat16",
    "training__jit_compile": "true",
    "training__deterministic": "false",
    "training__steps_per_execution": 3,
    "method__weight_average": 0.9,
    "optimizer__epochs": 2,
    "evaluation__baselines": "[]",
}


def test_the_gpus_program_runs(tmp_path):
    """Two epochs; what is evaluated is the average, in float32."""
    assert cli.main(arguments(tmp_path, **PROGRAM)) == 0
    folder = tmp_path / "run"
    first, last = rows(folder)
    assert (first["step"], last["step"]) == ("6", "12")
    assert all(np.isfinite(float(row[key])) for row in (first, last) for key in ("loss", "probe_accuracy"))
    assert float(last["loss"]) < float(first["loss"])
    state, _ = CheckpointFolder(folder / "checkpoints").newest()
    assert {array.dtype.name for array in state.values() if array.dtype.kind == "f"} == {"float32"}
    assert int(state["method/step"]) == 12
    assert int(state["method/diverged_at"]) == -1
    kept = keras.models.load_model(folder / "backbone.keras")
    np.testing.assert_array_equal(kept.get_layer("conv1").kernel, state["average/conv1/kernel"])
    assert np.abs(state["average/conv1/kernel"] - state["backbone/conv1/kernel"]).max() > 1e-4
    environment = json.loads((folder / "environment.json").read_text())
    assert environment["precision"] == "bfloat16"
    result = json.loads((folder / "result.json").read_text())
    assert 0 <= result["knn_accuracy"] <= 1
