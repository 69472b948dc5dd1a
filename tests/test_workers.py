"""Real processes on this machine that train together: equal to one, killed, asked to stop, gone on with."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from simsiam_tf.cli import main as cli
from simsiam_tf.runs.checkpoint import CheckpointFolder
from small_run import ROOT, newest, rows

pytestmark = pytest.mark.long

SECONDS = 900  # what a start may take; half a minute on an idle machine
# Endless, for all that the tests see: they stop it, or say where it ends.
SMALL = {
    "data.limit": 144,
    "data.test_limit": 40,
    "data.image_size": 12,
    "augmentation.recipe": "none",  # others take seconds to compile, in each process
    "augmentation.min_area": 0.3,
    "backbone.width": 4,
    "method.projection_dim": 16,
    "method.predictor_hidden": 4,
    "optimizer.batch_size": 24,
    "optimizer.epochs": 1000,
    "optimizer.learning_rate": 0.01,  # at 0.1 two BatchNorm kernels on one device are 0.1 apart after ten steps
    "monitor.knn_epochs": 1,
    "monitor.collapse_epochs": 1,
    "monitor.stop_on_collapse": False,
    "monitor.tensorboard": False,
    "evaluation.baselines": "[]",
    "evaluation.fractions": "[1.0]",
    "evaluation.linear_epochs": 1,
}


def arguments(output, **changes):
    options = SMALL | {"name": "run", "output": output} | {k.replace("__", "."): v for k, v in changes.items()}
    return ["train", "--config", "digits", *(f"--{key}={value}" for key, value in options.items())]


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("localhost", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Crew:
    """`count` workers; each has an output folder of its own, as on hosts that share no disk."""

    def __init__(self, folder, count, **changes):
        addresses = [f"localhost:{port}" for port in free_ports(count)]
        self.errors = [folder / f"stderr{index}" for index in range(count)]
        self.processes = []
        for index in range(count):
            cluster = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
            environment = {"TF_CONFIG": json.dumps(cluster), "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
            words = arguments(folder / f"host{index}", training__distribution="multi_worker", **changes)
            with self.errors[index].open("w") as errors:
                self.processes.append(
                    subprocess.Popen(
                        [sys.executable, "-m", "simsiam_tf", *words],
                        cwd=ROOT,
                        env=os.environ | environment,
                        stdout=subprocess.DEVNULL,
                        stderr=errors,
                    )
                )

    def wait_for(self, condition):
        limit = time.monotonic() + SECONDS
        while not condition():
            assert all(process.poll() is None for process in self.processes), self.said()
            assert time.monotonic() < limit, self.said()
            time.sleep(0.02)

    def codes(self):
        """The exit codes."""
        limit = time.monotonic() + SECONDS
        return [process.wait(max(limit - time.monotonic(), 0.1)) for process in self.processes]

    def said(self):
        return "\n".join(f"== worker {index}\n{file.read_text()}" for index, file in enumerate(self.errors))

    def kill(self):
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture
def crew(tmp_path):
    """Starts workers in `tmp_path`; none survives the test."""
    crews = []

    def start(count, **changes):
        crews.append(Crew(tmp_path, count, **changes))
        return crews[-1]

    yield start
    for each in crews:
        each.kill()


def assert_lost(crew, index):
    """This worker said in one line that another one is gone."""
    lines = crew.errors[index].read_text().splitlines()
    assert "Traceback" not in "".join(lines), crew.said()
    assert sum("simsiam-tf: another worker has ended" in line for line in lines) == 1, crew.said()


def test_workers_that_are_stopped_and_killed_end_in_the_weights_of_one_device(crew, tmp_path):
    """Three workers, one of them asked to stop; two go on, the first is killed; two end it; one does all by itself."""
    run, checkpoints = tmp_path / "host0" / "run", CheckpointFolder(tmp_path / "host0" / "run" / "checkpoints")
    three = crew(3)
    three.wait_for(lambda: (run / "metrics.csv").is_file())
    three.processes[2].send_signal(signal.SIGTERM)
    assert three.codes() == [75, 75, 75], three.said()
    assert all("interrupted, everything is saved" in file.read_text() for file in three.errors), three.said()
    (saved, *_) = checkpoints.files()
    assert int(saved.stem.removeprefix("step-")) % 10 == 0  # inside an epoch of six steps

    two = crew(2)
    two.wait_for(lambda: checkpoints.files()[0] > saved)
    two.processes[0].kill()
    assert two.codes() == [-signal.SIGKILL, 75], two.said()
    assert_lost(two, 1)

    steps = max(30, int(checkpoints.files()[0].stem.removeprefix("step-")) + 4)
    last = crew(2, training__stop_after_steps=steps)
    assert last.codes() == [0, 0], last.said()
    assert [path.name for path in tmp_path.glob("host*")] == ["host0"]  # the others write nothing

    assert cli.main(arguments(tmp_path / "one", training__stop_after_steps=steps)) == 0
    one_run = tmp_path / "one" / "run"
    many, one = newest(run), newest(one_run)
    assert many.keys() == one.keys()
    for name, array in one.items():
        # One ReLU on the other side of zero moves a velocity at once; weights feel a hundredth of it.
        bound = 1e-3 if name.endswith("velocity") else 1e-5
        np.testing.assert_allclose(many[name], array, rtol=0, atol=bound, err_msg=name)
    assert float(rows(run)[0]["loss"]) == pytest.approx(float(rows(one_run)[0]["loss"]), abs=1e-6)
    for row, other in zip(rows(run), rows(one_run), strict=True):
        for name in ("epoch", "step", "learning_rate", "knn_accuracy", "val_probe_accuracy", "feature_std"):
            assert float(row[name]) == pytest.approx(float(other[name]), abs=1e-4), (row["epoch"], name)
