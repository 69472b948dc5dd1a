"""What a checkpoint costs: seconds that steps wait for it, and seconds until it is on the disk.

    python benchmarks/checkpoint.py --json benchmarks/results/checkpoint.json

The whole state of SimSiam with a ResNet-18, newest and best epoch in turn. Steps wait for the copy to host memory; the
rest, which is the file, its SHA-256 and the flush to the disk, goes on beside them.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import record

from simsiam_tf import SimSiam, make_optimizer, recipe
from simsiam_tf.callbacks import DivergenceMonitor, RunRecord
from simsiam_tf.networks import resnet
from simsiam_tf.runs.checkpoint import CheckpointFolder
from simsiam_tf.runs.checkpointer import Checkpointer
from simsiam_tf.runs.interrupt import Interrupt


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=64, help="channels of the first stage")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", metavar="FILE", help="write the figures here, too")
    return parser.parse_args()


def main():
    arguments = parse()
    model = SimSiam(resnet.build("resnet18", width=arguments.width), recipe("cifar10", image_size=32))
    model.compile(optimizer=make_optimizer(model, 100, learning_rate=0.03, batch_size=512, epochs=800))
    model.optimizer.build(model.trainable_variables)
    seconds = {"steps wait": [], "on the disk": []}
    with tempfile.TemporaryDirectory() as name:
        folder = CheckpointFolder(Path(name))
        saver = Checkpointer(folder, RunRecord(Path(name) / "rows.csv"), Interrupt(), DivergenceMonitor())
        saver.set_model(model)
        for index in range(arguments.rounds):
            start = time.perf_counter()
            saver.save(best=index % 2 == 0)
            seconds["steps wait"].append(time.perf_counter() - start)
            saver.wait()
            seconds["on the disk"].append(time.perf_counter() - start)
        size = folder.files()[0].stat().st_size
    found = {name: record.spread(each) for name, each in seconds.items()}
    print(f"{size / 1e6:.0f} MB")
    for each, s in found.items():
        print(f"{each:<12} {s['median']:.2f} s ({s['min']:.2f} to {s['max']:.2f})")
    if arguments.json:
        record.write(arguments.json, {"width": arguments.width, "bytes": size, "seconds": found})


if __name__ == "__main__":
    main()
