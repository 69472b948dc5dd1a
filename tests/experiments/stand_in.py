"""A sweep whose cells are trained by a stand-in, in steps that it saves, so that sweeps can be killed in seconds.

python stand_in.py sweep STUDY RESULTS [--key value ...]    python stand_in.py train RUN_FOLDER
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

STEPS, SECONDS = 5, 0.04


def train(folder):
    """Five saved steps, then figures that depend on the configuration alone; each start and end is noted."""
    if (folder / "result.json").exists():  # as `train` does with a complete run
        return
    config = (folder / "config.yaml").read_text()
    if "path: nowhere" in config:
        sys.exit("data.path: nowhere is not there; give a folder")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))
    note(folder, "start")
    steps = folder / "steps"
    for step in range(int(steps.read_text()) if steps.exists() else 0, STEPS):
        time.sleep(SECONDS)
        write(steps, str(step + 1))
    if "stop_gradient: false" in config and "num_views: 3" in config:
        sys.exit("method.num_views: 3 is too many for this stand-in; give 2")
    collapsed = "stop_gradient: false" in config
    seed = int(config.split("\nseed: ")[1].split()[0])
    accuracy = (0.3 if collapsed else 0.8) + 0.01 * seed  # so that a lost or swapped seed shows in mean and deviation
    figures = {"knn_accuracy": accuracy, "seconds": 1.0, "feature_std": 0.01, "steps": STEPS, "total_steps": STEPS}
    figures |= {"outcome": "collapsed" if collapsed else "healthy"}
    write(folder / "environment.json", json.dumps({"packages": {}, "devices": ["CPU:0"], "precision": "float32"}))
    write(folder / "result.json", json.dumps(figures))
    note(folder, "end")


def write(path, text):
    """Whole or not at all, as a run writes: a signal may come at any moment."""
    partial = path.with_suffix(".partial")
    partial.write_text(text)
    os.replace(partial, path)


def note(folder, what):
    with (folder.parents[1] / "notes.txt").open("a") as notes:
        notes.write(f"{what} {folder.name} {os.environ.get('CUDA_VISIBLE_DEVICES', '-')}\n")


def sweep(study, results, *arguments):
    from simsiam_tf.cli.sweep import parser
    from simsiam_tf.experiments.results import Results
    from simsiam_tf.experiments.study import Study
    from simsiam_tf.experiments.sweep import Sweep

    options, cells = Study.read(Path(study)).cells(parser, list(arguments))
    devices = tuple(options.devices.split(",")) if options.devices else ()
    command = [sys.executable, __file__, "train"]
    runner = Sweep(
        cells,
        Results(Path(results)),
        options.jobs,
        devices,
        command=lambda cell: [*command, cell.config.folder],
    )
    print(json.dumps(runner.run()))


if __name__ == "__main__":
    {"train": lambda folder: train(Path(folder)), "sweep": sweep}[sys.argv[1]](*sys.argv[2:])
