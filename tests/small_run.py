"""A run of the real command that takes seconds, and what is asked of its folder."""

import csv
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from simsiam_tf.runs.checkpoint import CheckpointFolder

ROOT = Path(__file__).parents[1]
ENVIRONMENT = os.environ | {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "2"}
SMALL = {
    "data.limit": 160,
    "data.test_limit": 100,
    "data.image_size": 12,
    "backbone.width": 4,
    "method.projection_dim": 16,
    "method.predictor_hidden": 4,
    "optimizer.batch_size": 32,
    "optimizer.epochs": 4,
    "monitor.knn_epochs": 2,
    "evaluation.baselines": "[raw]",
    "evaluation.fractions": "[1.0,0.1]",
    "evaluation.subsets": 2,
    "evaluation.linear_epochs": 5,
}


def arguments(output, name="run", **changes):
    options = SMALL | {"name": name, "output": output} | {k.replace("__", "."): v for k, v in changes.items()}
    return ["train", "--config", "digits", *(f"--{key}={value}" for key, value in options.items())]


def start(output, **changes):
    command = [sys.executable, "-m", "simsiam_tf", *arguments(output, **changes)]
    return subprocess.Popen(
        command, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def rows(folder):
    with (folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def newest(folder):
    arrays, _ = CheckpointFolder(folder / "checkpoints").newest()
    return arrays


def assert_same_state(folder, other):
    a, b = newest(folder), newest(other)
    assert a.keys() == b.keys()
    for name, array in a.items():
        np.testing.assert_array_equal(array, b[name], err_msg=name)


def wait_for(condition, process, seconds=600):
    limit = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < limit
        time.sleep(0.02)
