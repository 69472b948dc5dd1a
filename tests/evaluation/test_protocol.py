"""The protocol: same subsets for all methods, honest counts, and scikit-learn's digits as real data."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from simsiam_tf.errors import InputError
from simsiam_tf.evaluation import protocol
from simsiam_tf.evaluation.protocol import evaluate_features, evaluate_supervised, label_subsets, summarise


@pytest.fixture(scope="module")
def digits():
    data = load_digits()
    x, y = (data.data / 16).astype(np.float32), data.target
    return x[:1437], y[:1437], x[1437:], y[1437:]


def test_subsets_are_paired_stratified_and_seeded(digits):
    labels = digits[1]
    draws = list(label_subsets(labels))
    assert [(f, s) for f, s, _ in draws] == [
        (1.0, 0),
        (0.1, 0),
        (0.1, 1),
        (0.1, 2),
        (0.01, 0),
        (0.01, 1),
        (0.01, 2),
    ]
    np.testing.assert_array_equal(draws[0][2], np.arange(len(labels)))
    for fraction, _, index in draws:
        assert len(index) == pytest.approx(max(10, fraction * len(labels)), abs=5)
        assert len(set(labels[index])) == 10
        assert len(set(index)) == len(index)
    for (*_, index), (*_, again) in zip(draws, label_subsets(labels), strict=True):
        np.testing.assert_array_equal(index, again)
    assert not np.array_equal(draws[1][2], draws[2][2])
    others = [index for _, _, index in label_subsets(labels, (0.1,), seed=1)]
    assert not any(np.array_equal(a[2], b) for a in draws[1:4] for b in others)


def test_digits_from_raw_pixels(digits):
    rows = evaluate_features(*digits, subsets=2, base_learning_rate=3.0, epochs=30)
    assert [row["fraction"] for row in rows] == [1.0, 0.1, 0.1, 0.01, 0.01]
    assert rows[0]["labels_used"] == 1437
    assert 10 <= rows[-1]["labels_used"] <= 16
    whole, tenth, hundredth = summarise(rows)
    assert whole["knn_accuracy"] > 0.8
    assert whole["linear_accuracy"] > 0.9
    for name in (key for key in whole if key.endswith("_accuracy")):
        assert whole[name] > tenth[name] > hundredth[name] > 0.4


def test_settings_reach_the_evaluators(digits, monkeypatch):
    seen = []
    monkeypatch.setattr(protocol, "knn_accuracy", lambda x, y, *test, **options: seen.append((len(x), options)) or 0.5)
    original = protocol.linear_probe
    monkeypatch.setattr(
        protocol,
        "linear_probe",
        lambda *known, **options: seen.append(options) or original(*known, **options),
    )
    rows = evaluate_features(*digits, fractions=(0.1,), subsets=1, seed=7, k=5, temperature=0.2, epochs=1)
    assert seen[0] == (rows[0]["labels_used"], {"k": 5, "temperature": 0.2})
    assert seen[1] == {"base_learning_rate": 30.0, "repeat": 10, "seed": 7, "epochs": 1}
    assert rows[0]["knn_accuracy"] == 0.5
    evaluate_features(*digits, fractions=(0.1,), subsets=1, epochs=1)
    assert seen[2] == (rows[0]["labels_used"], {"k": 200, "temperature": 0.1})


def test_supervised_sees_the_same_subsets(digits):
    class Recorder:
        def __init__(self):
            self.fitted = []

        def fit(self, images, labels):
            self.fitted.append((images, labels))

        def accuracy(self, images, labels):
            return len(self.fitted) / 10

    x, y, x_test, y_test = digits
    recorder = Recorder()
    rows = evaluate_supervised(recorder, x, y, x_test, y_test, subsets=2, seed=3)
    for (images, labels), (*_, index) in zip(recorder.fitted, label_subsets(y, subsets=2, seed=3), strict=True):
        np.testing.assert_array_equal(images, x[index])
        np.testing.assert_array_equal(labels, y[index])
    assert [row["supervised_accuracy"] for row in rows] == [0.1, 0.2, 0.3, 0.4, 0.5]


def test_summary():
    rows = [
        {"fraction": 1.0, "subset": 0, "labels_used": 9, "knn_accuracy": 0.9},
        {"fraction": 0.1, "subset": 0, "labels_used": 3, "knn_accuracy": 0.5},
        {"fraction": 0.1, "subset": 1, "labels_used": 3, "knn_accuracy": 0.7},
    ]
    whole, tenth = summarise(rows)
    assert whole == {"fraction": 1.0, "subsets": 1, "knn_accuracy": 0.9}
    assert tenth["knn_accuracy"] == pytest.approx(0.6)
    assert tenth["knn_accuracy_std"] == pytest.approx(0.2 / np.sqrt(2))


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.5])
def test_bad_fractions_are_named(digits, fraction):
    with pytest.raises(InputError, match=r"fractions: .* is no share"):
        list(label_subsets(digits[1], (fraction,)))
