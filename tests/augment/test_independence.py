"""Draws are independent: of image, layer, view, step, stream and of the run's seed."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from simsiam_tf import SimSiam
from simsiam_tf.methods.views import TEST_STREAM, TRAIN_STREAM
from whole_stack import whole_stack

N, STEPS = 512, 40
BOUND = 5 / np.sqrt(N * STEPS)  # standard deviations of a correlation


class ShowsItsSeed(keras.layers.Layer):
    def call(self, images, seed):
        return seed


@pytest.fixture
def seeds_of(small_backbone):
    """A function (seed of the run, stream) -> the augmenter's seeds, int (steps, views, 2)."""

    def seeds(seed, stream=TRAIN_STREAM):
        model = SimSiam(small_backbone(), ShowsItsSeed(), projection_dim=8, predictor_hidden=2, seed=seed)
        return np.array([model.draw_views(tf.zeros([1, 4, 4, 3]), step, stream) for step in range(STEPS)])

    return seeds


STACK = whole_stack(32).layers


def columns(layer, seed):
    """All that a layer draws for N images of 1000 px, a list of (N,)."""
    drawn = [tf.reshape(tf.cast(each, tf.float32), [N, -1]) for each in layer.draw(N, 1000, 1000, seed).values()]
    return tf.unstack(tf.concat(drawn, axis=1), axis=1)


@tf.function
def draw(seed):
    """All that the stack draws, as (parameters, N)."""
    seeds = tf.unstack(tf.random.split(seed, len(STACK), alg="philox"))
    return tf.stack([column for each in zip(STACK, seeds, strict=True) for column in columns(*each)])


def drawn(seeds):
    """(steps, 2) -> standardised (steps, parameters, N)."""
    values = np.stack([draw(tf.constant(seed, tf.int32)) for seed in seeds])
    return (values - values.mean(axis=(0, 2), keepdims=True)) / values.std(axis=(0, 2), keepdims=True)


def correlation(a, b):
    """Of every parameter with every other, over steps and images: (parameters, parameters)."""
    return np.einsum("spn,sqn->pq", a, b) / (a.shape[0] * a.shape[2])


@pytest.mark.parametrize("seed", [0, 1])
def test_views_steps_and_images_are_independent(seeds_of, seed):
    first, second = np.moveaxis(seeds_of(seed), 1, 0)
    first, second = drawn(first), drawn(second)
    assert np.abs(correlation(first, second)).max() < BOUND
    for view in (first, second):
        assert np.abs(correlation(view[1:], view[:-1])).max() < BOUND  # of consecutive steps
        assert np.abs(correlation(view[..., 1:], view[..., :-1])).max() < BOUND  # of neighbours in the batch
    assert np.abs(correlation(first[1:], second[:-1])).max() < BOUND
    assert np.abs(correlation(second[1:], first[:-1])).max() < BOUND


def test_runs_and_streams_are_independent(seeds_of):
    run = drawn(seeds_of(0)[:, 0])
    assert np.abs(correlation(run, drawn(seeds_of(1)[:, 0]))).max() < BOUND
    assert np.abs(correlation(run, drawn(seeds_of(0, TEST_STREAM)[:, 0]))).max() < BOUND


def test_layers_are_independent(seeds_of):
    view = drawn(seeds_of(0)[:, 0])
    layer = np.repeat(range(len(STACK)), [len(columns(layer, (0, 0))) for layer in STACK])
    between_layers = layer[:, None] != layer
    assert np.abs(correlation(view, view)[between_layers]).max() < BOUND


def test_no_seed_is_used_twice(seeds_of):
    seeds = np.concatenate([seeds_of(0), seeds_of(0, TEST_STREAM), seeds_of(1)]).reshape(-1, 2)
    assert len(np.unique(seeds, axis=0)) == len(seeds) == 3 * STEPS * 2
