"""What is done for TensorFlow's sake about NVIDIA's libraries, with stand-ins: there is no GPU here."""

import _ctypes
import logging
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import tensorflow as tf

from simsiam_tf import SimSiam, cuda
from simsiam_tf.cli.tensorflow import quiet_tensorflow
from simsiam_tf.cuda import has_nvidia_device
from simsiam_tf.evaluation.supervised import SupervisedBenchmark
from simsiam_tf.runs import build
from simsiam_tf.settings.schema import Config, TrainingSettings

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("statement", ["import simsiam_tf", "from simsiam_tf.errors import InputError"])
def test_the_cusolver_of_the_wheels_is_open_once_anything_of_this_package_is_imported(tmp_path, statement):
    library = tmp_path / "nvidia" / "cusolver" / "lib" / "libcusolver.so.11"
    library.parent.mkdir(parents=True)
    shutil.copy(_ctypes.__file__, library)  # any library will do
    code = (
        f"{statement}; print([line for line in open('/proc/self/maps') if line.strip().endswith({str(library)!r})][:1])"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert str(library) in done.stdout


def test_without_wheels_nothing_is_opened():
    code = "import simsiam_tf; print('cusolver' in open('/proc/self/maps').read())"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_gpu_is_one_that_the_driver_shows_and_nobody_hides(tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    (tmp_path / "nvidiactl").touch()
    assert not has_nvidia_device(tmp_path)
    (tmp_path / "nvidia0").touch()
    assert has_nvidia_device(tmp_path)
    for hidden in ("", "-1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
        assert not has_nvidia_device(tmp_path)


@pytest.fixture
def with_cudnn(monkeypatch):
    """Makes a GPU and a cuDNN of this number appear, as far as settings ask for them."""

    def make(number):
        class Library:
            def __init__(self, name):
                if number is None:
                    raise OSError("no such library")
                assert name == "libcudnn.so.9"

            def cudnnGetVersion(self):
                return number

        monkeypatch.setattr(cuda.ctypes, "CDLL", Library)
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: [SimpleNamespace(device_type="GPU")])
        cuda.trains_compiled.cache_clear()

    yield make
    cuda.trains_compiled.cache_clear()


@pytest.mark.parametrize(
    ("number", "version", "compiled"),
    [
        (90300, (9, 3, 0), False),
        (90501, (9, 5, 1), False),
        (92399, (9, 23, 99), False),
        (92400, (9, 24, 0), True),
        (92800, (9, 28, 0), True),
        (None, None, True),
    ],
)
def test_a_cudnn_that_cannot_train_under_xla_is_named_once_and_not_used_compiled(
    with_cudnn, small_model, small_backbone, caplog, monkeypatch, number, version, compiled
):
    with_cudnn(number)
    assert cuda.cudnn_version() == version
    model = small_model(compiled=False)
    wanted = []
    monkeypatch.setattr(SimSiam, "compile", lambda self, optimizer, jit_compile, **_: wanted.append(jit_compile))
    monkeypatch.setattr(build, "make_optimizer", lambda *_, **__: StandIn())
    monkeypatch.setattr(build, "check_groups", lambda model: None)
    model.optimizer = StandIn()
    with caplog.at_level(logging.WARNING, "simsiam_tf.cuda"):
        for jit in ("auto", True, False):
            settings = TrainingSettings(jit_compile=jit, deterministic=False, steps_per_execution=1)
            build.compile_method(model, Config(training=settings), 1)
        assert model._resolve_auto_jit_compile() == compiled
        supervised = SupervisedBenchmark(small_backbone(), 2, lambda x, seed: x, steps_per_epoch=1, epochs=1)
        assert supervised._network_step._jit_compile == compiled
    assert wanted == [compiled, compiled, False]
    named = [record.getMessage() for record in caplog.records]
    names = (
        [] if compiled else [f"cuDNN {'.'.join(map(str, version))} cannot train under XLA: the network is not compiled"]
    )
    assert [line.partition(",")[0] for line in named] == names


class StandIn:
    def build(self, variables):
        pass


def test_every_verb_takes_a_gpus_memory_as_it_is_needed(monkeypatch):
    grown = []

    def grow(gpu, wanted):
        grown.append((gpu, wanted))
        if gpu == "GPU:0":
            raise RuntimeError("Physical devices cannot be modified after being initialized")

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: ["GPU:0", "GPU:1"])
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", grow)
    for level in ("0", "2"):
        monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", level)
        quiet_tensorflow()
    assert grown == [("GPU:0", True), ("GPU:1", True)] * 2
    for path in (ROOT / "simsiam_tf" / "cli").glob("*.py"):  # what each verb calls first of TensorFlow
        text = path.read_text()
        assert "quiet_tensorflow()" in text or not re.search(
            r"import tensorflow|simsiam_tf\.runs\.(build|train|folder)", text
        )
