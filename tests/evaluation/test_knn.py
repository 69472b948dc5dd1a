"""Weighted kNN against a slow loop, with ties, and the edges of its input."""

import math

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from simsiam_tf.errors import InputError
from simsiam_tf.evaluation import neighbors
from simsiam_tf.evaluation.knn import knn_accuracy, knn_predict


def slow_knn(bank, labels, queries, k, temperature, num_classes):
    """One query, one neighbour at a time."""
    predictions = []
    for query in queries.astype(float):
        cosines = [
            float(row @ query) / (np.linalg.norm(row) * np.linalg.norm(query)) if row.any() and query.any() else 0.0
            for row in bank.astype(float)
        ]
        nearest = sorted(range(len(bank)), key=lambda i: (-cosines[i], i))[:k]
        votes = [0.0] * num_classes
        for i in nearest:
            votes[labels[i]] += math.exp(cosines[i] / temperature)
        predictions.append(votes.index(max(votes)))
    return np.array(predictions)


def random_problem(m=300, n=60, d=8, classes=5, seed=0):
    rng = np.random.default_rng(seed)
    bank = rng.normal(size=(m, d)).astype(np.float32) * rng.uniform(0.1, 10, (m, 1)).astype(np.float32)
    return bank, rng.integers(0, classes, m), rng.normal(size=(n, d)).astype(np.float32)


@pytest.mark.parametrize(("k", "temperature"), [(1, 0.1), (7, 0.1), (50, 0.02), (200, 0.1), (200, 5.0), (999, 0.1)])
def test_equals_the_slow_loop(k, temperature):
    bank, labels, queries = random_problem()
    expected = slow_knn(bank, labels, queries, k, temperature, 5)
    np.testing.assert_array_equal(knn_predict(bank, labels, queries, k, temperature), expected)


def test_weights_decide_against_the_majority():
    """One neighbour at cosine 1 against two at 0.8: outvoted at T = 1, not at T = 0.1."""
    bank = np.array([[1, 0], [0.8, 0.6], [0.8, -0.6]])
    query = np.array([[2.0, 0]])
    assert knn_predict(bank, [1, 0, 0], query, k=3, temperature=0.1) == [1]
    assert knn_predict(bank, [1, 0, 0], query, k=3, temperature=1.0) == [0]


@pytest.mark.parametrize(("temperature", "expected"), [(0.09, 0), (0.11, 1)])
def test_the_default_temperature_is_a_tenth(temperature, expected):
    """Two neighbours at cosine c outvote one at 1 if 2 exp(-(1 - c) / T) > 1: the break-even is T."""
    c = 1 - temperature * math.log(2)
    bank = np.array([[1, 0], [c, math.sqrt(1 - c * c)], [c, -math.sqrt(1 - c * c)]])
    assert knn_predict(bank, [1, 0, 0], [[3.0, 0]]) == [expected]
    assert knn_accuracy(bank, [1, 0, 0], [[3.0, 0]], [expected]) == 1
    assert knn_predict(bank, [1, 0, 0], [[3.0, 0]], temperature=temperature * 1.01) == [0]
    assert knn_predict(bank, [1, 0, 0], [[3.0, 0]], temperature=temperature * 0.99) == [1]


def test_the_default_k_is_200():
    """Of equal neighbours the first k vote: 100 of class 1, then of class 0 up to number 200, which makes a tie."""
    labels = np.array([1] * 100 + [0] * 100 + [1] * 100)
    for k, expected in ((None, 0), (199, 1), (200, 0), (201, 1)):
        options = {} if k is None else {"k": k}
        assert knn_predict(np.ones((300, 4)), labels, np.ones((1, 4)), **options) == [expected]
        assert knn_accuracy(np.ones((300, 4)), labels, np.ones((1, 4)), [expected], **options) == 1


@pytest.mark.parametrize(("m", "d"), [(101, 3), (999, 64), (2500, 3072)])
def test_duplicates_far_apart_are_exact_ties(m, d):
    """Wherever in the bank, and in the matrix product, a row stands: the first of its copies is the neighbour."""
    rng = np.random.default_rng(m)
    bank, copies = rng.normal(size=(m, d)), rng.permutation(m)
    labels = np.concatenate([np.ones(m, int), np.zeros(m, int)])
    queries = rng.normal(size=(257, d))
    np.testing.assert_array_equal(knn_predict(np.concatenate([bank, bank[copies]]), labels, queries, k=1), 1)
    # Of each neighbour and its copy: equal votes, hence the lower class.
    np.testing.assert_array_equal(knn_predict(np.concatenate([bank, bank[copies]]), labels, queries, k=2), 0)


def test_one_image_or_one_class_decides_everything():
    _, _, queries = random_problem()
    np.testing.assert_array_equal(knn_predict(np.ones((1, 8)), [3], queries), 3)
    np.testing.assert_array_equal(knn_predict(np.zeros((1, 8)), [3], np.zeros((4, 8))), 3)
    bank, labels, _ = random_problem(seed=4)
    np.testing.assert_array_equal(knn_predict(bank, np.full_like(labels, 2), queries, num_classes=5), 2)


def test_equal_votes_go_to_the_lower_class():
    bank = np.repeat(np.eye(4), 6, axis=0)  # Six copies of each of four points.
    queries = np.eye(4)
    labels = np.tile([2, 1, 3, 1, 2, 3], 4)  # Each copy group votes two, two and two, whatever the order.
    np.testing.assert_array_equal(knn_predict(bank, labels, queries, k=6), [1, 1, 1, 1])
    np.testing.assert_array_equal(knn_predict(bank, labels, queries, k=24), [1, 1, 1, 1])
    np.testing.assert_array_equal(knn_predict(bank, 5 - labels, queries, k=6), [2, 2, 2, 2])


def test_equal_similarities_go_to_the_lower_index():
    bank = np.ones((10, 3))
    labels = np.array([4, 4, 3, 0, 0, 0, 0, 0, 0, 0])
    np.testing.assert_array_equal(knn_predict(bank, labels, np.ones((2, 3)), k=3), [4, 4])


@pytest.mark.parametrize("chunk", [1, 7, 60, 1000])
def test_chunks_do_not_matter(chunk):
    bank, labels, queries = random_problem(seed=1)
    expected = knn_predict(bank, labels, queries, k=20)
    np.testing.assert_array_equal(knn_predict(bank, labels, queries, k=20, chunk=chunk), expected)


def test_scale_does_not_matter_and_nothing_overflows():
    bank, labels, queries = random_problem(seed=2)
    expected = knn_predict(bank, labels, queries, k=20)
    for scale in (1e-30, 1e30):
        np.testing.assert_array_equal(knn_predict(bank * scale, labels, queries * scale, k=20), expected)
    nearest = knn_predict(bank, labels, queries, k=1)
    np.testing.assert_array_equal(knn_predict(bank, labels, queries, k=20, temperature=1e-6), nearest)


def test_zero_vectors_are_at_right_angles_to_everything():
    bank, labels, queries = random_problem(m=50, n=20, seed=3)
    bank[::5] = 0
    queries[::4] = 0
    predictions = knn_predict(bank, labels, queries, k=20)
    np.testing.assert_array_equal(predictions, slow_knn(bank, labels, queries, 20, 0.1, 5))


def test_one_trace_serves_all_sizes():
    knn_predict(*random_problem())
    traces = neighbors._nearest.experimental_get_tracing_count()
    for m, n, d, chunk in ((10, 3, 2, 2), (77, 9, 5, 256), (300, 60, 16, 11)):
        knn_predict(*random_problem(m, n, d), chunk=chunk)
    assert neighbors._nearest.experimental_get_tracing_count() == traces == 1


def test_accuracy_counts_unseen_classes_as_errors():
    bank, queries = np.eye(3), np.eye(3)
    assert knn_accuracy(bank, [0, 1, 2], queries, [0, 1, 2], k=1) == 1
    assert knn_accuracy(bank, [0, 1, 2], queries, [0, 1, 7], k=1) == pytest.approx(2 / 3)
    assert knn_accuracy(bank, [3, 3, 3], queries, [3, 3, 3]) == 1


def test_raw_digits():
    """k = 1 by cosine is scikit-learn's; weighted voting over 200 stays in its neighbourhood."""
    digits = load_digits()
    x, y = digits.data.astype(np.float32), digits.target
    train, test = slice(0, 1400), slice(1400, None)
    reference = KNeighborsClassifier(1, metric="cosine").fit(x[train], y[train]).score(x[test], y[test])
    assert knn_accuracy(x[train], y[train], x[test], y[test], k=1) == pytest.approx(reference, abs=0.003)
    assert knn_accuracy(x[train], y[train], x[test], y[test], k=200, temperature=0.02) > 0.93


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k": 0}, "k: 0"),
        ({"temperature": 0.0}, "temperature 0.0"),
        ({"train_labels": np.zeros(9, int)}, "train_labels: shape"),
        ({"test_features": np.ones((2, 5))}, "d = 5"),
        ({"test_features": np.full((2, 3), np.nan)}, "test_features: NaN or infinity"),
        ({"train_features": np.full((10, 3), np.inf)}, "train_features: NaN or infinity"),
        ({"train_features": np.zeros((0, 3))}, "train_features: shape"),
        ({"num_classes": 1, "train_labels": np.arange(10)}, "num_classes: 1,"),
    ],
)
def test_bad_input_is_named(change, message):
    arguments = {
        "train_features": np.ones((10, 3)),
        "train_labels": np.zeros(10, int),
        "test_features": np.ones((2, 3)),
    }
    with pytest.raises(InputError, match=message):
        knn_predict(**{**arguments, **change})


def best_of(bank, queries, k):
    return [np.concatenate(each) for each in zip(*neighbors.neighbours(bank, np.float32(queries), k, 10), strict=True)]


@pytest.mark.parametrize("k", [1, 5, 50, 200])
def test_a_bank_in_parts_is_the_bank(monkeypatch, k):
    """Equal rows lie in several parts, and k may be above what one part has; those of one direction are of one class,
    as rounding, which goes with the processor, decides between them."""
    generator = np.random.default_rng(0)
    bank, queries = generator.normal(size=(40, 6)), generator.normal(size=(33, 6))
    bank = np.concatenate([bank, bank, bank * 2]).astype(np.float32)  # 120 rows, each direction three times
    labels = np.tile(generator.integers(0, 5, 40), 3)
    whole = knn_predict(bank, labels, queries, k, 0.1, chunk=10)
    whole_best = [
        np.concatenate(each) for each in zip(*neighbors.neighbours(bank, np.float32(queries), k, 10), strict=True)
    ]
    for rows in (7, 16, 119):
        monkeypatch.setattr(neighbors, "BANK", rows)
        best = [
            np.concatenate(each) for each in zip(*neighbors.neighbours(bank, np.float32(queries), k, 10), strict=True)
        ]
        np.testing.assert_allclose(best[0], whole_best[0], atol=1e-6)
        assert len(np.unique(best[1][0])) == min(k, 120)
        np.testing.assert_array_equal(knn_predict(bank, labels, queries, k, 0.1, chunk=10), whole)


def test_of_equals_in_two_parts_the_first_is_taken(monkeypatch):
    bank = np.tile(np.eye(2, dtype=np.float32), (6, 1))
    monkeypatch.setattr(neighbors, "BANK", 4)
    ((similarity, index),) = neighbors.neighbours(bank, np.float32([[1, 0]]), 5, 8)
    assert index.tolist() == [[0, 2, 4, 6, 8]]
    assert similarity.tolist() == [[1] * 5]
