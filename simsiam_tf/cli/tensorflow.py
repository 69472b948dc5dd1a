"""Importing TensorFlow from the command line: late, and without its chatter."""

from __future__ import annotations

import logging
import os
from contextlib import suppress

from simsiam_tf.cuda import preload


def quiet_tensorflow() -> None:
    """Import TensorFlow and let it look for devices without its start-up messages, which no Python setting silences.

    TF_CPP_MIN_LOG_LEVEL=0 in the environment shows them. An import error is raised as ever. GPUs' memory is taken as it
    is needed, not all of it at the start, so that another process has room beside this one. oneDNN's kernels, which
    TensorFlow takes by itself on CPUs with AVX-512, are asked for on all: without, the operations of a step took twice
    as long (docs/guide.md, Precision and devices).
    """
    preload()
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    _import_quietly()
    import tensorflow as tf

    for gpu in tf.config.list_physical_devices("GPU"):
        with suppress(RuntimeError, ValueError):  # in use already, or divided by the caller
            tf.config.experimental.set_memory_growth(gpu, True)


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
