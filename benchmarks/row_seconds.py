"""Seconds that an epoch of each row of the map takes: python benchmarks/row_seconds.py --data FOLDER_WITH_TFDS

The real loop without monitors and evaluation, one row after the other, alone on the machine: after a few steps, three
blocks of 50 steps (of so many images, where a batch has not 64), of which the median counts. study_page.py
puts the figures into its tables.
"""

import argparse
import dataclasses
import itertools
import json
import statistics
import time
from pathlib import Path

import keras
import record

from simsiam_tf.cli.sweep import parser
from simsiam_tf.experiments.results import file_name
from simsiam_tf.experiments.study import Study
from simsiam_tf.runs.build import load_data, prepare_process
from simsiam_tf.runs.fit import fit
from simsiam_tf.runs.folder import SilentFolder
from simsiam_tf.runs.interrupt import Interrupt
from simsiam_tf.runs.stop import SharedStop
from simsiam_tf.runs.train import count_steps, make_model
from simsiam_tf.runs.watchers import Watchers
from simsiam_tf.runs.workers import Workers
from simsiam_tf.settings import yaml_files

FILE = Path(__file__).parent / "results" / "row_seconds.json"
WARM, BLOCKS, IMAGES = 5, 3, 3200  # steps; blocks, and images of each


class Clock(keras.callbacks.Callback):
    """When each step was over."""

    def __init__(self):
        super().__init__()
        self.times = []

    def on_train_batch_end(self, batch, logs=None):
        self.times.append(time.perf_counter())


def blocks_of(config, images):
    """Seconds for a step in each block."""
    steps_per_epoch, workers, clock = count_steps(config, images), Workers(), Clock()
    block = max(3, IMAGES // config.optimizer.batch_size)
    training = dataclasses.replace(config.training, stop_after_steps=WARM + BLOCKS * block)
    config = dataclasses.replace(config, training=training)
    model = make_model(config, SilentFolder(), workers, steps_per_epoch, images)
    fit(config, model, images, Watchers([clock], SharedStop(workers, Interrupt())), workers, steps_per_epoch)
    ends = clock.times[WARM - 1 :: block]
    return [(after - before) / block for before, after in itertools.pairwise(ends)]


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--data", metavar="FOLDER", required=True, help="data.path")
    arguments.add_argument("--study", default="map_small")
    arguments.add_argument("--json", metavar="FILE", type=Path, default=FILE, help="rows that it has stay there")
    arguments = arguments.parse_args()
    study = Study.read(yaml_files.find(arguments.study, "studies"))
    cells = study.cells(parser, [f"--data.path={arguments.data}"])[1][: len(study.rows)]
    prepare_process(cells[0].config)
    images, rows = load_data(cells[0].config).train, {}
    for cell in cells:
        seconds = [each * count_steps(cell.config, images) for each in blocks_of(cell.config, images)]
        rows[file_name(cell.config)] = {"row": cell.row, "seconds": statistics.median(seconds), "blocks": seconds}
        print(f"{statistics.median(seconds):7.1f} s ({min(seconds):.1f} to {max(seconds):.1f})  {cell.row}", flush=True)
        keras.backend.clear_session()
    kept = json.loads(arguments.json.read_text())["rows"] if arguments.json.is_file() else {}
    record.write(arguments.json, {"rows": kept | rows})


if __name__ == "__main__":
    main()
