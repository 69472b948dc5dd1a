"""With NVIDIA's wheels and a driver that only shows a GPU, TensorFlow lists that GPU: see `simsiam_tf.cuda.preload`.

GPU_PYTHON=.venv-gpu/bin/python names an environment that has the wheels; skipped where there are none.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PYTHON = os.environ.get("GPU_PYTHON", sys.executable)
LISTED = "import tensorflow as tf; print([gpu.name for gpu in tf.config.list_physical_devices('GPU')])"


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    """A folder with the stand-in for the driver."""
    found = subprocess.run([PYTHON, "-c", "import nvidia.cusolver, nvidia.cudnn"], capture_output=True, check=False)
    if found.returncode:
        pytest.skip("no NVIDIA wheels; GPU_PYTHON names a Python that has them")
    if not shutil.which("gcc"):
        pytest.skip("no gcc")
    folder = tmp_path_factory.mktemp("driver")
    library = folder / "libcuda.so.1"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, ROOT / "docker" / "driver.c"], check=True)
    shutil.copy(library, folder / "libnvidia-ml.so.1")
    return folder


@pytest.mark.parametrize(
    ("before", "listed"),
    [
        ("", "[]"),  # what `preload` is for; a TensorFlow that lists the GPU here needs it no more
        ("import simsiam_tf", "['/physical_device:GPU:0']"),
        ("import tensorflow, keras; from simsiam_tf.errors import InputError", "['/physical_device:GPU:0']"),
    ],
)
def test_tensorflow_lists_the_gpu_with_cusolver_preloaded(driver, before, listed):
    environment = {key: value for key, value in os.environ.items() if key != "CUDA_VISIBLE_DEVICES"}
    environment |= {"LD_LIBRARY_PATH": str(driver), "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "0"}
    command = [PYTHON, "-c", f"{before}\n{LISTED}"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == listed
    assert ("Skipping registering GPU devices" in done.stderr) == (listed == "[]")
