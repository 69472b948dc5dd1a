"""Memory and time of kNN, the linear probe and its choice of a rate on features in a file, and what ImageNet's need.

    python benchmarks/large_features.py --json benchmarks/results/large_features.json

Memory is what this process grows by at its peak, without the pages of the file, which the system takes back. By its
formula the kNN needs four copies of a part of the bank, the similarities of a chunk of queries with it, and the k best
of all queries; these are seen by themselves with 50,000 queries of few features, and a bank in small parts.
"""

import argparse
import functools
import os
import tempfile
import threading
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import record

from simsiam_tf.evaluation import knn, linear, neighbors, protocol, rate

K, CHUNK, GIB = 200, 256, 2**30
IMAGENET = {"bank": 1_281_167, "queries": 50_000, "features": 2048}


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bank", type=int, default=200_000, help="training features m")
    parser.add_argument("--queries", type=int, default=1000, help="test features n")
    parser.add_argument("--features", type=int, default=2048, help="their dimension d")
    parser.add_argument("--json", metavar="FILE", help="write the figures here, too")
    return parser.parse_args()


def anonymous():
    """Bytes of this process that are of no file."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("RssAnon"))) * 1024


def peak(work):
    """(result, seconds, bytes that the process grew by) of a call."""
    before, highest, over = anonymous(), [0], threading.Event()

    def look():
        while not over.wait(0.01):
            highest[0] = max(highest[0], anonymous())

    watcher = threading.Thread(target=look)
    watcher.start()
    start = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - start
    over.set()
    watcher.join()
    return result, seconds, highest[0] - before


def formula(bank, queries, features):
    """Bytes that the kNN needs besides bank and queries."""
    rows = min(bank, neighbors.BANK)
    return 4 * (4 * rows * features + CHUNK * rows) + 8 * K * queries


def main():
    a = parse()
    generator = np.random.default_rng(0)
    with tempfile.NamedTemporaryFile(suffix=".npy") as file:
        bank = np.lib.format.open_memmap(file.name, "w+", np.float32, (a.bank, a.features))
        for start in range(0, a.bank, 10_000):
            rows = bank[start : start + 10_000]
            rows[:] = generator.standard_normal(rows.shape, np.float32)
        labels = generator.integers(0, 1000, a.bank)
        queries = generator.standard_normal((a.queries, a.features), np.float32)
        knn.knn_predict(bank[:1000], labels[:1000], queries[:10])  # loads what TensorFlow loads once
        _, seconds, grown = peak(lambda: knn.knn_predict(bank, labels, queries, K, chunk=CHUNK))
        part, neighbors.BANK = neighbors.BANK, 2000
        few = [generator.standard_normal((n, 8), np.float32) for n in (6000, IMAGENET["queries"])]
        best = functools.partial(neighbors.neighbours, *few, K, chunk=CHUNK)
        best_grown, best_formula = peak(lambda: sum(1 for _ in best()))[2], formula(6000, IMAGENET["queries"], 8)
        neighbors.BANK = part
        linear.IN_MEMORY = rate.IN_MEMORY = bank.nbytes // 2
        truth = labels[: a.queries]
        _, probe_seconds, probe_grown = peak(lambda: linear.linear_probe(bank, labels, queries, truth, epochs=1))
        choose = functools.partial(rate.choose_rate, bank, labels, protocol.RATES, epochs=1)
        _, rate_seconds, rate_grown = peak(choose)
    found = {
        "bank": [a.bank, a.features],
        "queries": a.queries,
        "knn_seconds": seconds,
        "knn_gib": grown / GIB,
        "knn_gib_by_formula": formula(a.bank, a.queries, a.features) / GIB,
        "best_gib": best_grown / GIB,
        "best_gib_by_formula": best_formula / GIB,
        "probe_epoch_seconds": probe_seconds,
        "probe_gib": probe_grown / GIB,
        "rate_epoch_seconds": rate_seconds,
        "rate_gib": rate_grown / GIB,
        "probe_in_memory_gib": linear.IN_MEMORY / GIB,
        "imagenet_knn_gib_by_formula": formula(**IMAGENET) / GIB,
        "imagenet_knn_hours_extrapolated": seconds * IMAGENET["bank"] / a.bank * IMAGENET["queries"] / a.queries / 3600,
    }
    for name, value in found.items():
        print(f"{name}: {value}")
    if a.json:
        record.write(a.json, found)


if __name__ == "__main__":
    main()
