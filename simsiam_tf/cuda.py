"""What TensorFlow does not find by itself of NVIDIA's Python wheels, and whether there is a GPU that it misses."""

import ctypes
import os
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path


def preload() -> None:
    """Open the cuSOLVER of NVIDIA's wheels, before TensorFlow is imported.

    TensorFlow 2.21 opens libcusolver.so.11 by its name alone, without the wheel's folder in its search path, and takes
    no GPU if that fails. A library that is open already is found by its name.
    """
    if "tensorflow" in sys.modules:
        return
    with suppress(ImportError, OSError):
        found = find_spec("nvidia.cusolver")
        for folder in found.submodule_search_locations if found else ():
            ctypes.CDLL(str(Path(folder, "lib", "libcusolver.so.11")))


def has_nvidia_device(devices=Path("/dev")) -> bool:
    """Whether the driver shows a GPU to this process, and nobody hides it in CUDA_VISIBLE_DEVICES."""
    return os.environ.get("CUDA_VISIBLE_DEVICES") not in ("", "-1") and any(devices.glob("nvidia[0-9]*"))
