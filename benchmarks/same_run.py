"""Whether two run folders hold the same, bit for bit, but for what tells time; whether what a death left is whole."""

import csv
import json
import zipfile

import numpy as np
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.util import tensor_util

from simsiam_tf.runs.checkpoint import CheckpointFolder, load

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
NETWORKS = ("backbone.keras", "classifier.keras")


def check_remains(folder):
    """What a death leaves is whole: every file that bears its name, and the newest checkpoint above all."""
    for path in [*CheckpointFolder(folder / "checkpoints").files(), *folder.glob("checkpoints/best.npz")]:
        load(path)
    if (folder / "result.json").exists():
        json.loads((folder / "result.json").read_text())
    for name in NETWORKS:
        if (folder / name).exists():
            assert zipfile.ZipFile(folder / name).testzip() is None


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
    """{file: (weights, configuration)} of the networks that are kept."""
    found = {}
    for name in NETWORKS:
        if (folder / name).exists():
            with zipfile.ZipFile(folder / name) as file:
                found[name] = file.read("model.weights.h5"), file.read("config.json")
    return found
