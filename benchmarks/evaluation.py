"""kNN classification and the linear probe, ours and in NumPy and scikit-learn, taking turns in one process.

    python benchmarks/evaluation.py --json benchmarks/results/evaluation.json

Features are Gaussian clusters, so that the accuracies, which are printed too, can be compared.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import record
from sklearn.neighbors import NearestNeighbors

from simsiam_tf.evaluation.knn import knn_accuracy
from simsiam_tf.evaluation.linear import epoch_order, linear_probe

CLASSES, NEIGHBORS, TEMPERATURE, RATE, BATCH = 10, 200, 0.1, 1.0, 256


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bank", type=int, default=50_000, help="training features m")
    parser.add_argument("--queries", type=int, default=2_000, help="test features n")
    parser.add_argument("--features", type=int, default=512, help="their dimension d")
    parser.add_argument("--epochs", type=int, default=5, help="of the linear probe")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clock", choices=list(record.CLOCKS), default="wall", help="cpu: of all threads together")
    parser.add_argument("--json", metavar="FILE", help="write the figures here, too")
    return parser.parse_args()


def clusters(m, n, d):
    """(bank (m, d), labels (m,), queries (n, d), labels (n,)) around random centres, float32."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, CLASSES, m + n)
    features = generator.normal(size=(CLASSES, d))[labels] + 8 * generator.normal(size=(m + n, d))
    features = features.astype(np.float32)
    return features[:m], labels[:m], features[m:], labels[m:]


def sklearn_knn(bank, labels, queries, truth):
    """The same vote from scikit-learn's brute-force search."""
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (bank, queries)]
    search = NearestNeighbors(n_neighbors=NEIGHBORS, algorithm="brute", metric="cosine").fit(unit[0])
    distance, index = search.kneighbors(unit[1])
    weights = np.exp((1 - distance) / TEMPERATURE)
    votes = np.stack([(weights * (labels[index] == k)).sum(axis=1) for k in range(CLASSES)], axis=1)
    return np.mean(votes.argmax(axis=1) == truth)


def numpy_knn(bank, labels, queries, truth, chunk=256):
    bank, queries = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (bank, queries))
    right = 0
    for start in range(0, len(queries), chunk):
        similarity = queries[start : start + chunk] @ bank.T
        index = np.argpartition(similarity, -NEIGHBORS, axis=1)[:, -NEIGHBORS:]
        weights = np.exp(np.take_along_axis(similarity, index, axis=1) / TEMPERATURE)
        votes = np.stack([(weights * (labels[index] == k)).sum(axis=1) for k in range(CLASSES)], axis=1)
        right += np.sum(votes.argmax(axis=1) == truth[start : start + chunk])
    return right / len(queries)


def numpy_probe(bank, labels, queries, truth, epochs):
    """Softmax regression by SGD with momentum, in the batches of `linear_probe`."""
    kernel, velocity = np.zeros((2, bank.shape[1] + 1, CLASSES), np.float32)
    bank, queries = (np.pad(x, ((0, 0), (0, 1)), constant_values=1) for x in (bank, queries))
    targets = np.eye(CLASSES, dtype=np.float32)[labels]
    for epoch in range(epochs):
        rate = np.float32(RATE * (1 + np.cos(np.pi * epoch / epochs)) / 2)
        for rows in epoch_order(len(bank), 1, BATCH, epoch, 0):
            logits = bank[rows] @ kernel
            odds = np.exp(logits - logits.max(axis=1, keepdims=True))
            error = odds / odds.sum(axis=1, keepdims=True) - targets[rows]
            velocity = np.float32(0.9) * velocity + bank[rows].T @ error / np.float32(BATCH)
            kernel -= rate * velocity
    return np.mean((queries @ kernel).argmax(axis=1) == truth)


def main():
    a = parse()
    data = clusters(a.bank, a.queries, a.features)
    tasks = {
        "kNN": {
            "ours": lambda: knn_accuracy(*data, k=NEIGHBORS, temperature=TEMPERATURE),
            "numpy": lambda: numpy_knn(*data),
            "sklearn": lambda: sklearn_knn(*data),
        },
        "linear probe": {
            "ours": lambda: linear_probe(*data, base_learning_rate=RATE, batch_size=BATCH, epochs=a.epochs).accuracy,
            "numpy": lambda: numpy_probe(*data, a.epochs),
        },
    }
    print(f"bank {a.bank}, queries {a.queries}, {a.features} features, probe of {a.epochs} epochs; {a.clock} time")
    print(f"{'':26}{'seconds':>9}{'min':>8}{'max':>8}{'ours is faster':>16}{'accuracy':>10}")
    results = []
    for task, functions in tasks.items():
        seconds = record.in_turns(functions, a.rounds, a.clock)
        for name, values in seconds.items():
            row = {
                "task": task,
                "variant": name,
                "seconds": record.spread(values),
                "accuracy": float(functions[name]()),
            }
            row["over_ours"] = record.ratio(values, seconds["ours"])
            results.append(row)
            times = "".join(f"{row['seconds'][key]:>{w}.2f}" for key, w in (("median", 9), ("min", 8), ("max", 8)))
            print(f"{task:14}{name:12}{times}{row['over_ours']:>14.2f} x{100 * row['accuracy']:>8.1f} %")
    if a.json:
        record.write(a.json, {k: v for k, v in vars(a).items() if k != "json"} | {"results": results})


if __name__ == "__main__":
    main()
