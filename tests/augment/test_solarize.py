"""Solarisation against Pillow's ImageOps.solarize, and the draws against their distribution."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps
from scipy import stats

from simsiam_tf.augment import RandomSolarize


def pillows(images):
    return np.stack([np.asarray(ImageOps.solarize(Image.fromarray(image), threshold=128)) for image in images])


@pytest.fixture
def levels():
    """Every level once in each channel, in another order in each: (1, 16, 16, 3) uint8."""
    rng = np.random.default_rng(0)
    return np.stack([rng.permutation(256) for _ in range(3)], axis=-1).reshape(1, 16, 16, 3).astype(np.uint8)


@pytest.mark.parametrize("compiled", [True, False])
def test_every_level_is_pillows(levels, compiled):
    solarized = tf.function(RandomSolarize(1.0), jit_compile=compiled)(levels, tf.constant((0, 0)))
    assert solarized.dtype == "float32"
    np.testing.assert_array_equal(solarized, pillows(levels))


def test_photographs_are_pillows(photos):
    for photo in photos[:3]:
        np.testing.assert_array_equal(RandomSolarize(1.0)(photo[None], (0, 0)), pillows([photo]))


@pytest.mark.parametrize("compiled", [True, False])
def test_each_image_is_drawn_for_itself(levels, compiled):
    """Of equal images some are solarised as a whole and the others left as they are, as drawn."""
    copies, seed = np.repeat(levels, 32, axis=0), tf.constant((1, 2))
    layer = RandomSolarize(0.5)
    apply = layer.draw(32, 16, 16, seed)["apply"].numpy()
    assert 0 < apply.sum() < 32
    expected = np.where(apply[:, None, None, None], pillows(copies), copies)
    np.testing.assert_array_equal(tf.function(layer, jit_compile=compiled)(copies, seed), expected)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_solarize_has_its_probability(seed):
    apply = RandomSolarize(0.2).draw(20_000, 8, 8, seed=(0, seed))["apply"].numpy()
    assert stats.binomtest(int(apply.sum()), len(apply), 0.2).pvalue > 1e-3


def test_images_not_chosen_stay_as_they_are(batch):
    images = batch(16)
    np.testing.assert_array_equal(RandomSolarize(0.0)(images, (0, 0)), images)
