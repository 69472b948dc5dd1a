"""Blur against Pillow's GaussianBlur and the variance that a Gaussian of the stated sigma has."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageFilter
from scipy import stats

from simsiam_tf.augment import GaussianBlur


def assert_blur_is_pillows(images, close_to_pillow):
    sigma = np.linspace(0.1, 2.0, len(images)).astype(np.float32)
    ours = GaussianBlur().augment_images(tf.cast(images, tf.float32), {"sigma": tf.constant(sigma)})
    blurred = [
        Image.fromarray(image).filter(ImageFilter.GaussianBlur(float(s)))
        for image, s in zip(images, sigma, strict=True)
    ]
    close_to_pillow(ours, blurred)
    assert np.mean(ours != np.stack([np.asarray(image) for image in blurred])) < 0.05


@pytest.mark.parametrize(("size", "n"), [(32, 20), (224, 5), (3, 10), (1, 2)])
def test_blur_is_pillows(batch, close_to_pillow, size, n):
    assert_blur_is_pillows(batch(size, n), close_to_pillow)


def test_blur_of_noise(close_to_pillow):
    # The grain is where a single rounding, in place of Pillow's six, shows.
    noise = np.random.default_rng(0).integers(0, 256, (10, 48, 48, 3), np.uint8)
    assert_blur_is_pillows(noise, close_to_pillow)


def test_blur_of_photographs(photos, close_to_pillow):
    for photo in photos[:4]:  # not square
        assert_blur_is_pillows(np.stack([photo] * 3), close_to_pillow)


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0, 4.0])
def test_variance_is_sigma_squared(sigma):
    point = np.zeros((1, 65, 65, 3), np.float32)
    point[0, 32, 32] = 1e6  # so high that rounding does not matter
    line = GaussianBlur(sigma=(0.1, 4.0)).augment_images(tf.constant(point), {"sigma": tf.constant([sigma])})
    line = line.numpy()[0, :, :, 0].sum(axis=0)
    assert np.sum(line * (np.arange(65) - 32) ** 2) / line.sum() == pytest.approx(sigma**2, rel=0.02)


def test_sigma_and_probability_have_their_distributions():
    for seed in range(3):
        sigma = GaussianBlur((0.1, 2.0), probability=0.5).draw(20_000, 32, 32, seed=(seed, 0))["sigma"].numpy()
        blurred = sigma[sigma > 0]
        assert stats.binomtest(len(blurred), 20_000, 0.5).pvalue > 1e-3
        assert stats.kstest(blurred, stats.uniform(0.1, 1.9).cdf).pvalue > 1e-3


def test_images_not_chosen_stay_as_they_are(batch):
    images = batch(16)
    np.testing.assert_array_equal(GaussianBlur(probability=0.0)(images, (0, 0)), images)
