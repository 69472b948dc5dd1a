"""The nearest of very many features: all pairs against the index that `inspect` takes above 100,000 pictures.

    python benchmarks/nearest.py --json benchmarks/results/nearest.json

Features are normal around as many centres as there are tens of them, so that each has some that are much nearer than
the rest. Seconds for the 20 nearest others of each; of the index also the share of them that it finds, on some queries.
"""

import argparse
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import record
from large_features import GIB, peak

from simsiam_tf.evaluation.neighbors import nearest, nearest_others, without

K = 20


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--exact", type=int, default=100_000, help="features of which all pairs are compared")
    parser.add_argument("--index", type=int, default=200_000, help="features of the index")
    parser.add_argument("--features", type=int, default=512, help="their dimension")
    parser.add_argument("--queries", type=int, default=1000, help="of which the index is held to all pairs")
    parser.add_argument("--json", metavar="FILE", help="write the figures here, too")
    return parser.parse_args()


def clustered(n, dim):
    generator = np.random.default_rng(0)
    centres = generator.standard_normal((max(1, n // 10), dim), np.float32)
    return centres[generator.integers(0, len(centres), n)] + 0.7 * generator.standard_normal((n, dim), np.float32)


def main():
    a = parse()
    features = clustered(a.exact, a.features)
    nearest(features[:1000], features[:10], K)  # loads what TensorFlow loads once
    _, exact_seconds, exact_grown = peak(lambda: nearest_others(features, K, exact=a.exact))
    features = clustered(a.index, a.features)
    (found, _), index_seconds, index_grown = peak(lambda: nearest_others(features, K, exact=0))
    rows = np.random.default_rng(1).choice(a.index, a.queries, replace=False)
    start = time.perf_counter()
    index, cosine = nearest(features, features[rows], K + 1)
    sample_seconds = time.perf_counter() - start
    _, truth = without(rows, cosine, index)
    recall = np.mean([len(np.intersect1d(one, other)) / K for one, other in zip(found[rows], truth, strict=True)])
    figures = {
        "features": a.features,
        "exact": {"n": a.exact, "seconds": exact_seconds, "gib": exact_grown / GIB},
        "index": {"n": a.index, "seconds": index_seconds, "gib": index_grown / GIB, "recall": float(recall)},
        "exact_seconds_of_the_index_n": sample_seconds * a.index / a.queries,
    }
    for name, value in figures.items():
        print(f"{name}: {value}")
    if a.json:
        record.write(a.json, figures)


if __name__ == "__main__":
    main()
