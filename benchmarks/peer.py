"""Our training beside lightly's, whole pipelines in turn on the same images; and accuracy over time.

    python -m venv L && L/bin/pip install lightly==1.6.0 torch==2.14.1 torchvision==0.29.1
    python benchmarks/peer.py --data TFDS --lightly L/bin/python --json benchmarks/results/peer.json
    python benchmarks/peer.py --data TFDS --lightly L/bin/python --race --json benchmarks/results/race.json \\
        --figure benchmarks/results/race.png

CIFAR-10's images at several sizes, ResNet-18 of several widths, SimSiam's heads as lightly has them, SGD. Each training
is a process of its own with all cores; the first epoch, which starts workers or compiles, is not in the images per
second, and is in the race. There one evaluator, our kNN, judges the features of both after each epoch, outside of the
time.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import record

from simsiam_tf.data import load
from simsiam_tf.evaluation.knn import knn_accuracy

HERE = Path(__file__).resolve().parent
CELLS = [(16, 16), (32, 16), (32, 64)]  # side in pixels, width of the network
RECIPE = {"batch_size": 64, "learning_rate": 0.15, "weight_decay": 5e-3, "projection_dim": 512, "predictor_hidden": 128}


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, metavar="TFDS", help="data_dir with cifar10")
    parser.add_argument("--lightly", required=True, metavar="PYTHON", help="of an environment with lightly")
    parser.add_argument("--images", type=int, default=5000, help="of a training whose rate is measured")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="of lightly's transforms")
    parser.add_argument("--race", action="store_true", help="accuracy over time in place of images per second")
    parser.add_argument("--seeds", type=int, default=3, help="of the race")
    parser.add_argument("--epochs", type=int, default=10, help="of the race")
    parser.add_argument("--race-images", type=int, default=20_000)
    parser.add_argument("--json", metavar="FILE", help="write the figures here, too")
    parser.add_argument("--figure", metavar="FILE", help="draw the race")
    return parser.parse_args()


def images_file(arguments, side, count, folder):
    """An .npz with training and test images of this side, and the labels of both."""
    path, test = folder / f"{side}-{count}.npz", 5000 if arguments.race else 100
    splits = load("tfds", name="cifar10", path=arguments.data, image_size=side, limit=count, test_limit=test)
    arrays = {name: images.frames(np.arange(len(images))) for name, images in splits._asdict().items()}
    labels = {"labels": splits.train.labels, "test_labels": splits.test.labels}
    np.savez(path, images=arrays["train"], test_images=arrays["test"], **labels)
    return path


def trained(arguments, who, images, width, epochs, seed, folder, features=False):
    """Rows of one training: epoch, seconds so far, loss; and its features in files if they are wanted."""
    output = folder / f"{who}-{images.stem}-{width}-{seed}"
    output.with_suffix(".jsonl").unlink(missing_ok=True)
    asked = RECIPE | {"images": str(images), "width": width, "epochs": epochs, "seed": seed, "features": features}
    asked |= {"threads": os.cpu_count(), "workers": arguments.workers, "output": str(output)}
    python = sys.executable if who == "ours" else arguments.lightly
    subprocess.run([python, str(HERE / f"peer_{who}.py"), json.dumps(asked)], check=True)
    return output, [json.loads(line) for line in output.with_suffix(".jsonl").read_text().splitlines()]


def rates(arguments, folder):
    """[{size, width, ours, lightly: spread of images per second, ratio}] over the cells."""
    found = []
    for side, width in CELLS:
        images, seen = images_file(arguments, side, arguments.images, folder), {"ours": [], "lightly": []}
        for turn in range(arguments.rounds):
            for who in list(seen)[:: -1 if turn % 2 else 1]:
                _, rows = trained(arguments, who, images, width, 2, turn, folder)
                pictures = arguments.images // RECIPE["batch_size"] * RECIPE["batch_size"]
                seen[who].append(pictures / (rows[1]["seconds"] - rows[0]["seconds"]))
        row = {"side": side, "width": width} | {who: record.spread(values) for who, values in seen.items()}
        row["ratio"] = statistics.median(a / b for a, b in zip(*seen.values(), strict=True))
        found.append(row)
        print(f"{side} px, width {width}: ours {row['ours']['median']:.0f}, lightly {row['lightly']['median']:.0f} "
              f"images/s, {row['ratio']:.2f} x", flush=True)  # fmt: skip
    return found


def race(arguments, folder):
    """{who: [[(seconds, kNN accuracy) of each epoch] of each seed]}."""
    images = images_file(arguments, 16, arguments.race_images, folder)
    with np.load(images) as content:
        labels, test_labels = content["labels"], content["test_labels"]
    found = {"ours": [], "lightly": []}
    for seed in range(arguments.seeds):
        for who in list(found)[:: -1 if seed % 2 else 1]:
            output, rows = trained(arguments, who, images, 16, arguments.epochs, seed, folder, features=True)
            curve = []
            for row in rows:
                with np.load(f"{output}-{row['epoch']}.npz") as features:
                    curve.append(
                        (row["seconds"], float(knn_accuracy(features["train"], labels, features["test"], test_labels)))
                    )
            found[who].append(curve)
            print(f"{who}, seed {seed}: {curve[-1][1]:.1%} after {curve[-1][0]:.0f} s", flush=True)
    return found


def draw(found, path):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4))
    for color, (who, curves) in zip(("C0", "C1"), found.items(), strict=True):
        for seed, curve in enumerate(curves):
            axes.plot(*zip(*curve, strict=True), ".-", color=color, alpha=0.7, label=who if not seed else None)
    axes.set(xlabel="seconds of training", ylabel="kNN accuracy", title="CIFAR-10, 16 px, ResNet-18 of width 16")
    axes.legend()
    figure.savefig(path, dpi=120, bbox_inches="tight")


def main():
    arguments = parse()
    with tempfile.TemporaryDirectory() as temporary:
        found = (race if arguments.race else rates)(arguments, Path(temporary))
    if arguments.json:
        record.write(arguments.json, {"race" if arguments.race else "cells": found})
    if arguments.figure:
        draw(found, arguments.figure)


if __name__ == "__main__":
    main()
