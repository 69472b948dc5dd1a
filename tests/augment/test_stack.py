"""The whole stack against the same pipeline on Pillow images, with the parameters that it drew."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps

import pillow_oracle
from simsiam_tf.augment import recipe


def drawn_by(augmenter, n, shape, seed):
    """What each layer draws for each image, from the seeds that the stack gives them."""
    seeds = tf.unstack(tf.random.split(tf.constant(seed), len(augmenter.layers), alg="philox"))
    shapes = [shape] + [(augmenter.image_size,) * 2] * (len(seeds) - 1)
    drawn = [layer.draw(n, *s, seed) for layer, s, seed in zip(augmenter.layers, shapes, seeds, strict=True)]
    return [[{name: value[i].numpy() for name, value in layer.items()} for layer in drawn] for i in range(n)]


def views_and_draws(images, size, compiled, **overrides):
    augmenter, seed = recipe("imagenet", size, **overrides), (1, images.shape[1])
    views = tf.function(augmenter, jit_compile=compiled)(images, tf.constant(seed)).numpy()
    return views, drawn_by(augmenter, len(images), images.shape[1:3], seed)


def differences(images, views, drawn, resize):
    """In levels, (n, h, w, 3)."""
    size = views.shape[1]
    pillows = [pillow_oracle.view(Image.fromarray(i), size, d, resize) for i, d in zip(images, drawn, strict=True)]
    return np.abs(views - np.stack([np.asarray(image, np.float32) for image in pillows]))


@pytest.mark.parametrize(
    ("source", "size", "n", "compiled"),
    [(32, 32, 64, True), (32, 32, 64, False), (80, 32, 64, False), (300, 224, 12, True), (150, 224, 12, False)],
)
def test_stack_is_pillows(batch, source, size, n, compiled):
    """Layers are Pillow's within a level, but a step of hue after it is six: the bounds hold for most pixels only."""
    images = batch(source, n)
    views, drawn = views_and_draws(images, size, compiled)
    difference = differences(images, views, drawn, pillow_oracle.crop_columns_first)
    assert difference.mean() < 0.02  # measured: 0.014 or less
    assert np.mean(difference > 2) < 5e-4  # measured: 2e-4 or less
    difference = differences(images, views, drawn, pillow_oracle.crop)
    assert difference.mean() < 0.1  # measured: 0.044 or less
    assert np.mean(difference > 2) < 1e-2  # measured: 4e-3 or less


def test_cifar_sized_stack_equals_pillows(batch):
    images = batch(32, 64)
    views, drawn = views_and_draws(images, 32, compiled=False)
    assert np.mean(differences(images, views, drawn, pillow_oracle.crop_columns_first) > 0) < 1e-3


def test_solarisation_comes_last(batch):
    """Of a blurred image, where the two do not commute."""
    images = batch(32, 32)
    views, drawn = views_and_draws(images, 32, compiled=False, blur_probability=1.0, solarize=0.5)
    for image, view, (*rest, solarize) in zip(images, views, drawn, strict=True):
        pillows = pillow_oracle.view(Image.fromarray(image), 32, rest, pillow_oracle.crop_columns_first)
        pillows = ImageOps.solarize(pillows) if solarize["apply"] else pillows
        assert np.mean(view != np.asarray(pillows)) < 0.01
