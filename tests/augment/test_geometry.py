"""Crop, resize and flip against Pillow, and the draw of the box against a loop that copies torchvision's."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from scipy import stats

import pillow_oracle
from simsiam_tf.augment import RandomResizedCrop, Resize


def pillow_crop(image, box, flip, size):
    image = pillow_oracle.crop(Image.fromarray(image), box, size)
    return pillow_oracle.mirrored(image) if flip else image


@pytest.mark.parametrize(("source", "size"), [(32, 32), (57, 32), (17, 32), (224, 32), (300, 224), (96, 224), (8, 16)])
def test_crop_resize_flip_is_pillows(batch, close_to_pillow, source, size):
    images = batch(source, n=4)
    layer = RandomResizedCrop(size, area=(0.05, 1.0))
    drawn = layer.draw(4, source, source, seed=(3, source))
    drawn["flip"] = tf.constant([True, False, True, False])
    ours = layer.augment_images(tf.cast(images, tf.float32), drawn)
    pillows = [pillow_crop(*each, size) for each in zip(images, drawn["box"].numpy(), drawn["flip"], strict=True)]
    close_to_pillow(ours, pillows)


def test_photographs_of_any_shape(photos, close_to_pillow):
    for size in (32, 224):
        layer = RandomResizedCrop(size)
        for photo in photos[:: 1 if size == 32 else 4]:
            drawn = layer.draw(1, *photo.shape[:2], seed=(size, photo.shape[0]))
            ours = layer.augment_images(tf.cast(photo[None], tf.float32), drawn)
            close_to_pillow(ours, [pillow_crop(photo, drawn["box"][0].numpy(), bool(drawn["flip"][0]), size)])


@pytest.mark.parametrize("shape", [(40, 70), (9, 5), (1, 1), (1, 30)])
def test_resize_takes_the_whole_image(close_to_pillow, shape):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    ours = Resize(24)(image[None], (0, 0))
    close_to_pillow(ours, [Image.fromarray(image).resize((24, 24), Image.Resampling.BILINEAR)])


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("shape", [(1000, 1000), (700, 1100)])
def test_boxes_are_distributed_as_torchvisions(shape, seed):
    n = 20_000
    height, width = shape
    layer = RandomResizedCrop(32, area=(0.2, 1.0))
    ours = layer.draw(n, height, width, seed=(seed, 0))["box"].numpy().astype(float).T
    rng = np.random.default_rng(seed)
    theirs = np.array([pillow_oracle.torchvision_box(rng, *shape, layer.area, layer.ratio) for _ in range(n)], float).T
    for statistic in (
        lambda top, left, h, w: np.log(w / h),
        lambda top, left, h, w: w * h,
        lambda top, left, h, w: (top + rng.uniform(size=n)) / (height - h + 1),
        lambda top, left, h, w: (left + rng.uniform(size=n)) / (width - w + 1),
    ):
        assert stats.ks_2samp(statistic(*ours), statistic(*theirs)).pvalue > 1e-3


def test_first_tries_are_uniform_in_area_log_ratio_and_position():
    # Crops this small always fit, hence nothing is rejected and the distributions are the stated ones.
    layer = RandomResizedCrop(32, area=(0.1, 0.4))
    for seed in range(3):
        top, left, h, w = layer.draw(20_000, 4000, 4000, seed=(0, seed))["box"].numpy().astype(float).T
        assert stats.kstest(w * h / 4000**2, stats.uniform(0.1, 0.3).cdf).pvalue > 1e-3
        low, high = np.log([3 / 4, 4 / 3])
        assert stats.kstest(np.log(w / h), stats.uniform(low, high - low).cdf).pvalue > 1e-3
        assert stats.kstest(top / (4000 - h), "uniform").pvalue > 1e-3
        assert stats.kstest(left / (4000 - w), "uniform").pvalue > 1e-3


@pytest.mark.parametrize(
    ("shape", "box"),
    [
        ((10, 100), (0, 43, 10, 13)),  # too wide: full height, 4/3 of it wide
        ((100, 10), (43, 0, 13, 10)),
        ((100, 110), (0, 0, 100, 110)),  # within the ratios: all of it
        ((1, 1), (0, 0, 1, 1)),
    ],
)
def test_fallback_is_the_central_crop(shape, box):
    layer = RandomResizedCrop(8, area=(4.0, 5.0))  # no try fits
    assert np.all(layer.draw(50, *shape, seed=(0, 0))["box"].numpy() == box)


def test_extreme_image_sometimes_falls_back():
    boxes = RandomResizedCrop(8, area=(0.1, 1.0)).draw(2000, 10, 100, seed=(0, 0))["box"].numpy()
    top, left, height, width = boxes.T
    assert 0.01 < np.mean((boxes == (0, 43, 10, 13)).all(axis=1)) < 0.9
    assert np.all((top >= 0) & (top + height <= 10) & (left >= 0) & (left + width <= 100) & (height > 0) & (width > 0))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_corner_is_as_likely(seed):
    layer = RandomResizedCrop(8, area=(0.49, 0.49), ratio=(1.0, 1.0))
    top, left, height, width = layer.draw(20_000, 10, 10, seed=(0, seed))["box"].numpy().T
    assert np.all((height == 7) & (width == 7))
    corners, counts = np.unique(4 * top + left, return_counts=True)
    np.testing.assert_array_equal(corners, np.arange(16))
    assert stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_flip_has_its_probability(seed):
    flips = RandomResizedCrop(8, flip=0.3).draw(20_000, 8, 8, seed=(0, seed))["flip"].numpy()
    assert stats.binomtest(int(flips.sum()), len(flips), 0.3).pvalue > 1e-3
