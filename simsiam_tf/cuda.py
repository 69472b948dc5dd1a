"""What TensorFlow does not find by itself of NVIDIA's libraries, and what it cannot do with some of them."""

import ctypes
import functools
import logging
import os
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

# cuDNN 9.3 and 9.5 have no kernel for convolutions as the XLA of TensorFlow 2.21 makes them ("Autotuner could
# not find any supported configs"), 9.24 has (aws/deep-learning-containers#6417); of others nothing is known.
FIRST_CUDNN = (9, 24)
log = logging.getLogger("simsiam_tf.cuda")


def preload() -> None:
    """Open the cuSOLVER of NVIDIA's wheels, before TensorFlow looks for GPUs.

    TensorFlow 2.21 opens libcusolver.so.11 by its name alone, without the wheel's folder in its search path, and takes
    no GPU if that fails. A library that is open already is found by its name. TensorFlow may have been imported by
    then: it looks for GPUs when it is first asked for devices.
    """
    with suppress(ImportError, OSError):
        found = find_spec("nvidia.cusolver")
        for folder in found.submodule_search_locations if found else ():
            ctypes.CDLL(str(Path(folder, "lib", "libcusolver.so.11")))


def has_nvidia_device(devices=Path("/dev")) -> bool:
    """Whether the driver shows a GPU to this process, and nobody hides it in CUDA_VISIBLE_DEVICES."""
    return os.environ.get("CUDA_VISIBLE_DEVICES") not in ("", "-1") and any(devices.glob("nvidia[0-9]*"))


def cudnn_version() -> tuple[int, int, int] | None:
    """Version of the cuDNN in this process, once TensorFlow has looked for GPUs; None if there is none."""
    with suppress(OSError, AttributeError):
        number = ctypes.CDLL("libcudnn.so.9").cudnnGetVersion()
        return number // 10000, number // 100 % 100, number % 100
    return None


@functools.cache
def trains_compiled() -> bool:
    """Whether networks can be trained under XLA on the GPU; a cuDNN that cannot is named once, in the log."""
    version = cudnn_version()
    if version is None or version >= FIRST_CUDNN:
        return True
    log.warning(
        "cuDNN %s cannot train under XLA: the network is not compiled, which is slower; install nvidia-cudnn-cu12 %s "
        "or newer",
        *(".".join(map(str, each)) for each in (version, FIRST_CUDNN)),
    )
    return False
