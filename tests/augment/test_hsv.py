"""Both conversions against Pillow's, on every colour there is."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from simsiam_tf.augment import hsv
from simsiam_tf.augment.hsv import hsv_to_rgb, rgb_to_hsv

LEVELS = np.arange(256, dtype=np.uint8)


def slabs():
    """All 256^3 triples, in 16 images (4096, 256, 3)."""
    for first in LEVELS.reshape(16, 16):
        yield np.stack(np.meshgrid(first, LEVELS, LEVELS, indexing="ij"), axis=-1).reshape(4096, 256, 3)


def converted(function, slab):
    planes = [tf.constant(plane[None], tf.float32) for plane in np.moveaxis(slab, -1, 0)]
    return np.stack(function(*planes), axis=-1)[0]


def assert_pillows(function):
    for slab in slabs():
        pillows = np.asarray(Image.fromarray(slab).convert("HSV"))
        ours = converted(function, slab)
        colourful = pillows[..., 1] > 0
        np.testing.assert_array_equal(ours[colourful], pillows[colourful])
        np.testing.assert_array_equal(ours[..., 1:], pillows[..., 1:])


@pytest.mark.parametrize("compiled", [True, False])
def test_every_rgb_colour(compiled):
    assert_pillows(tf.function(rgb_to_hsv, jit_compile=compiled))


@pytest.mark.parametrize("off", [-2, 2, None])
def test_every_rgb_colour_where_division_is_off_by_two_last_places(monkeypatch, off):
    """As on NVIDIA's GPUs: always the one way, or by what the operands happen to be."""

    def divide(dividend, divisor):
        exact = dividend / divisor
        bits = tf.bitcast(exact, tf.int32)
        by = off or tf.math.floormod(tf.bitcast(dividend, tf.int32) // 7919 + bits // 104729, 5) - 2
        return tf.where(exact == 0, exact, tf.bitcast(bits + by, tf.float32))

    monkeypatch.setattr(hsv, "divide", divide)
    assert_pillows(tf.function(rgb_to_hsv, jit_compile=True))


@pytest.mark.parametrize("compiled", [True, False])
def test_every_hsv_colour(compiled):
    function = tf.function(hsv_to_rgb, jit_compile=compiled)
    for slab in slabs():
        bands = [Image.fromarray(np.ascontiguousarray(band)) for band in np.moveaxis(slab, -1, 0)]
        np.testing.assert_array_equal(converted(function, slab), Image.merge("HSV", bands).convert("RGB"))
