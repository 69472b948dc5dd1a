"""A small run of the real command that dies again and again, and what its folder must hold in the end.

It dies in three ways: by `kill -9` after some seconds, before its n-th file operation in the run folder, and while it
writes the n-th byte of any file (the system's limit on file sizes ends it there). Or it meets a disk that fills up just
before a certain file operation, is refused files above n bytes, or lives with a clock that jumps.

The processes come from a server that has imported TensorFlow but has not started it, so that a life takes seconds. The
network has two layers, since only the tracing of more would take longer.
"""

import contextlib
import csv
import itertools
import json
import multiprocessing
import os
import random
import resource
import signal
import sys
import time
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.util import tensor_util

from simsiam_tf.runs.checkpoint import CheckpointFolder, load

SETTINGS = {
    "data.limit": 160,
    "data.test_limit": 60,
    "data.image_size": 12,
    "augmentation.recipe": "none",  # compiles in a second
    "method.projection_dim": 16,
    "method.predictor_hidden": 4,
    "optimizer.batch_size": 32,
    "optimizer.epochs": 6,
    "monitor.knn_epochs": 2,
    "monitor.stop_on_collapse": "false",
    "evaluation.baselines": "[]",
    "evaluation.fractions": "[1.0]",
    "evaluation.linear_epochs": 20,
}
TIMES = {
    "images_per_second",
    "epoch_seconds",
    "seconds",
    "seconds_this_process",
    "first_execution_seconds",
    "peak_memory_gib",
    "energy_kwh",
    "gpu_energy_kwh",
}
OPERATIONS = {"open", "os.rename", "os.remove", "os.link", "os.mkdir"}

servers = multiprocessing.get_context("forkserver")
servers.set_forkserver_preload(["simsiam_tf.runs.train", "sklearn.datasets"])


def arguments(folder, **changes):
    """Of `simsiam-tf` for a run in this folder; a change such as optimizer__epochs=3 is optimizer.epochs."""
    options = SETTINGS | {"name": folder.name, "output": folder.parent}
    options |= {key.replace("__", "."): value for key, value in changes.items()}
    return ["train", "--config", "digits", *(f"--{key}={value}" for key, value in options.items())]


def live(folder, log, death, operations, changes):
    """What the process does: run the command until `death`, a pair of kind and moment; counts file operations."""
    # Imported here: the process that asks for lives needs no TensorFlow.
    from simsiam_tf.cli import main as cli
    from simsiam_tf.runs import build as assemble

    for descriptor in (1, 2):
        os.dup2(os.open(log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_APPEND), descriptor)
    assemble.build_backbone = two_layers
    kind, moment = death

    def watch(event, values):
        if event in OPERATIONS and str(values[0]).startswith(f"{folder}{os.sep}"):
            operations.value += 1
            if kind == "file operation" and operations.value == moment:
                os.kill(os.getpid(), signal.SIGKILL)
            if kind == "full disk" and moment == f"{event} {Path(values[0]).name}":
                fill(folder.parent / "ballast")

    sys.addaudithook(watch)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if kind == "byte":
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    if kind == "clock":
        time.time = itertools.cycle(moment).__next__
    if kind in ("byte", "file size"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (moment, moment))
    code = cli.main(arguments(folder, **changes))
    sys.stdout.flush()
    os._exit(code)


def fill(ballast):
    """Write a file until its disk is full."""
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)):
                    pass


def two_layers(config):
    import keras

    from simsiam_tf.networks.layers import BatchNorm

    kernel = keras.initializers.HeNormal(seed=config.seed)
    images = keras.Input((None, None, 3))
    x = keras.layers.Rescaling(1 / 127.5, -1.0, name="normalization")(images)
    x = keras.layers.Conv2D(8, 3, 2, use_bias=False, kernel_initializer=kernel, name="conv1")(x)
    x = keras.layers.ReLU(name="relu")(BatchNorm(name="bn1")(x))
    x = keras.layers.GlobalAveragePooling2D(dtype="float32", name="avgpool")(x)
    return keras.Model(images, x, name="two_layers")


def one_life(folder, log, death=(None, None), **changes):
    """Run the command in a process of its own; returns (its exit code or None if it died, seconds, file operations)."""
    operations = servers.Value("i", 0)
    process = servers.Process(target=live, args=(folder, log, death, operations, changes))
    start = time.monotonic()
    process.start()
    process.join(death[1] if death[0] == "second" else None)
    process.kill()
    process.join()
    died = process.exitcode in (-signal.SIGKILL, -signal.SIGXFSZ)
    return None if died else process.exitcode, time.monotonic() - start, operations.value


class Undisturbed(NamedTuple):
    """A finished run, how long it took, and its number of file operations."""

    folder: Path
    seconds: float
    operations: int


def undisturbed(output):
    """Run the command in `output`, once, to its end."""
    servers.Process(target=time.sleep, args=(0,)).start()  # the server imports now, not in the measured time
    code, seconds, operations = one_life(output / "undisturbed", output / "log")
    assert code == 0, (output / "log").read_text()
    return Undisturbed(output / "undisturbed", seconds, operations)


def campaign(output, reference, deaths, seed, say=print):
    """Kill runs so many times and compare each that reaches its end with one that nothing disturbed.

    Args:
        output: Folder to work in.
        reference: Undisturbed.
        seed: Of the moments.
        say: Called with a line per life.

    Returns:
        {"deaths": {kind: count}, "runs_to_the_end": count}.
    """
    generator, log = random.Random(seed), output / "log"
    sizes = [path.stat().st_size for path in reference.folder.rglob("*") if path.suffix in (".npz", ".keras", ".png")]
    moments = {
        "second": lambda: round(generator.uniform(0, reference.seconds), 3),
        "file operation": lambda: generator.randint(1, reference.operations),
        "byte": lambda: round(generator.choice(sizes) * generator.uniform(0.2, 1)),
    }
    count, ends, kinds = dict.fromkeys(moments, 0), 0, list(moments)
    for life in range(4 * deaths):
        folder, kind = output / f"run{ends}", kinds[life % len(kinds)]
        done = sum(count.values()) == deaths
        death = (None, None) if done else (kind, moments[kind]())
        code, _, _ = one_life(folder, log, death)
        say(f"{folder.name}: {death[0]} {death[1]}: {'died' if code is None else 'reached the end'}")
        if code is None:
            count[kind] += 1
            check_remains(folder)
            continue
        assert code == 0, log.read_text()
        check_same(folder, reference.folder)
        ends += 1
        if done:
            break
    return {"deaths": count, "runs_to_the_end": ends}


def check_remains(folder):
    """What a death leaves is whole: every file that bears its name, and the newest checkpoint above all."""
    for path in [*CheckpointFolder(folder / "checkpoints").files(), *folder.glob("checkpoints/best.npz")]:
        load(path)
    if (folder / "result.json").exists():
        json.loads((folder / "result.json").read_text())
    if (folder / "backbone.keras").exists():
        assert zipfile.ZipFile(folder / "backbone.keras").testzip() is None


def check_same(folder, reference):
    """All that does not tell time is that of the reference, bit for bit, and nothing else lies there."""
    assert names(folder) == names(reference), names(folder) ^ names(reference)
    for path in sorted((reference / "checkpoints").iterdir()):
        (arrays, meta), (other, other_meta) = load(path), load(folder / "checkpoints" / path.name)
        assert arrays.keys() == other.keys()
        for name, array in arrays.items():
            np.testing.assert_array_equal(array, other[name], err_msg=f"{folder} {path.name} {name}", strict=True)
        assert timeless(meta) == timeless(other_meta)
    for read in (rows, result, weights):
        assert read(folder) == read(reference), f"{read.__name__} of {folder}"
    for name in ("views.png", "curves.png"):
        assert (folder / name).read_bytes() == (reference / name).read_bytes(), f"{folder} {name}"
    shown, expected = events(folder), events(reference)
    assert shown.keys() == expected.keys()
    for run, tag in expected:
        if tag != "configuration" and not tag.startswith(("speed/", "energy/")):
            assert shown[run, tag] == expected[run, tag], f"{folder} {run} {tag}"


def names(folder):
    """What lies there; every life has event files of its own."""
    return {path.relative_to(folder) for path in folder.rglob("*") if "tfevents" not in path.name}


def events(folder):
    """{(run, tag): [(step, value), ...]} of all that TensorBoard is given, in the order in which it was written."""
    found = {}
    for path in sorted(folder.rglob("*tfevents*")):
        for event in EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                plain = tensor_util.make_ndarray(value.tensor).tolist()
                found.setdefault((path.parent.name, value.tag), []).append((event.step, plain))
    return found


def timeless(value):
    if isinstance(value, dict):
        return {key: timeless(item) for key, item in value.items() if key not in TIMES}
    return [timeless(item) for item in value] if isinstance(value, list) else value


def rows(folder):
    with (folder / "metrics.csv").open() as file:
        return timeless(list(csv.DictReader(file)))


def result(folder):
    return timeless(json.loads((folder / "result.json").read_text()))


def weights(folder):
    with zipfile.ZipFile(folder / "backbone.keras") as file:
        return file.read("model.weights.h5"), file.read("config.json")
