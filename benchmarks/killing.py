"""A small run of the real command that dies again and again, and what its folder must hold in the end.

The command is `train`, or `finetune` of a run that it has made. It dies in three ways: by `kill -9` after some seconds,
before its n-th file operation in the run folder, and while it writes the n-th byte of any file (the system's limit on
file sizes ends it there). Or it meets a disk that fills up just before a certain file operation, is refused files above
n bytes, or lives with a clock that jumps.

The processes come from a server that has imported TensorFlow but has not started it, so that a life takes seconds. The
network has two layers, since only the tracing of more would take longer.
"""

import contextlib
import functools
import itertools
import multiprocessing
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from same_run import check_remains, check_same

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
CLASSIFIER = {"optimizer.epochs": 6, "method.held_out": 0.2, "method.patience": 4}
OPERATIONS = {"open", "os.rename", "os.remove", "os.link", "os.mkdir"}

servers = multiprocessing.get_context("forkserver")
servers.set_forkserver_preload(["simsiam_tf.runs.train", "sklearn.datasets"])


def train(folder, **changes):
    """Arguments of `simsiam-tf` for a run in this folder; a change such as optimizer__epochs=3 is optimizer.epochs."""
    return ["train", "--config", "digits", *options(SETTINGS, folder, changes)]


def finetune(run, folder, **changes):
    """The same for a classifier on the encoder of a run of `train`, ended by its labels or the epochs."""
    return ["finetune", str(run), *options(CLASSIFIER, folder, changes)]


def options(settings, folder, changes):
    given = settings | {"name": folder.name, "output": folder.parent}
    given |= {key.replace("__", "."): value for key, value in changes.items()}
    return [f"--{key}={value}" for key, value in given.items()]


def live(folder, log, death, operations, arguments):
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
    code = cli.main(arguments)
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


def one_life(folder, log, death=(None, None), command=train, **changes):
    """Run the command in a process of its own; returns (its exit code or None if it died, seconds, file operations)."""
    operations = servers.Value("i", 0)
    process = servers.Process(target=live, args=(folder, log, death, operations, command(folder, **changes)))
    start = time.monotonic()
    process.start()
    process.join(death[1] if death[0] == "second" else None)
    process.kill()
    process.join()
    died = process.exitcode in (-signal.SIGKILL, -signal.SIGXFSZ)
    return None if died else process.exitcode, time.monotonic() - start, operations.value


class Undisturbed(NamedTuple):
    """A finished run, how long it took, its number of file operations, and what gives its command for a folder."""

    folder: Path
    seconds: float
    operations: int
    command: Callable


def undisturbed(output, command=train, name="undisturbed"):
    """Run the command in `output`, once, to its end."""
    servers.Process(target=time.sleep, args=(0,)).start()  # the server imports now, not in the measured time
    code, seconds, operations = one_life(output / name, output / "log", command=command)
    assert code == 0, (output / "log").read_text()
    return Undisturbed(output / name, seconds, operations, command)


def classifier_of(reference):
    """The same for a classifier on an Undisturbed run's encoder, in a folder beside it."""
    command = functools.partial(finetune, reference.folder)
    return undisturbed(reference.folder.parent, command, "classifier")


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
    output.mkdir(exist_ok=True)
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
        code, _, _ = one_life(folder, log, death, reference.command)
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
