"""Losses against closed forms, slow loops and finite differences."""

import math

import numpy as np
import pytest
import tensorflow as tf

from simsiam_tf.methods.losses import cross_entropy_similarity, negative_cosine


def pair(n=5, d=4):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, d)), rng.normal(size=(n, d))


def slow_negative_cosine(prediction, target):
    total = 0.0
    for p, z in zip(prediction, target, strict=True):
        total -= sum(a * b for a, b in zip(p, z, strict=True)) / math.sqrt(sum(p * p)) / math.sqrt(sum(z * z))
    return total / len(prediction)


def slow_cross_entropy(prediction, target):
    total = 0.0
    for p, z in zip(prediction, target, strict=True):
        q = [math.exp(a) / sum(math.exp(b) for b in z) for a in z]
        log_p = [a - math.log(sum(math.exp(b) for b in p)) for a in p]
        total -= sum(a * b for a, b in zip(q, log_p, strict=True))
    return total / len(prediction)


LOSSES = [(negative_cosine, slow_negative_cosine), (cross_entropy_similarity, slow_cross_entropy)]


@pytest.mark.parametrize(("loss", "slow"), LOSSES)
def test_slow_loop(loss, slow):
    prediction, target = pair()
    assert float(loss(prediction, target)) == pytest.approx(slow(prediction, target), abs=1e-14)
    value = loss(prediction.astype("float32"), target.astype("float32"))
    assert value.dtype == tf.float32
    assert float(value) == pytest.approx(slow(prediction, target), abs=1e-6)


@pytest.mark.parametrize(("loss", "slow"), LOSSES)
def test_gradients_of_both_sides(loss, slow):
    """The loss is pure: the target has a gradient too, whoever wants it stopped stops it."""
    sides = [tf.constant(side) for side in pair()]
    with tf.GradientTape() as tape:
        tape.watch(sides)
        value = loss(*sides)
    gradients = tape.gradient(value, sides)
    for side, index in ((0, (1, 2)), (1, (3, 0))):
        moved = [s.numpy() for s in sides]
        moved[side][index] += 1e-6
        up = slow(*moved)
        moved[side][index] -= 2e-6
        slope = (up - slow(*moved)) / 2e-6
        assert abs(slope) > 1e-3
        assert float(gradients[side][index]) == pytest.approx(slope, abs=1e-8)


def test_cosine_closed_forms():
    z = np.eye(3, dtype="float32")
    assert float(negative_cosine(7 * z, 0.1 * z)) == pytest.approx(-1)
    assert float(negative_cosine(-2 * z, z)) == pytest.approx(1)
    assert float(negative_cosine(np.roll(z, 1, axis=0), z)) == 0
    assert float(negative_cosine([[1.0, 0.0]], [[1.0, 1.0]])) == pytest.approx(-math.sqrt(0.5))


def test_cosine_gradient_is_orthogonal_to_the_prediction():
    prediction, target = (tf.constant(side) for side in pair())
    with tf.GradientTape() as tape:
        tape.watch(prediction)
        value = negative_cosine(prediction, target)
    gradient = tape.gradient(value, prediction)
    np.testing.assert_allclose(tf.reduce_sum(gradient * prediction, axis=1), np.zeros(5), atol=1e-15)


def test_zero_vectors_are_harmless():
    prediction, target = tf.zeros((2, 3)), tf.constant([[1.0, 2.0, 2.0], [0.0, 0.0, 0.0]])
    with tf.GradientTape() as tape:
        tape.watch(prediction)
        value = negative_cosine(prediction, target)
    assert float(value) == 0
    # torch: d/dp = -z / |z| / 1e-12 / n
    np.testing.assert_allclose(tape.gradient(value, prediction)[0], np.array([-1, -2, -2]) / 6e-12, rtol=1e-5)


def test_cross_entropy_closed_forms():
    zeros = np.zeros((2, 8), "float32")
    assert float(cross_entropy_similarity(zeros, zeros)) == pytest.approx(math.log(8))
    certain = np.array([[100.0, 0.0, 0.0]])
    assert float(cross_entropy_similarity(certain, certain)) == pytest.approx(0, abs=1e-12)
    # The roles differ: a flat prediction costs log d, a sure and wrong one costs 100.
    assert float(cross_entropy_similarity(np.zeros((1, 3)), certain)) == pytest.approx(math.log(3))
    assert float(cross_entropy_similarity(certain, np.zeros((1, 3)))) == pytest.approx(200 / 3)


@pytest.mark.parametrize(("loss", "slow"), LOSSES)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_computed_in_float32(loss, slow, dtype):
    prediction, target = (tf.cast(side, dtype) for side in pair(n=50))
    value = loss(prediction, target)
    assert value.dtype == tf.float32
    exact = slow(*(tf.cast(side, "float64").numpy() for side in (prediction, target)))
    assert float(value) == pytest.approx(exact, abs=1e-6)


def test_float16_norms_do_not_overflow():
    big = tf.fill((2, 2048), tf.constant(3e4, tf.float16))
    assert float(negative_cosine(big, big)) == pytest.approx(-1, abs=1e-5)
