"""What a run was made by: versions, devices, git revision and seed."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

from simsiam_tf.interop.contract import installed
from simsiam_tf.settings.schema import Config

PACKAGES = [
    "simsiam-tf",
    "tensorflow",
    "tensorflow-cpu",
    "keras",
    "keras-cv",
    "tensorflow-datasets",
    "numpy",
    "scipy",
    "scikit-learn",
]


def environment(config: Config, precision: str, devices: list[str], replicas: int) -> dict:
    """Of the process that runs this, and the replicas of all workers."""
    return {
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := installed(name))},
        "platform": platform.platform(),
        "cpu_count": os.cpu_count(),
        "intra_op_threads": _intra_op_threads(),
        "devices": devices,
        "replicas": replicas,
        "precision": precision,
        "seed": config.seed,
    } | _git_revision()


def _intra_op_threads() -> int:
    """Threads that share an operation on a CPU, on whose number the last bits depend; 0: TensorFlow's choice."""
    import tensorflow as tf

    asked = tf.config.threading.get_intra_op_parallelism_threads()
    return asked or int(os.environ.get("TF_NUM_INTRAOP_THREADS") or 0)


def _git_revision() -> dict:
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return {}
    return {"git_revision": done.stdout.strip()}
