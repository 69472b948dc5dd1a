"""Weighted k-nearest-neighbour classification (Wu et al. 2018, sec. 3.4; Aczel 2021, sec. 2.2).

Features are l2-normalised, the k training images of largest cosine similarity vote with weight exp(cos / T).
"""

import numpy as np

from simsiam_tf.errors import InputError
from simsiam_tf.evaluation.features import as_feature_pair, as_features, as_labels, as_num_classes, full_float32
from simsiam_tf.evaluation.neighbors import neighbours, without


@full_float32()
def knn_predict(
    train_features, train_labels, test_features, k=200, temperature=0.1, num_classes=None, chunk=256
) -> np.ndarray:
    """Classes (n_test,), int64, of the test features.

    Deterministic: of equally similar neighbours the one with the lower index is taken, of equal votes the lower
    class wins. A zero vector is equally far from everything: its cosine is 0.

    Args:
        train_features: (m, d), any finite scale; the memory bank.
        train_labels: (m,) integers from 0.
        test_features: (n, d).
        k: neighbours; all of the bank if it holds fewer.
        temperature: T > 0; the smaller, the more the nearest neighbours count.
        num_classes: by default the largest training label + 1.
        chunk: test features at a time; with the rows of the bank that `neighbours` takes it bounds the memory.

    Raises:
        InputError: shapes that do not fit, NaN or infinity, k < 1, temperature <= 0.
    """
    bank, queries = as_feature_pair(train_features, test_features)
    labels = as_labels("train_labels", train_labels, len(bank))
    num_classes = as_num_classes(num_classes, labels)
    if k < 1 or not temperature > 0:
        raise InputError(f"k: {k}, with temperature {temperature}; give both above 0")

    predictions = [
        _vote(similarity, labels[index], temperature, num_classes)
        for similarity, index in neighbours(bank, queries, k, chunk)
    ]
    return np.concatenate(predictions)


def knn_accuracy(train_features, train_labels, test_features, test_labels, k=200, temperature=0.1, **options) -> float:
    """Share of test features classified right, in [0, 1]; arguments and errors as in `knn_predict`.

    A test label that the training labels lack counts as an error.
    """
    predictions = knn_predict(train_features, train_labels, test_features, k, temperature, **options)
    return float(np.mean(predictions == as_labels("test_labels", test_labels, len(predictions))))


@full_float32()
def choose_neighbors(features, labels, ks, temperatures, most=10_000, chunk=256) -> tuple[int, float]:
    """The k and T with which most of these features (n, d) are classified right by the others of them.

    Leave-one-out, so that no further labels are needed. Of equals the pair named first is taken, k before T.

    Args:
        labels: (n,) integers from 0.
        ks, temperatures: candidates, each above 0.
        most: So many features, evenly spaced, are classified; all of them vote.

    Raises:
        InputError: shapes that do not fit, NaN or infinity.
    """
    bank = as_features("features", features)
    labels = as_labels("labels", labels, len(bank))
    rows = np.unique(np.linspace(0, len(bank) - 1, min(most, len(bank))).astype(int))
    right = np.zeros((len(ks), len(temperatures)), int)
    found = neighbours(bank, bank[rows], max(ks) + 1, chunk)
    for start, (similarity, index) in zip(range(0, len(rows), chunk), found, strict=True):
        similarity, index = without(rows[start : start + chunk], similarity, index)
        if not index.shape[1]:  # a bank of one
            break
        truth, classes = labels[rows[start : start + chunk]], int(labels.max()) + 1
        for i, j in np.ndindex(right.shape):
            votes = _vote(similarity[:, : ks[i]], labels[index[:, : ks[i]]], temperatures[j], classes)
            right[i, j] += np.sum(votes == truth)
    i, j = np.unravel_index(right.argmax(), right.shape)
    return ks[i], temperatures[j]


def _vote(similarity, neighbour_labels, temperature, num_classes):
    """Classes (n,) from similarities and labels (n, k).

    On the host: adding in neighbour order and in float64 keeps exact ties exact, which parallel sums would not.
    """
    n = len(similarity)
    # Relative to the nearest neighbour, so that no temperature overflows; a common factor changes no vote.
    weights = np.exp((similarity - similarity[:, :1]).astype(np.float64) / temperature)
    cells = np.arange(n)[:, None] * num_classes + neighbour_labels
    votes = np.bincount(cells.ravel(), weights.ravel(), minlength=n * num_classes)
    return votes.reshape(n, num_classes).argmax(axis=1)
