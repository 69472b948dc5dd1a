"""Importing TensorFlow from the command line: late, and without its chatter."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import contextmanager, suppress

from simsiam_tf.cores import usable_cores

# Keras and keras-cv import these where they are installed, for what is not used here: two fifths of all imports' time.
NOT_NEEDED = ("torch", "sklearn")


def quiet_tensorflow() -> None:
    """Import TensorFlow and let it look for devices without its start-up messages, which no Python setting silences.

    TF_CPP_MIN_LOG_LEVEL=0 in the environment shows them. An import error is raised as ever. GPUs' memory is taken as it
    is needed, not all of it at the start, so that another process has room beside this one. oneDNN's kernels, which
    TensorFlow takes by itself on CPUs with AVX-512, are asked for on all: without, the operations of a step took twice
    as long (docs/guide.md, Precision and devices).
    """
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    with _left_out(*NOT_NEEDED):
        _import_quietly()
        import keras_cv  # noqa: F401
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        with suppress(RuntimeError, ValueError):  # in use already, or divided by the caller
            tf.config.experimental.set_memory_growth(gpu, True)
    if not gpus:
        two_at_a_time()


def two_at_a_time() -> None:
    """Let an operation have half of the cores: the two views of a step, or two batches, are computed side by side.

    That wastes less than to divide each operation among all (docs/guide.md, Precision and devices). Which cores sum up
    what changes the last bits of a run. TF_NUM_INTRAOP_THREADS in the environment decides otherwise.
    """
    import tensorflow as tf

    if not os.environ.get("TF_NUM_INTRAOP_THREADS"):
        with suppress(RuntimeError):  # TensorFlow has begun to compute
            tf.config.threading.set_intra_op_parallelism_threads(max(1, usable_cores() // 2))


@contextmanager
def _left_out(*names):
    """Packages that are not there while this lasts, unless they are imported already."""
    left_out = [name for name in names if name not in sys.modules]
    sys.modules |= dict.fromkeys(left_out)
    try:
        yield
    finally:
        for name in left_out:
            del sys.modules[name]


def _import_quietly():
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2") == "0":
        return
    logging.getLogger("absl").setLevel(logging.ERROR)  # tensorflow-datasets warns about itself
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # counts every monitor's extractor as a retracing
    stderr = os.dup(2)
    with open(os.devnull, "w") as nothing:
        os.dup2(nothing.fileno(), 2)
        try:
            import tensorflow as tf

            tf.config.list_physical_devices()
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
