"""What is done for TensorFlow's sake about NVIDIA's libraries, with stand-ins: there is no GPU here."""

import _ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from simsiam_tf.cuda import has_nvidia_device

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    "statement",
    ["import simsiam_tf; simsiam_tf.METHODS", "from simsiam_tf.cli.tensorflow import quiet_tensorflow as q; q()"],
)
def test_the_cusolver_of_the_wheels_is_open_before_tensorflow_asks_for_it(tmp_path, statement):
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
    code = "from simsiam_tf import cuda; cuda.preload(); print('cusolver' in open('/proc/self/maps').read())"
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
