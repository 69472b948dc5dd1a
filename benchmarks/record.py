"""What the benchmarks share: timing in turns, and what every stored result says of where and when it was measured."""

import datetime
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

import keras
import keras_cv
import tensorflow as tf

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def in_turns(functions, rounds, clock="wall"):
    """Seconds of every function in every round, {name: [seconds, ...]}.

    The functions take turns, so that what else the machine does meets all of them alike; every second round goes
    backwards. Each must return only when its work is done. One untimed call comes first. Clock "cpu" counts the time
    of all threads of this process, which with one thread is what a machine without other users would take.
    """
    for function in functions.values():
        function()
    seconds = {name: [] for name in functions}
    for i in range(rounds):
        for name in list(functions)[:: -1 if i % 2 else 1]:
            start = CLOCKS[clock]()
            functions[name]()
            seconds[name].append(CLOCKS[clock]() - start)
    return seconds


def spread(values):
    """Median, smallest and largest of the values."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def ratio(seconds, reference):
    """Median over the rounds of seconds / reference."""
    return statistics.median(a / b for a, b in zip(seconds, reference, strict=True))


def write(path, figures):
    """Write figures (a dict) with machine, versions and date as JSON."""
    machine = {
        "platform": platform.platform(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg(),
        "devices": devices(),
    }
    versions = {
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "keras_cv": keras_cv.__version__,
        "simsiam_tf": revision(),
    }
    versions |= {name: sys.modules[name].__version__ for name in ("numpy", "sklearn", "torch") if name in sys.modules}
    date = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    content = figures | {"machine": machine, "versions": versions, "date": date}
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps(content, indent=2) + "\n")


def revision():
    """Git's name for the state of the package that Python found, which need not be that of this clone."""
    folder = Path(importlib.util.find_spec("simsiam_tf").origin).parent
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "not in a git clone"


def devices():
    """What TensorFlow runs on; GPUs by the name of their model."""
    return [
        tf.config.experimental.get_device_details(device).get("device_name", device.name)
        if device.device_type == "GPU"
        else device.name
        for device in tf.config.list_physical_devices()
    ]


def processor():
    """The processor's name; Linux keeps it out of `platform`."""
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
