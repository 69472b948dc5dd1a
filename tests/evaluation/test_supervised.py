"""The supervised benchmark learns, starts anew for every subset, and traces once."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from simsiam_tf.errors import InputError
from simsiam_tf.evaluation.supervised import SupervisedBenchmark, batch_order, train_supervised

OPTIONS = {
    "steps_per_epoch": 4,
    "epochs": 6,
    "batch_size": 32,
    "base_learning_rate": 0.8,
    "weight_decay": 1e-4,
}


def backbone():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((None, None, 3))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Conv2D(8, 3, use_bias=False)(x)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.5)(x))
    return keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x))


def augment(images, seed):
    """Brightness noise, a pure function of the seed."""
    images = tf.cast(images, tf.float32)
    return images + tf.random.stateless_uniform([tf.shape(images)[0], 1, 1, 1], seed, -20, 20)


def colours(n, seed=0):
    """Noise images whose class is their dominant channel."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n)
    images = rng.integers(0, 120, (n, 6, 6, 3), dtype=np.uint8)
    images[np.arange(n), :, :, labels] += 60
    return images, labels


@pytest.fixture
def benchmark():
    return SupervisedBenchmark(backbone(), 3, augment, **OPTIONS)


def test_learns_an_easy_task(benchmark):
    images, labels = colours(200)
    before = benchmark.accuracy(*colours(200, seed=1))
    loss = benchmark.fit(images, labels)
    assert loss < 0.5 * math.log(3)
    assert benchmark.accuracy(*colours(200, seed=1)) > max(0.95, before)


def test_every_fit_starts_from_the_same_weights(benchmark):
    images, labels = colours(100)
    benchmark.fit(images, labels)
    first = benchmark.model.get_weights()
    benchmark.fit(images[:9], labels[:9])  # Smaller than a batch.
    other = benchmark.model.get_weights()
    benchmark.fit(images, labels)
    for a, b in zip(first, benchmark.model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.allclose(first[0], other[0])
    assert benchmark.optimizer.iterations == 24


def test_subsets_share_one_trace():
    calls = []

    def counted(images, seed):
        calls.append(images.shape)
        return augment(images, seed)

    benchmark = SupervisedBenchmark(backbone(), 3, counted, **OPTIONS)
    for n in (100, 40, 7):
        benchmark.fit(*colours(n))
        benchmark.accuracy(*colours(50))
    assert benchmark._step.experimental_get_tracing_count() == 1
    assert benchmark._network_step.experimental_get_tracing_count() == 1
    assert calls == [(32, 6, 6, 3)]


def test_every_step_has_its_own_seed_and_everything_is_trained():
    benchmark = SupervisedBenchmark(backbone(), 3, augment, **{**OPTIONS, "seed": 5})
    seeds, network_step = [], benchmark._network_step
    benchmark._augment = lambda images, seed: seeds.append(tuple(seed.numpy())) or augment(images, seed)
    benchmark._step = benchmark._train_step  # Eagerly, so that the values can be seen.
    initial = benchmark.model.get_weights()
    benchmark.fit(*colours(50))
    assert network_step.experimental_get_tracing_count() == 1
    assert seeds == [(5, step) for step in range(24)]
    # Every weight moves, moving statistics included: the network is in training mode.
    assert all(not np.allclose(a, b) for a, b in zip(initial, benchmark.model.get_weights(), strict=True))


def test_one_step_is_sgd_on_the_cross_entropy():
    """A single step: w - lr (g + decay w), with lr = base * batch / 256."""
    options = {**OPTIONS, "steps_per_epoch": 1, "epochs": 1, "weight_decay": 0.1}
    benchmark = SupervisedBenchmark(backbone(), 3, lambda images, seed: tf.cast(images, tf.float32), **options)
    images, labels = colours(32)
    variables = benchmark.model.trainable_variables
    before = [v.numpy() for v in variables]
    with tf.GradientTape() as tape:
        log_p = tf.nn.log_softmax(benchmark.model(images.astype("float32"), training=True))
        loss = -tf.reduce_mean(tf.gather(log_p, labels, batch_dims=1))
    gradients = tape.gradient(loss, variables)
    assert benchmark.fit(images, labels) == pytest.approx(float(loss), rel=1e-5)
    for variable, w, g in zip(variables, before, gradients, strict=True):
        np.testing.assert_allclose(variable.numpy(), w - 0.1 * (g.numpy() + 0.1 * w), atol=1e-5)


def test_batches_use_every_image_equally():
    order = np.stack(list(batch_order(10, 12, 16, seed=0)))
    assert order.shape == (12, 16)
    counts = np.bincount(order.ravel(), minlength=10)
    assert counts.sum() == 192
    assert counts.max() - counts.min() <= 1
    first, second = batch_order(100, 2, 40, seed=0)
    assert len(np.unique(np.concatenate([first, second]))) == 80
    assert not np.array_equal(first, next(batch_order(100, 1, 40, seed=1)))


def test_train_supervised_gives_a_classifier():
    images, labels = colours(200)
    model = train_supervised(backbone, images, labels, num_classes=3, augmenter=augment, **OPTIONS)
    logits = model(images.astype("float32"), training=False).numpy()
    assert logits.shape == (200, 3)
    assert np.mean(logits.argmax(axis=1) == labels) > 0.9


def test_bad_input_is_named(benchmark):
    images, labels = colours(10)
    with pytest.raises(InputError, match="num_classes: 3,"):
        benchmark.fit(images, labels + 3)
    with pytest.raises(InputError, match="labels: shape"):
        benchmark.fit(images, labels[:5])
    with pytest.raises(InputError, match="epochs 0"):
        SupervisedBenchmark(backbone(), 3, augment, **{**OPTIONS, "epochs": 0})
