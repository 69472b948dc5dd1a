"""Jitter and grayscale against Pillow's ImageEnhance and HSV, and the draws against their distributions."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from scipy import stats

import pillow_oracle
from simsiam_tf.augment import ColorJitter, RandomGrayscale

NAMES = pillow_oracle.OPERATIONS


def parameters(n, **given):
    """Transformations that change nothing but for those given."""
    neutral = {name: np.full(n, name != "hue", np.float32) for name in NAMES}
    neutral |= {"order": np.tile(np.arange(4, dtype=np.int32), (n, 1)), "apply": np.ones(n, bool)}
    return {name: tf.constant(given.get(name, value)) for name, value in neutral.items()}


def only(name):
    return ColorJitter(**{other: 0.5 if other == name else 0.0 for other in NAMES})


def resized(photos, size):
    return np.stack([np.asarray(Image.fromarray(photo).resize((size, size))) for photo in photos])


def assert_is_pillows(name, factors, images, close_to_pillow):
    factors = factors.astype(np.float32)
    given = parameters(len(images), **{name: factors})
    ours = only(name).augment_images(tf.cast(images, tf.float32), given)
    adjust = pillow_oracle.ADJUST[name]
    close_to_pillow(ours, [adjust(Image.fromarray(i), float(f)) for i, f in zip(images, factors, strict=True)])


@pytest.mark.parametrize("size", [32, 224])
@pytest.mark.parametrize("name", NAMES)
def test_each_operation_is_pillows(batch, close_to_pillow, name, size):
    factors = np.linspace(-0.5, 0.5, 8) if name == "hue" else np.linspace(0.0, 2.0, 8)
    assert_is_pillows(name, factors, batch(size), close_to_pillow)


@pytest.mark.parametrize("name", NAMES)
def test_operations_on_photographs(photos, close_to_pillow, name):
    images = resized(photos, 224)
    low, high = (-0.1, 0.1) if name == "hue" else (0.6, 1.4)
    assert_is_pillows(name, np.linspace(low, high, len(images)), images, close_to_pillow)


def test_primary_colours_turn():
    red = tf.reshape(tf.constant([255.0, 0.0, 0.0]), [1, 1, 1, 3])
    turned = only("hue").augment_images(red, parameters(1, hue=np.array([1 / 3 + 1e-3], np.float32)))
    np.testing.assert_array_equal(turned[0, 0, 0], [0, 255, 0])


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("size", [32, 224])
def test_all_orders_are_pillows(batch, size, compiled):
    """The whole chain, every image in another order and with its own factors: equal, level for level.

    Compiled, a product and a sum become one operation, which may cut off another level in a pixel or two.
    """
    orders = np.array(list(itertools.permutations(range(4))), np.int32)
    images = np.concatenate([batch(size)] * 3)
    rng = np.random.default_rng(size)
    factors = {name: rng.uniform(0.6, 1.4, 24).astype(np.float32) for name in NAMES[:3]}
    factors["hue"] = rng.uniform(-0.1, 0.1, 24).astype(np.float32)
    jitter = tf.function(ColorJitter().augment_images, jit_compile=compiled)
    ours = jitter(tf.cast(images, tf.float32), parameters(24, **factors, order=orders)).numpy()
    for i in range(24):
        given = {name: factors[name][i] for name in NAMES}
        pillows = np.asarray(pillow_oracle.jitter(Image.fromarray(images[i]), orders[i], given))
        assert np.mean(ours[i] != pillows) <= (1e-4 if compiled else 0)


def test_images_not_chosen_stay_as_they_are(batch):
    images = tf.cast(batch(16, n=2), tf.float32)
    given = parameters(2, brightness=np.full(2, 0.5, np.float32), apply=np.array([True, False]))
    jittered = ColorJitter().augment_images(images, given)
    assert np.any(jittered[0] != images[0])
    np.testing.assert_array_equal(jittered[1], images[1])


def test_strength_zero_changes_nothing(batch):
    images = batch(16)
    still = ColorJitter(brightness=0.0, contrast=0.0, saturation=0.0, hue=0.0, probability=1.0)
    np.testing.assert_array_equal(still(images, (1, 2)), images)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_factors_and_orders_have_their_distributions(seed):
    n = 20_000
    drawn = ColorJitter(0.4, 1.5, 0.3, 0.1, probability=0.8).draw(n, 32, 32, seed=(0, seed))
    ranges = {"brightness": (0.6, 1.4), "contrast": (0.0, 2.5), "saturation": (0.7, 1.3), "hue": (-0.1, 0.1)}
    for name, (low, high) in ranges.items():
        assert stats.kstest(drawn[name], stats.uniform(low, high - low).cdf).pvalue > 1e-3
    _, counts = np.unique(drawn["order"].numpy() @ [64, 16, 4, 1], return_counts=True)
    assert len(counts) == 24
    assert stats.chisquare(counts).pvalue > 1e-3
    assert stats.binomtest(int(drawn["apply"].numpy().sum()), n, 0.8).pvalue > 1e-3
    # Independent of each other.
    values = np.stack([drawn[name] for name in NAMES] + [drawn["order"][:, 0], drawn["apply"]])
    correlation = np.corrcoef(values) - np.eye(len(values))
    assert np.abs(correlation).max() < 4.5 / np.sqrt(n)


def test_gray_is_pillows(batch, photos, close_to_pillow):
    for images in (batch(32), batch(224), resized(photos, 96)):
        ours = RandomGrayscale(1.0)(images, (0, 0))
        close_to_pillow(ours, [pillow_oracle.gray(Image.fromarray(image)) for image in images])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_grayscale_has_its_probability(seed):
    apply = RandomGrayscale(0.2).draw(20_000, 8, 8, seed=(0, seed))["apply"].numpy()
    assert stats.binomtest(int(apply.sum()), len(apply), 0.2).pvalue > 1e-3
