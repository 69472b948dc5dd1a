"""Jitter and grayscale against Pillow's ImageEnhance and HSV, and the draws against their distributions."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance
from scipy import stats

from simsiam_tf.augment import ColorJitter, RandomGrayscale

NAMES = ("brightness", "contrast", "saturation", "hue")


def pillow_hue(image, turns):
    """torchvision's adjust_hue for Pillow images."""
    hue, saturation, value = image.convert("HSV").split()
    shifted = np.asarray(hue).astype(np.int32) + np.int32(turns * 255)
    return Image.merge("HSV", (Image.fromarray(shifted.astype(np.uint8)), saturation, value)).convert("RGB")


PILLOW = {
    "brightness": lambda image, factor: ImageEnhance.Brightness(image).enhance(factor),
    "contrast": lambda image, factor: ImageEnhance.Contrast(image).enhance(factor),
    "saturation": lambda image, factor: ImageEnhance.Color(image).enhance(factor),
    "hue": pillow_hue,
}


def parameters(n, **given):
    """Transformations that change nothing but for those given."""
    neutral = {name: np.full(n, name != "hue", np.float32) for name in NAMES}
    neutral |= {"order": np.tile(np.arange(4, dtype=np.int32), (n, 1)), "apply": np.ones(n, bool)}
    return {name: tf.constant(given.get(name, value)) for name, value in neutral.items()}


def only(name):
    return ColorJitter(**{other: 0.5 if other == name else 0.0 for other in NAMES})


def resized(photos, size):
    return np.stack([np.asarray(Image.fromarray(photo).resize((size, size))) for photo in photos])


@pytest.mark.parametrize("size", [32, 224])
@pytest.mark.parametrize("name", NAMES[:3])
def test_blends_are_pillows(batch, close_to_pillow, name, size):
    images = batch(size)
    factors = np.linspace(0.0, 2.0, 8).astype(np.float32)
    ours = only(name).augment_images(tf.cast(images, tf.float32), parameters(8, **{name: factors}))
    close_to_pillow(ours, [PILLOW[name](Image.fromarray(i), float(f)) for i, f in zip(images, factors, strict=True)])


@pytest.mark.parametrize("name", NAMES[:3])
def test_blends_of_photographs(photos, close_to_pillow, name):
    images = resized(photos, 96)
    factors = np.linspace(0.6, 1.4, len(images)).astype(np.float32)
    ours = only(name).augment_images(tf.cast(images, tf.float32), parameters(len(images), **{name: factors}))
    close_to_pillow(ours, [PILLOW[name](Image.fromarray(i), float(f)) for i, f in zip(images, factors, strict=True)])


def assert_hue_is_pillows(images):
    """As close as can be: Pillow's float32 hue may fall a step short of an exact whole number of steps.

    A step of hue is at most six levels; that happens in some pixels of ten thousand.
    """
    turns = np.linspace(-0.5, 0.5, len(images)).astype(np.float32)
    ours = only("hue").augment_images(tf.cast(images, tf.float32), parameters(len(images), hue=turns)).numpy()
    pillows = [np.asarray(pillow_hue(Image.fromarray(i), float(t))) for i, t in zip(images, turns, strict=True)]
    difference = np.abs(ours - np.stack(pillows))
    assert difference.max() <= 6
    assert np.mean(difference > 2) < 1e-3
    assert difference.mean() < 0.05


@pytest.mark.parametrize("size", [32, 224])
def test_hue_is_pillows(batch, size):
    assert_hue_is_pillows(batch(size))


def test_hue_of_photographs(photos):
    assert_hue_is_pillows(resized(photos, 96))


def test_primary_colours_turn():
    red = tf.reshape(tf.constant([255.0, 0.0, 0.0]), [1, 1, 1, 3])
    turned = only("hue").augment_images(red, parameters(1, hue=np.array([1 / 3 + 1e-3], np.float32)))
    np.testing.assert_array_equal(turned[0, 0, 0], [0, 255, 0])


def test_all_orders_are_pillows(batch):
    """The whole chain, every image in another order."""
    orders = np.array(list(itertools.permutations(range(4))), np.int32)
    images = np.concatenate([batch(32)] * 3)
    factors = {"brightness": 1.4, "contrast": 0.6, "saturation": 1.3, "hue": 0.08}
    given = {name: np.full(24, value, np.float32) for name, value in factors.items()}
    ours = ColorJitter().augment_images(tf.cast(images, tf.float32), parameters(24, **given, order=orders)).numpy()
    for image, order, result in zip(images, orders, ours, strict=True):
        expected = Image.fromarray(image)
        for operation in order:
            expected = PILLOW[NAMES[operation]](expected, factors[NAMES[operation]])
        difference = np.abs(result - np.asarray(expected))
        assert difference.mean() < 0.1
        assert np.mean(difference > 2) < 5e-3


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
        close_to_pillow(ours, [Image.fromarray(image).convert("L").convert("RGB") for image in images])


def test_grayscale_has_its_probability():
    apply = RandomGrayscale(0.2).draw(20_000, 8, 8, seed=(0, 0))["apply"].numpy()
    assert stats.binomtest(int(apply.sum()), len(apply), 0.2).pvalue > 1e-3
