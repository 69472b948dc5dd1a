"""kNN and the linear probe on real CIFAR-10 against slow implementations in float64: the same predictions.

5,000 training and 2,000 test images, as raw pixels and as features of an untrained ResNet-18. The latter are the
harder case: all cosines lie near 1, and the k-th neighbour's is often only 1e-8 above the next.
"""

import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from threadpoolctl import threadpool_limits

from simsiam_tf import data
from simsiam_tf.evaluation.features import extract, in_batches, raw_pixels
from simsiam_tf.evaluation.knn import knn_predict
from simsiam_tf.evaluation.linear import epoch_order, linear_probe
from simsiam_tf.networks.resnet import build


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """For NumPy and SciPy: on small matrices, beside TensorFlow's threads, more take ten times as long."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def cifar(shared_data):
    return data.load(
        "tfds",
        name="cifar10",
        path=str(shared_data / "tfds"),
        image_size=32,
        train_split="train[:5000]",
        test_split="test[:2000]",
    )


@pytest.fixture(scope="module")
def pixels(cifar):
    """Half of the bank, since the references are slow at d = 3,072."""
    train, test = cifar
    return raw_pixels(train.images[:2500]), train.labels[:2500], raw_pixels(test.images), test.labels


@pytest.fixture(scope="module")
def untrained(cifar):
    network = build("resnet18", width=8, seed=0)
    train, test = cifar
    features, queries = (extract(network, in_batches(split.images)) for split in cifar)
    assert features.shape == (5000, 64)
    assert queries.shape == (2000, 64)
    return features, train.labels, queries, test.labels


def loop_knn(bank, labels, queries, k, temperature):
    """Aczel 2021, sec. 2.2, a query at a time in float64; also the narrowest margin between two classes' shares."""
    bank, queries = (x.astype(float) / np.linalg.norm(x.astype(float), axis=1, keepdims=True) for x in (bank, queries))
    predictions, margins = [], []
    for cosine in queries @ bank.T:
        votes = np.zeros(10)
        for neighbour in np.argsort(-cosine, kind="stable")[:k]:
            votes[labels[neighbour]] += math.exp(cosine[neighbour] / temperature)
        second, first = np.sort(votes)[-2:]
        predictions.append(votes.argmax())
        margins.append((first - second) / votes.sum())
    return np.array(predictions), min(margins)


@pytest.mark.parametrize("name", ["pixels", "untrained"])
def test_knn_predicts_what_the_loop_predicts(name, request):
    """By default, which is the protocol's k and temperature."""
    bank, labels, queries, answers = request.getfixturevalue(name)
    expected, margin = loop_knn(bank, labels, queries, k=200, temperature=0.1)
    assert 1e-7 < margin < 1e-3  # Close calls, but none that float32 could not decide.
    np.testing.assert_array_equal(knn_predict(bank, labels, queries), expected)
    assert 0.2 < np.mean(expected == answers) < 0.35


@pytest.mark.parametrize(
    ("name", "k", "temperature"),
    [("pixels", 200, 0.1), ("untrained", 200, 0.1), ("untrained", 20, 0.02), ("untrained", 1, 0.1)],
)
def test_knn_predicts_what_scikit_learn_predicts(name, k, temperature, request):
    bank, labels, queries, _ = request.getfixturevalue(name)

    def weights(distance):
        return np.exp((1 - distance) / temperature)

    reference = KNeighborsClassifier(k, weights=weights, algorithm="brute", metric="cosine")
    shares = reference.fit(bank.astype(float), labels).predict_proba(queries.astype(float))  # (n, 10)
    second, first = np.sort(shares)[:, -2:].T
    other = knn_predict(bank, labels, queries, k, temperature) != shares.argmax(axis=1)
    # Cosines of an untrained network are so alike that float32 may take another k-th neighbour, by processor.
    assert other.mean() <= 1e-3
    assert (first - second)[other].max(initial=0) <= 1 / k


def initial_kernel(x, y, x_test, y_test, seed):
    """Of the probe: what it gives back at learning rate 0."""
    kernel = linear_probe(x, y, x_test, y_test, base_learning_rate=0.0, epochs=1, seed=seed).kernel
    return kernel.astype(float)


def numpy_probe(x, y, kernel, rate, epochs, seed):
    """SGD on the mean cross entropy in float64; the learning rate falls after each epoch along a cosine."""
    w, b = kernel, np.zeros(10)
    w_velocity, b_velocity = 0.0, 0.0
    one_hot = np.eye(10)[y]
    for epoch in range(epochs):
        for rows in epoch_order(len(x), 1, 256, epoch, seed):
            exp = np.exp(x[rows] @ w + b)
            error = exp / exp.sum(axis=1, keepdims=True) - one_hot[rows]
            w_velocity = 0.9 * w_velocity + x[rows].T @ error / 256
            b_velocity = 0.9 * b_velocity + error.mean(axis=0)
            w = w - rate * (1 + math.cos(math.pi * epoch / epochs)) / 2 * w_velocity
            b = b - rate * (1 + math.cos(math.pi * epoch / epochs)) / 2 * b_velocity
    return w, b


def torch_probe(x, y, kernel, rate, epochs, seed):
    """The same in PyTorch's parts, as the studies used them."""
    classifier = torch.nn.Linear(*kernel.shape, dtype=torch.float64)
    with torch.no_grad():
        classifier.weight.copy_(torch.tensor(kernel.T))
        classifier.bias.zero_()
    optimizer = torch.optim.SGD(classifier.parameters(), lr=rate, momentum=0.9)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    images, labels = torch.tensor(x), torch.tensor(y)
    for epoch in range(epochs):
        for rows in torch.tensor(epoch_order(len(x), 1, 256, epoch, seed)):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(classifier(images[rows]), labels[rows]).backward()
            optimizer.step()
        schedule.step()
    return classifier.weight.detach().numpy().T, classifier.bias.detach().numpy()


@pytest.mark.parametrize("reference", [numpy_probe, torch_probe])
@pytest.mark.parametrize(("name", "rate", "epochs"), [("pixels", 0.02, 2), ("untrained", 3.0, 4)])
def test_probe_ends_where_the_float64_loops_end(reference, name, rate, epochs, request):
    """At rates that are stable on these features; above, any two precisions part ways."""
    known = request.getfixturevalue(name)
    x, y, x_test, y_test = known
    kernel, bias = reference(x.astype(float), y, initial_kernel(*known, seed=2), rate, epochs, seed=2)
    result = linear_probe(*known, base_learning_rate=rate, epochs=epochs, seed=2)
    assert np.linalg.norm(result.kernel - kernel) < 1e-5 * np.linalg.norm(kernel)
    assert np.linalg.norm(result.bias - bias) < 1e-5 * np.linalg.norm(bias)
    expected = (x_test @ kernel + bias).argmax(axis=1)
    np.testing.assert_array_equal((x_test @ result.kernel + result.bias).argmax(axis=1), expected)
    assert result.accuracy == np.mean(expected == y_test)


def test_at_rate_30_predictions_part_ways_and_accuracies_do_not(pixels):
    """The steps are chaotic there: float32 and float64 end in other classifiers, of like accuracy."""
    x, y, x_test, y_test = pixels
    kernel, bias = torch_probe(x.astype(float), y, initial_kernel(*pixels, seed=2), 30.0, 20, seed=2)
    expected = (x_test @ kernel + bias).argmax(axis=1)
    result = linear_probe(*pixels, base_learning_rate=30.0, epochs=20, seed=2)
    differ = np.mean((x_test @ result.kernel + result.bias).argmax(axis=1) != expected)
    print(f"predictions that differ: {100 * differ:.1f} %; accuracies {result.accuracy}, {np.mean(expected == y_test)}")
    assert 0.01 < differ < 0.4
    assert result.accuracy == pytest.approx(np.mean(expected == y_test), abs=0.02)


def test_probe_finds_the_optimum_that_scikit_learn_finds(untrained):
    """With weight decay there is one optimum only. The bias decays too, hence it is a feature of the reference."""
    x, y, x_test, y_test = untrained
    decay, n = 1e-3, 1000
    x, y = x[:n], y[:n]
    reference = LogisticRegression(C=1 / (n * decay), fit_intercept=False, solver="newton-cholesky", tol=1e-9)
    optimum = reference.fit(np.c_[x, np.ones(n)].astype(float), y).coef_.T
    # The whole set is one batch, so that no order of images matters.
    options = {"base_learning_rate": 5 * 256 / n, "batch_size": n, "epochs": 700, "weight_decay": decay}
    result = linear_probe(x, y, x_test, y_test, **options)
    found = np.concatenate([result.kernel, result.bias[None]])
    assert np.linalg.norm(found - optimum) < 1e-4 * np.linalg.norm(optimum)
    assert result.accuracy == reference.score(np.c_[x_test, np.ones(len(x_test))], y_test)


def test_the_protocol_reaches_logistic_regression(untrained):
    """Learning rate 30, 100 epochs: within a point of all but unregularised logistic regression."""
    x, y, x_test, y_test = untrained
    x, y = x[:2500], y[:2500]
    reference = LogisticRegression(C=100, solver="newton-cholesky").fit(x.astype(float), y).score(x_test, y_test)
    assert 0.23 < reference < 0.26
    # A tenth of that learning rate stays 0.014 below the reference.
    assert linear_probe(x, y, x_test, y_test).accuracy == pytest.approx(reference, abs=0.01)
