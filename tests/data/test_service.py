"""The example of training over tf.data service: two input hosts, in processes of their own, on loopback."""

import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from simsiam_tf import data

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "data_service.py"


@pytest.fixture
def serve():
    """Starts the example's servers with these options each, on free ports; returns their addresses."""
    processes = []

    def start(*hosts):
        for options in hosts:
            command = [sys.executable, str(EXAMPLE), "serve", "--port", "0", *options]
            environment = os.environ | {"PYTHONPATH": str(ROOT)}
            processes.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment))
        return [process.stdout.readline().split()[-1] for process in processes]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def test_two_hosts_send_what_one_would_compute_and_a_model_trains_on_it(tmp_path, photo_folder, serve):
    root = photo_folder(*(f"{i}.png" for i in range(11)))
    options = ["--path", str(root), "--image-size", "8", "--batch-size", "3", "--seed", "5", "--start-step", "2"]
    servers = serve(*([*options, "--host", str(host), "--hosts", "2"] for host in range(2)))
    example = runpy.run_path(str(EXAMPLE))

    images = data.load("folder", path=str(root), image_size=8, memory_limit_gb=0).train
    expected = data.training_batches(images, 3, seed=5, start_step=2, steps=7)  # into the third epoch
    served = example["served_batches"](servers).take(7)
    for a, b in zip(expected, served, strict=True):
        for name in ("images", "sizes"):
            np.testing.assert_array_equal(a[name], b[name])

    file = str(tmp_path / "model.keras")
    options = ["--image-size", "8", "--recipe", "none", "--width", "4", "--steps", "2", "--model", file]
    for epochs in ("1", "2"):  # the second goes on from the file
        model = example["train"](example["parse"](["train", "--servers", *servers, *options, "--epochs", epochs]))
        assert np.isfinite(model.history.history["loss"]).all()
        assert int(model.step) == 2 * int(epochs)
