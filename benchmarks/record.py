"""What every stored benchmark result says of where and when it was measured."""

import datetime
import json
import os
import platform
from pathlib import Path

import keras
import keras_cv
import tensorflow as tf


def write(path, figures):
    """Write figures (a dict) with machine, versions and date as JSON."""
    machine = {
        "platform": platform.platform(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "devices": [device.name for device in tf.config.list_physical_devices()],
    }
    versions = {
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "keras_cv": keras_cv.__version__,
    }
    date = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    content = figures | {"machine": machine, "versions": versions, "date": date}
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps(content, indent=2) + "\n")


def processor():
    """The processor's name; Linux keeps it out of `platform`."""
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
