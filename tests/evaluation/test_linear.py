"""The linear probe against its own NumPy loop, scikit-learn, and the edges of its input."""

import math

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from simsiam_tf.errors import InputError
from simsiam_tf.evaluation import linear
from simsiam_tf.evaluation.linear import epoch_order, linear_probe


def blobs(n, d=10, classes=4, spread=0.3, seed=0):
    """Features and labels of Gaussian classes; the class centres do not depend on the seed."""
    centres = np.random.default_rng(99).normal(size=(classes, d))
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    return (centres[labels] + spread * rng.normal(size=(n, d))).astype(np.float32), labels


def larc(gradient, weights, decay):
    """What apex's LARC with trust 0.001, not clipped, makes of a gradient."""
    sizes = np.linalg.norm(weights), np.linalg.norm(gradient)
    ratio = 0.001 * sizes[0] / (sizes[1] + decay * sizes[0] + 1e-8) if min(sizes) > 0 else 1.0
    return ratio * (gradient + decay * weights)


def numpy_probe(x, y, k, base, batch, epochs, momentum, decay, repeat, seed, step=lambda g, w, decay: g + decay * w):
    """PyTorch's SGD on the mean cross entropy, in float64, with the same initial kernel and order."""
    w = np.random.default_rng([seed, 0]).normal(0, 0.01, (x.shape[1], k)).astype(np.float32).astype(float)
    b = np.zeros(k)
    vw, vb = np.zeros_like(w), np.zeros_like(b)
    batch = min(batch, len(x) * repeat)
    for epoch in range(epochs):
        rate = base * batch / 256 * 0.5 * (1 + math.cos(math.pi * epoch / epochs))
        for rows in epoch_order(len(x), repeat, batch, epoch, seed):
            logits = x[rows] @ w + b
            p = np.exp(logits - logits.max(axis=1, keepdims=True))
            p /= p.sum(axis=1, keepdims=True)
            p[np.arange(len(rows)), y[rows]] -= 1
            vw = momentum * vw + step(x[rows].T @ p / len(rows), w, decay)
            vb = momentum * vb + step(p.sum(axis=0) / len(rows), b, decay)
            w, b = w - rate * vw, b - rate * vb
    return w, b


@pytest.mark.parametrize(
    ("n", "batch", "repeat", "decay"),
    [(100, 32, 1, 0.0), (100, 32, 3, 0.01), (20, 256, 1, 0.0), (20, 256, 5, 0.0)],
)
def test_equals_a_numpy_loop(n, batch, repeat, decay):
    x, y = blobs(n, spread=1.0)
    options = {"epochs": 5, "momentum": 0.8, "repeat": repeat, "seed": 3}
    result = linear_probe(
        x, y, x, y, base_learning_rate=2.0, batch_size=batch, weight_decay=decay, num_classes=4, **options
    )
    w, b = numpy_probe(x, y, 4, 2.0, batch, 5, 0.8, decay, repeat, 3)
    np.testing.assert_allclose(result.kernel, w, atol=2e-5)
    np.testing.assert_allclose(result.bias, b, atol=2e-5)
    assert result.accuracy == np.mean((x @ w + b).argmax(axis=1) == y)


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_lars_is_that_of_the_official_code(decay):
    x, y = blobs(100, spread=1.0)
    options = {"epochs": 5, "momentum": 0.9, "repeat": 2, "seed": 3}
    result = linear_probe(
        x,
        y,
        x,
        y,
        base_learning_rate=1000.0,
        optimizer="lars",
        batch_size=32,
        weight_decay=decay,
        num_classes=4,
        **options,
    )
    w, b = numpy_probe(x, y, 4, 1000.0, 32, 5, 0.9, decay, 2, 3, larc)
    np.testing.assert_allclose(result.kernel, w, rtol=1e-4, atol=2e-5)
    np.testing.assert_allclose(result.bias, b, rtol=1e-4, atol=2e-5)
    assert np.abs(w).max() > 0.1


def test_probes_side_by_side_are_scaled_by_themselves():
    x, y = blobs(100)
    kernels, biases = linear.fit_probes(x, y, [3.0, 0.1], 4, 32, 4, (0.9, 0.0, 1e-3), 1, 2)
    for kernel, bias, rate in zip(kernels, biases, (3.0, 0.1), strict=True):
        alone = linear_probe(x, y, x, y, base_learning_rate=rate, optimizer="lars", batch_size=32, epochs=4, seed=2)
        np.testing.assert_allclose(kernel, alone.kernel, atol=1e-6)
        np.testing.assert_allclose(bias, alone.bias, atol=1e-6)


def test_an_unknown_optimizer_is_refused():
    with pytest.raises(InputError, match=r"^optimizer: 'adam' is unknown; give one of sgd, lars$"):
        linear_probe(np.eye(3), [0, 1, 2], np.eye(3), [0, 1, 2], optimizer="adam")


def test_no_step_leaves_the_initial_weights():
    """N(0, 0.01) and a zero bias: without learning rate nothing moves."""
    x, y = blobs(300, d=400)
    result = linear_probe(x, y, x, y, base_learning_rate=0.0, epochs=1)
    assert result.kernel.shape == (400, 4)
    assert result.kernel.std() == pytest.approx(0.01, rel=0.05)
    np.testing.assert_array_equal(result.bias, 0)


def test_the_defaults_are_the_protocols():
    x, y = blobs(300, spread=1.0)
    protocol = {"base_learning_rate": 30, "batch_size": 256, "epochs": 100, "momentum": 0.9, "weight_decay": 0}
    expected = linear_probe(x, y, x, y, **protocol)
    np.testing.assert_array_equal(linear_probe(x, y, x, y).kernel, expected.kernel)


def test_reaches_logistic_regression():
    x, y = blobs(2000, spread=1.0)
    x_test, y_test = blobs(2000, spread=1.0, seed=1)
    reference = LogisticRegression(max_iter=1000).fit(x, y).score(x_test, y_test)
    accuracy = linear_probe(x, y, x_test, y_test, base_learning_rate=3.0, epochs=50).accuracy
    assert 0.8 < reference < 0.99
    assert accuracy == pytest.approx(reference, abs=0.01)


def test_the_protocols_learning_rate_solves_separable_data():
    x, y = blobs(500, spread=0.1)
    x_test, y_test = blobs(500, spread=0.1, seed=1)
    assert linear_probe(x, y, x_test, y_test, epochs=20).accuracy == 1


@pytest.mark.parametrize("scale", [0.1, 1.0, 1e4])
def test_large_features_stay_finite(scale):
    x, y = blobs(300)
    result = linear_probe(scale * x, y, scale * x, y, epochs=10)
    assert np.isfinite(result.kernel).all()
    assert result.accuracy > 0.5


def test_the_seed_decides():
    x, y = blobs(300, spread=1.0)
    first, again, other = (linear_probe(x, y, x, y, epochs=3, batch_size=64, seed=seed).kernel for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


def test_order_is_a_permutation_of_the_copies_and_drops_the_last_batch():
    whole = epoch_order(12, 5, 20, epoch=0, seed=0)
    assert whole.shape == (3, 20)
    np.testing.assert_array_equal(np.bincount(whole.ravel()), 5)
    assert epoch_order(50, 1, 16, epoch=0, seed=0).shape == (3, 16)
    assert len(np.unique(epoch_order(50, 1, 16, epoch=0, seed=0))) == 48
    assert not np.array_equal(whole, epoch_order(12, 5, 20, epoch=1, seed=0))
    assert not np.array_equal(whole, epoch_order(12, 5, 20, epoch=0, seed=1))


def test_a_single_class_is_predicted_for_everything():
    x, _ = blobs(100)
    for label in (0, 2):
        labels = np.full(100, label)
        assert linear_probe(x, labels, x, labels, epochs=5).accuracy == 1


def test_classes_that_training_lacks_are_errors():
    x, y = blobs(400, classes=4, spread=0.1)
    known = y < 3
    expected = known.mean()
    for num_classes in (None, 4, 10):
        result = linear_probe(x[known], y[known], x, y, num_classes=num_classes, epochs=20)
        assert result.accuracy == pytest.approx(expected)


def test_one_image_and_zero_vectors():
    """Zero vectors leave only the bias: the commonest class is predicted, for zero vectors at least."""
    zeros = np.zeros((6, 3))
    result = linear_probe(zeros, [1, 1, 1, 1, 0, 2], zeros, [0, 1, 1, 2, 1, 0], epochs=50, base_learning_rate=300.0)
    assert result.accuracy == 0.5
    share = np.exp(result.bias) / np.exp(result.bias).sum()
    np.testing.assert_allclose(share, [1 / 6, 4 / 6, 1 / 6], atol=1e-2)
    assert linear_probe([[2.0, -1.0]], [1], [[2.0, -1.0], [2.0, -1.0]], [1, 0], epochs=3).accuracy == 0.5


def test_duplicates_with_two_labels_get_both_probabilities():
    """The optimum for one point of three images of class 0 and one of class 1: probabilities 3/4 and 1/4."""
    x = np.ones((4, 2))
    result = linear_probe(x, [0, 1, 0, 0], x, [0, 1, 0, 0], base_learning_rate=64.0, epochs=200)
    logits = (x @ result.kernel + result.bias)[0]
    assert logits[0] - logits[1] == pytest.approx(math.log(3), abs=1e-3)
    assert result.accuracy == 0.75


def test_one_trace_serves_all_sizes():
    for n, d in ((50, 3), (300, 10), (10, 3)):
        x, y = blobs(n, d)
        linear_probe(x, y, x, y, epochs=2, batch_size=32)
    assert linear._train_epoch.experimental_get_tracing_count() == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train_features": np.full((10, 3), np.nan)}, "train_features: NaN or infinity"),
        ({"test_features": np.full((10, 3), np.inf)}, "test_features: NaN or infinity"),
        ({"test_features": np.ones((10, 4))}, "d = 4"),
        ({"train_labels": np.zeros(3, int)}, "train_labels: shape"),
        ({"test_labels": np.zeros(3, int)}, "test_labels: shape"),
        ({"num_classes": 1, "train_labels": np.ones(10, int)}, "num_classes: 1,"),
        ({"epochs": 0}, "epochs 0"),
        ({"train_features": np.eye(10, 3) * 1e30}, "diverge"),
    ],
)
def test_bad_input_is_named(change, message):
    labels = np.arange(10) % 2
    ones = np.ones((10, 3))
    arguments = {"train_features": ones, "train_labels": labels, "test_features": ones, "test_labels": labels}
    with pytest.raises(InputError, match=message):
        linear_probe(**{**arguments, **change})


@pytest.mark.parametrize("steps", [1, 3])
def test_features_that_do_not_fit_give_the_same_probe(monkeypatch, tmp_path, steps):
    """They are read from their file, some steps at a time."""
    x, y = blobs(200)
    np.save(tmp_path / "x.npy", x.astype(np.float32))
    options = {"batch_size": 32, "epochs": 3, "base_learning_rate": 1.0}
    whole = linear_probe(x, y, x, y, **options)
    monkeypatch.setattr(linear, "IN_MEMORY", 4 * steps * 32 * 10 * 4)
    stored = np.load(tmp_path / "x.npy", mmap_mode="r")
    read = linear_probe(stored, y, x, y, **options)
    np.testing.assert_array_equal(read.kernel, whole.kernel)
    np.testing.assert_array_equal(read.bias, whole.bias)
