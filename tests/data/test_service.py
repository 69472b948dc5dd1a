"""Training batches from other processes on loopback: the same stream, whatever is asked for, and what is refused."""

import os
import runpy
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from command_line import run
from simsiam_tf import data
from simsiam_tf.data import service
from simsiam_tf.errors import InputError
from simsiam_tf.settings.data import DataSettings

ROOT = Path(__file__).parents[2]
TINY = """
name: run
data: {source: folder, image_size: 8, memory_limit_gb: 0}
augmentation: {recipe: cifar10}
backbone: {name: resnet18, width: 1}
method: {projection_dim: 8, predictor_hidden: 4}
optimizer: {epochs: 3, batch_size: 3}
monitor: {knn_epochs: 0, tensorboard: false, linear_probe: false}
"""


@pytest.fixture
def served(photo_folder):
    """The streamed images of a folder, and the address of a server of them in this process."""
    images = data.load("folder", path=str(photo_folder(*(f"{i}.png" for i in range(11)))), image_size=8).train
    server = data.BatchServer(images)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    yield images, f"localhost:{server.port}"
    server.close()
    thread.join()


@pytest.fixture
def serve(tmp_path, photo_folder):
    """Starts `simsiam-tf serve` with these options; returns the process and its address."""
    root, processes = photo_folder(*(f"{i}.png" for i in range(11))), []
    (tmp_path / "tiny.yaml").write_text(TINY)

    def start(*options):
        command = [sys.executable, "-m", "simsiam_tf", "serve", "--config", str(tmp_path / "tiny.yaml")]
        command += ["--data.path", str(root), *(options or ["--port", "0"])]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        processes.append(process)
        return process, "localhost:" + process.stdout.readline().split()[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def same(expected, found):
    for a, b in zip(expected, found, strict=True):
        for one, other in zip(a, b, strict=True) if isinstance(a, tuple) else [(a, b)]:
            assert isinstance(one, dict) == isinstance(other, dict)
            for key in one if isinstance(one, dict) else [...]:
                np.testing.assert_array_equal(one[key], other[key])


@pytest.mark.parametrize(
    "asked", [{}, {"start_step": 5}, {"with_rows": True}, {"part": 1, "parts": 3}], ids=["all", "later", "rows", "part"]
)
def test_two_servers_send_what_one_host_would_compute(served, asked):
    images, server = served
    expected = data.training_batches(images, 3, seed=5, steps=7, **asked)  # into the third epoch
    same(
        expected, data.training_batches(images, 3, seed=5, steps=7, servers=data.Servers([server] * 2, images), **asked)
    )


def test_labels_come_with_their_images(photo_folder):
    root = photo_folder(*(f"{i % 2}/{i}.png" for i in range(8)))
    images = data.load("folder", path=str(root), image_size=8).train
    server = data.BatchServer(images)
    threading.Thread(target=server.run, daemon=True).start()
    asked = {"batch_size": 4, "seed": 1, "with_labels": True, "steps": 3}
    servers = data.Servers([f"localhost:{server.port}"], images)
    same(data.training_batches(images, **asked), data.training_batches(images, **asked, servers=servers))
    server.close()


def test_another_server_stands_in_for_one_that_is_gone(served, caplog):
    images, server = served
    servers = data.Servers(["localhost:1", server], images)
    expected = data.training_batches(images, 3, seed=5, steps=4)
    same(expected, data.training_batches(images, 3, seed=5, steps=4, servers=servers))
    assert not caplog.messages


def test_a_trainer_waits_for_a_server_to_come_back(served, caplog, monkeypatch):
    images, _ = served
    monkeypatch.setattr(service, "RETRY", 0.05)
    first = data.BatchServer(images)
    port = first.port
    threading.Thread(target=first.run, daemon=True).start()
    stream = iter(data.training_batches(images, 3, seed=5, servers=data.Servers([f"localhost:{port}"], images)))
    found = [next(stream)]
    first.close()
    back = threading.Timer(1, lambda: data.BatchServer(images, port).run())
    back.daemon = True
    back.start()
    found += [next(stream) for _ in range(7)]  # some had been made ahead
    same(data.training_batches(images, 3, seed=5, steps=8), found)
    assert any("does not answer" in message and "waiting" in message for message in caplog.messages)


def ask(servers, **changed):
    what = {"batch_size": 3, "seed": 0, "part": 0, "parts": 1, "with_labels": False, "with_rows": False} | changed
    return servers.batches({"images": (np.uint8, (3, 8, 8, 3))}, what)(0)


def test_other_images_are_refused(served, monkeypatch):
    images, server = served
    other = data.Servers([server], images.take(np.arange(11)[::-1]))
    with pytest.raises(
        InputError, match=rf"data\.service: {server}: images: this server has 11 images .* not those of the tr"
    ):
        ask(other)
    with pytest.raises(InputError, match=rf"{server}: optimizer\.batch_size: 12 does not fit the 11 images"):
        ask(data.Servers([server], images), batch_size=12)
    for changed in ({"seed": "0"}, {"newer": 1}):
        with pytest.raises(InputError, match=r"request: of another version"):
            ask(data.Servers([server], images), **changed)


def test_no_server_comes(served):
    with pytest.raises(InputError, match=r"data\.service: localhost:1 does not answer \(.*\); start simsiam-tf serve"):
        ask(data.Servers(["localhost:1"], served[0], patience=0))


@pytest.mark.parametrize("given", ["", "first", "first:port", "http://first:5050", "first:5050 second:5050"])
def test_no_list_of_servers(given):
    with pytest.raises(InputError, match=r"data\.service: .* is no list of servers; give host:port"):
        DataSettings(name="cifar10", service=given)


def test_servers_know_no_chunks():
    assert DataSettings(name="cifar10", service="a:1, b-c.d:2").servers == ("a:1", "b-c.d:2")
    with pytest.raises(InputError, match=r"data\.service: a:1, but data\.order is last; give null, or order epochs"):
        DataSettings(name="cifar10", service="a:1", order="last")


def weights(folder):
    with np.load(sorted(folder.glob("checkpoints/step-*.npz"))[-1]) as content:
        return {name: content[name] for name in content.files if name != "meta"}  # which holds seconds


def test_a_run_that_is_fed_is_the_run_that_decodes_by_itself(tmp_path, monkeypatch, serve):
    """To the bit, after it was stopped inside an epoch and its server started anew."""
    monkeypatch.chdir(tmp_path)
    given = ["--config", "tiny.yaml", "--data.path", str(tmp_path / "photos")]
    assert run("train", *given, "--name", "alone") == 0
    process, address = serve()
    assert run("train", *given, "--data.service", address, "--training.stop_after_steps", "4") == 0
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0
    (_, first), (_, second) = serve(), serve()
    assert run("train", *given, "--data.service", f"{first},{second}") == 0
    alone, fed = weights(Path("runs/alone")), weights(Path("runs/run"))
    assert alone.keys() == fed.keys()
    for name, value in alone.items():
        np.testing.assert_array_equal(value, fed[name], err_msg=name)


def test_the_example_goes_on_from_its_file(tmp_path, served):
    _, server = served
    example = runpy.run_path(str(ROOT / "examples" / "data_service.py"))
    words = [
        "--servers",
        server,
        "--path",
        str(tmp_path / "photos"),
        "--image-size",
        "8",
        "--recipe",
        "none",
        "--width",
        "4",
    ]
    for epochs in (1, 2):
        given = [*words, "--batch-size", "5", "--model", str(tmp_path / "model.keras"), "--epochs", str(epochs)]
        model = example["train"](example["parse"](given))
        assert np.isfinite(model.history.history["loss"]).all()
        assert int(model.step) == 2 * epochs
