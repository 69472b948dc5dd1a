"""Seconds of training until the kNN monitor first showed an accuracy, read from the metrics.csv of runs.

    python benchmarks/time_to_accuracy.py runs/cifar10/metrics.csv runs/cifar10_fast/metrics.csv --accuracy 0.9

Training steps only: `epoch_seconds` summed up to that epoch, without monitors. A resumed epoch counts its second part.
"""

import argparse
import csv
from pathlib import Path


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="CSV")
    parser.add_argument("--accuracy", type=float, default=0.9, help="between 0 and 1")
    return parser.parse_args()


def time_to(rows, accuracy):
    """(epoch, seconds) of the first row whose kNN accuracy is at least `accuracy`, or None."""
    seconds = 0.0
    for row in rows:
        seconds += float(row["epoch_seconds"])
        if row.get("knn_accuracy") and float(row["knn_accuracy"]) >= accuracy:
            return int(row["epoch"]), seconds
    return None


def main():
    arguments = parse()
    for file in arguments.files:
        with file.open() as opened:
            rows = list(csv.DictReader(opened))
        found = time_to(rows, arguments.accuracy)
        best = max((float(row["knn_accuracy"]) for row in rows if row.get("knn_accuracy")), default=float("nan"))
        text = "epoch {}, {:.0f} s".format(*found) if found else f"not reached in {len(rows)} epochs, best {best:.1%}"
        print(f"{file}: kNN {arguments.accuracy:.0%}: {text}")


if __name__ == "__main__":
    main()
