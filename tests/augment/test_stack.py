"""The whole stack against the same pipeline on Pillow images, with the parameters that it drew."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import pillow_oracle
from simsiam_tf.augment import recipe


def drawn_by(augmenter, n, shape, seed):
    """What each layer draws for each image, from the seeds that the stack gives them."""
    seeds = tf.unstack(tf.random.split(tf.constant(seed), len(augmenter.layers), alg="philox"))
    shapes = [shape] + [(augmenter.image_size,) * 2] * (len(seeds) - 1)
    drawn = [layer.draw(n, *s, seed) for layer, s, seed in zip(augmenter.layers, shapes, seeds, strict=True)]
    return [[{name: value[i].numpy() for name, value in layer.items()} for layer in drawn] for i in range(n)]


def differences(images, size, seed, compiled, resize):
    """In levels, (n, size, size, 3)."""
    augmenter = recipe("imagenet", size)
    views = tf.function(augmenter, jit_compile=compiled)(images, tf.constant(seed)).numpy()
    drawn = drawn_by(augmenter, len(images), images.shape[1:3], seed)
    pillows = [pillow_oracle.view(Image.fromarray(i), size, d, resize) for i, d in zip(images, drawn, strict=True)]
    return np.abs(views - np.stack([np.asarray(image, np.float32) for image in pillows]))


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize(("source", "size", "n"), [(32, 32, 64), (80, 32, 64), (300, 224, 12), (150, 224, 12)])
def test_stack_is_pillows(batch, source, size, n, compiled):
    d = differences(batch(source, n), size, (1, source), compiled, pillow_oracle.crop_columns_first)
    print("STACK", source, size, compiled, d.max(), d.mean(), np.mean(d > 0), np.mean(d > 2))
    d = differences(batch(source, n), size, (1, source), compiled, pillow_oracle.crop)
    print("STACK13", source, size, compiled, d.max(), d.mean(), np.mean(d > 0), np.mean(d > 2))
