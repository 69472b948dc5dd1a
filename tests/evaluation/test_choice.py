"""k, T and the probe's rate are chosen from the training labels alone, as a slow search would choose them."""

import tracemalloc

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import log_loss

from simsiam_tf.evaluation import linear
from simsiam_tf.evaluation import rate as module
from simsiam_tf.evaluation.knn import choose_neighbors, knn_predict
from simsiam_tf.evaluation.linear import linear_probe
from simsiam_tf.evaluation.protocol import NEIGHBORS, RATES, TEMPERATURES, evaluate_features, summarise
from simsiam_tf.evaluation.rate import choose_rate

KS, TEMPERATURES_HERE = (30, 9, 3, 1), (0.5, 0.05)


def classes_of(n, d=6, noise=0.7, seed=0):
    centres = np.random.default_rng(7).normal(size=(5, d))
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 5, n)
    return (centres[labels] + noise * rng.normal(size=(n, d))).astype(np.float32), labels


def slow_leave_one_out(x, y, k, temperature, rows):
    others = [np.delete(np.arange(len(x)), row) for row in rows]
    predicted = [knn_predict(x[o], y[o], x[[row]], k, temperature)[0] for row, o in zip(rows, others, strict=True)]
    return np.mean(predicted == y[rows])


@pytest.mark.parametrize("seed", range(4))
def test_leave_one_out_finds_the_best_pair(seed):
    x, y = classes_of(90, noise=1.2, seed=seed)
    x[::10] = x[1]  # equal pictures: a row is not always its own first neighbour
    scores = {(k, t): slow_leave_one_out(x, y, k, t, np.arange(len(x))) for k in KS for t in TEMPERATURES_HERE}
    assert choose_neighbors(x, y, KS, TEMPERATURES_HERE, chunk=32) == max(scores, key=scores.get)


def test_a_sample_is_classified_and_all_vote():
    x, y = classes_of(200, noise=1.2)
    rows = np.unique(np.linspace(0, 199, 40).astype(int))
    scores = {k: slow_leave_one_out(x, y, k, 0.1, rows) for k in KS}
    assert choose_neighbors(x, y, KS, (0.1,), most=40)[0] == max(scores, key=scores.get)


def test_many_equal_rows_do_not_vote_for_themselves():
    """With 8 copies of one row and k = 3, its own index may lie outside of what the search returns."""
    x, y = np.ones((8, 4), np.float32), np.arange(8)
    assert choose_neighbors(x, y, (3, 1), (0.1,)) == (3, 0.1)


def test_a_single_label_chooses_the_first():
    x, y = classes_of(1)
    assert choose_neighbors(x, y, KS, TEMPERATURES_HERE) == (30, 0.5)
    assert choose_rate(x, y, RATES) == RATES[0]


def test_rates_side_by_side_are_rates_one_by_one():
    x, y = classes_of(300)
    kernels, biases = linear.fit_probes(x, y, [3.0, 0.1], 5, 64, 4, (0.9, 0.0, 0.0), 1, 2)
    for rate, kernel, bias in zip([3.0, 0.1], kernels, biases, strict=True):
        alone = linear_probe(x, y, x, y, base_learning_rate=rate, batch_size=64, epochs=4, seed=2)
        np.testing.assert_allclose(kernel, alone.kernel, atol=1e-5)
        np.testing.assert_allclose(bias, alone.bias, atol=1e-5)


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_the_rate_is_the_one_of_the_smallest_held_out_cross_entropy(scale):
    """Features a hundred times as large want a rate ten thousand times as small."""
    x, y = classes_of(400, noise=1.0)
    x *= scale
    rates, fold = (30.0, 1e-1, 1e-5, 1e-9), module._folds(y, 0)
    scores = dict.fromkeys(rates, 0.0)
    for rate in rates:
        for held in range(5):
            known, asked = fold != held, fold == held
            probe = linear_probe(x[known], y[known], x[asked], y[asked], base_learning_rate=rate, epochs=10)
            logits = x[asked] @ probe.kernel + probe.bias
            scores[rate] += log_loss(y[asked], softmax(logits.astype(float), axis=1), labels=range(5)) * asked.sum()
    assert len(set(scores.values())) > 2
    assert choose_rate(x, y, rates, epochs=10) == min(scores, key=scores.get)


def test_one_label_a_class_chooses_the_least_rate_that_fits_most_of_them():
    """No held-out label could be guessed."""
    x, y = np.random.default_rng(0).normal(size=(8, 20)).astype(np.float32), np.arange(8)
    rates = (30.0, 1.0, 0.1, 0.003, 1e-6)
    right = {rate: linear_probe(x, y, x, y, base_learning_rate=rate, epochs=20).accuracy for rate in rates}
    fitting = [rate for rate in rates if right[rate] == 1]
    assert 1 < len(fitting) < len(rates)
    assert choose_rate(x, y, rates, epochs=20) == min(fitting)


def test_a_class_of_one_label_is_not_asked_of_a_probe_that_never_saw_it(monkeypatch):
    """One probe knows all classes that it has seen; the other doubts everything, and would win by lone labels."""
    labels = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 3, 4, 5])
    x = np.eye(len(labels), dtype=np.float32)  # so that a kernel holds the logits of each image

    def probes(x, y, *given, rows):
        seen, own = np.isin(labels, y[rows])[:, None], labels[:, None] == np.arange(6)
        return np.float32([own * np.where(seen, 5.0, -99.0), np.zeros((14, 6))]), np.zeros((2, 6))

    monkeypatch.setattr(module, "fit_probes", probes)
    assert choose_rate(x, labels, (1.0, 1e-7)) == 1.0


@pytest.mark.parametrize("in_memory", [2**30, 2**16])
def test_probes_of_some_rows_are_probes_of_these_alone(monkeypatch, in_memory):
    monkeypatch.setattr(linear, "IN_MEMORY", in_memory)
    x, y = classes_of(1000, d=20)
    rows, options = np.arange(3, 1000, 2), (5, 64, 2, (0.9, 0.0, 0.0), 2, 2)
    for some, alone in zip(
        linear.fit_probes(x, y, RATES, *options, rows=rows),
        linear.fit_probes(x[rows], y[rows], RATES, *options),
        strict=True,
    ):
        np.testing.assert_array_equal(some, alone)


def test_a_file_larger_than_the_memory_is_never_copied(monkeypatch, tmp_path):
    x, y = classes_of(4000, d=512, noise=3.0)
    chosen = choose_rate(x, y, RATES, epochs=1)
    losses, loss = [], module._loss
    monkeypatch.setattr(module, "_loss", lambda *given: losses.append(loss(*given)) or losses[-1])
    assert choose_rate(x, y, RATES, epochs=1) == chosen
    for each in (linear, module):
        monkeypatch.setattr(each, "IN_MEMORY", x.nbytes // 8)
    np.save(tmp_path / "x.npy", x)
    stored = np.load(tmp_path / "x.npy", mmap_mode="r")
    tracemalloc.start()
    assert choose_rate(stored, y, RATES, epochs=1) == chosen
    highest = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-6)  # parts are added up one after the other
    assert highest < x.nbytes // 3


def test_a_rate_that_diverges_is_not_chosen():
    x, y = classes_of(200)
    x *= 1e18
    assert choose_rate(x, y, (1e30, 1e-36), epochs=3) == 1e-36


def test_folds_hold_every_class_in_proportion():
    y = np.repeat([0, 1, 2], [50, 25, 5])
    fold = module._folds(y, 1)
    assert [np.bincount(y[fold == part]).tolist() for part in range(5)] == [[10, 5, 1]] * 5
    assert not np.array_equal(fold, module._folds(y, 2))


def test_auto_never_sees_the_test_labels():
    x, y = classes_of(400, noise=1.5)
    x_test, y_test = classes_of(50, seed=5)
    auto = {"k": "auto", "temperature": "auto", "base_learning_rate": "auto", "epochs": 3, "fractions": (1.0, 0.2)}
    chosen = [
        [{key: row[key] for key in ("neighbors", "temperature", "linear_learning_rate")} for row in rows]
        for rows in (evaluate_features(x, y, x_test, labels, **auto) for labels in (y_test, (y_test + 1) % 5))
    ]
    assert chosen[0] == chosen[1]
    assert all(row["neighbors"] in NEIGHBORS and row["temperature"] in TEMPERATURES for row in chosen[0])


def test_what_was_chosen_stands_beside_the_accuracy():
    x, y = classes_of(200)
    rows = evaluate_features(x, y, x, y, fractions=(1.0, 0.2), subsets=2, k=1, base_learning_rate="auto", epochs=2)
    whole, part = summarise(rows)
    assert (whole["neighbors"], whole["temperature"]) == ([1], [0.1])
    assert len(part["linear_learning_rate"]) == 2
    assert set(part["linear_learning_rate"]) <= set(RATES)
