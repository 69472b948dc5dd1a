"""Real processes on this machine that train together: equal to one, killed, asked to stop, gone on with."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from simsiam_tf import cli
from simsiam_tf.checkpoint import CheckpointFolder

ROOT = Path(__file__).parents[1]
# Endless, for all that the tests see: they stop it, or say where it ends.
SMALL = {
    "data.limit": 144,
    "data.test_limit": 40,
    "data.image_size": 12,
    "backbone.width": 4,
    "method.projection_dim": 16,
    "method.predictor_hidden": 4,
    "optimizer.batch_size": 24,
    "optimizer.epochs": 1000,
    "optimizer.learning_rate": 0.1,
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

    def wait_for(self, file, seconds=300):
        limit = time.monotonic() + seconds
        while not file.is_file():
            assert all(process.poll() is None for process in self.processes), self.said()
            assert time.monotonic() < limit, self.said()
            time.sleep(0.02)

    def codes(self, seconds=300):
        """The exit codes."""
        limit = time.monotonic() + seconds
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


def newest(output):
    arrays, _ = CheckpointFolder(output / "run" / "checkpoints").newest()
    return arrays


def rows(output):
    with (output / "run" / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def assert_equal_to_one_device(output, reference, steps):
    """Weights, statistics and optimizers at the end, and the figures of every epoch."""
    assert cli.main(arguments(reference, training__stop_after_steps=steps)) == 0
    many, one = newest(output), newest(reference)
    assert many.keys() == one.keys()
    for name, array in one.items():
        np.testing.assert_allclose(many[name], array, rtol=0, atol=1e-5, err_msg=name)
    assert [row["epoch"] for row in rows(output)] == [row["epoch"] for row in rows(reference)]
    for row, other in zip(rows(output), rows(reference), strict=True):
        for name in ("step", "loss", "probe_accuracy", "knn_accuracy", "val_probe_accuracy", "feature_std"):
            assert float(row[name]) == pytest.approx(float(other[name]), abs=1e-4), (row["epoch"], name)


def test_a_worker_is_killed_and_all_go_on_after_it(crew, tmp_path):
    """Three workers; one is killed, the others end by themselves; started again, they lose nothing."""
    first = crew(3)
    first.wait_for(tmp_path / "host0" / "run" / "checkpoints" / "step-0000000012.npz")
    first.processes[1].kill()
    assert first.codes() == [75, -signal.SIGKILL, 75], first.said()
    for index in (0, 2):
        lines = [line for line in first.errors[index].read_text().splitlines() if line.startswith("simsiam-tf:")]
        assert len(lines) == 1
        assert "another worker has ended" in lines[0]
        assert "Traceback" not in first.errors[index].read_text()
    second = crew(3, training__stop_after_steps=30)
    assert second.codes() == [0, 0, 0], second.said()
    assert [path.name for path in tmp_path.glob("host*")] == ["host0"]  # no other writes anything
    assert_equal_to_one_device(tmp_path / "host0", tmp_path / "one", 30)


def test_a_signal_to_one_worker_stops_all_at_the_same_step(crew, tmp_path):
    """Two workers; the second is asked to stop, the first saves inside an epoch; one device goes on alone."""
    first = crew(2, training__checkpoint_epochs=1000)
    first.wait_for(tmp_path / "host0" / "run" / "metrics.csv")
    first.processes[1].send_signal(signal.SIGTERM)
    assert first.codes() == [75, 75], first.said()
    (saved,) = (tmp_path / "host0" / "run" / "checkpoints").iterdir()
    step = int(saved.stem.removeprefix("step-"))
    assert step % 10 == 0
    assert all("interrupted, everything is saved" in file.read_text() for file in first.errors)
    assert cli.main(arguments(tmp_path / "host0", training__stop_after_steps=step + 3)) == 0
    assert_equal_to_one_device(tmp_path / "host0", tmp_path / "one", step + 3)
