"""Views of pictures that do not fill their squares, and views from files beside torchvision's of the originals."""

import math

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from scipy import stats
from sklearn.datasets import load_sample_images

import pillow_oracle
from simsiam_tf import data
from simsiam_tf.augment import RandomResizedCrop, Resize, recipe
from simsiam_tf.data.renderings import placed

SHAPES = [(40, 70), (33, 20), (64, 64), (5, 60), (1, 1), (50, 9)]


def old_boxes(layer, n, h, w, seed):
    """RandomResizedCrop.draw as it was when all pictures were squares, from the same numbers."""
    from simsiam_tf.augment.base import uniform

    random = uniform([n, 23], seed).numpy()
    between = np.float32(layer.area[0]) + np.float32(layer.area[1] - layer.area[0]) * random[:, :10]
    area = np.float32(h * w) * between
    low, high = map(math.log, layer.ratio)
    ratio = tf.exp(np.float32(low) + np.float32(high - low) * random[:, 10:20]).numpy()
    width, height = np.round(np.sqrt(area * ratio)), np.round(np.sqrt(area / ratio))
    fits = (width > 0) & (width <= w) & (height > 0) & (height <= h)
    assert fits.any(axis=1).all()
    rows = np.arange(n), fits.argmax(axis=1)
    height, width = height[rows], width[rows]
    top, left = np.floor(random[:, 20] * (h - height + 1)), np.floor(random[:, 21] * (w - width + 1))
    return np.stack([top, left, height, width], axis=1)


def test_boxes_of_squares_are_what_they_were():
    layer = RandomResizedCrop(32)
    for side, seed in [(32, (0, 1)), (16, (5, 2)), (256, (7, 7))]:
        boxes = layer.draw(500, side, side, seed)["box"]
        np.testing.assert_array_equal(boxes, old_boxes(layer, 500, side, side, seed))
        np.testing.assert_array_equal(boxes, layer.draw(500, *np.full((2, 500), side), seed)["box"])


@pytest.mark.parametrize("compiled", [True, False])
def test_squares_with_sizes_get_the_views_that_they_get_without(batch, compiled):
    augmenter, images, seed = recipe("cifar10", 24), batch(32), tf.constant((3, 4))
    call = tf.function(lambda **options: augmenter(images, seed, **options), jit_compile=compiled)
    np.testing.assert_array_equal(call(sizes=tf.constant([[32, 32]] * 8)), call())


def test_a_picture_gets_the_box_that_it_would_get_alone():
    layer, heights, widths = RandomResizedCrop(32, area=(0.1, 1.0)), *np.array(SHAPES).T
    together = layer.draw(len(SHAPES), heights, widths, seed=(1, 2))["box"].numpy()
    for i, shape in enumerate(SHAPES):
        np.testing.assert_array_equal(together[i], layer.draw(len(SHAPES), *shape, seed=(1, 2))["box"][i])


def test_crops_in_the_corner_are_pillows_of_the_picture(close_to_pillow):
    """And nothing of what lies beside the picture gets in."""
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (*shape, 3), np.uint8) for shape in SHAPES]
    images, sizes = placed(pictures, 70)
    for layer in (RandomResizedCrop(24, area=(0.1, 1.0)), Resize(24, flip=0.5)):
        drawn = layer.draw(len(SHAPES), *sizes.T, seed=(0, 0))
        ours = layer(images + np.uint8(0), (0, 0), sizes=sizes)
        for i, picture in enumerate(pictures):
            pillows = pillow_oracle.crop(Image.fromarray(picture), drawn["box"][i].numpy(), 24)
            pillows = pillow_oracle.mirrored(pillows) if drawn["flip"][i] else pillows
            close_to_pillow(ours[i : i + 1], [pillows])


def test_resize_shows_the_middle_square():
    box = Resize(8).draw(3, np.array([40, 9, 7]), np.array([70, 9, 4]), seed=(0, 0))["box"]
    np.testing.assert_array_equal(box, [[0, 15, 40, 40], [0, 0, 9, 9], [1, 0, 4, 4]])


CROPS = [(375, 500), (500, 375), (333, 500), (240, 320), (320, 240), (427, 640), (400, 400), (200, 500), (427, 300)]


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """A folder of JPEGs of usual sizes, cut from scikit-learn's two photographs, and Pillow's images of them."""
    root, rng, pictures = tmp_path_factory.mktemp("originals"), np.random.default_rng(0), load_sample_images().images
    for i in range(4 * len(CROPS)):
        turned = np.rot90(pictures[i % 2], (CROPS[i % 9][0] > 427) + 2 * (i // 18))
        height, width = CROPS[i % 9]
        top, left = (int(rng.integers(0, a - b + 1)) for a, b in zip(turned.shape, (height, width), strict=False))
        picture = turned[top : top + height, left : left + width]
        Image.fromarray(np.ascontiguousarray(picture)).save(root / f"{i:02}.jpg", quality=95)
    return root, [Image.open(file).convert("RGB") for file in sorted(root.iterdir())]


def measures(views):
    """Figures of each view (n, size, size, 3), by name."""
    views = np.asarray(views, np.float32)
    red, green, blue = np.moveaxis(views, -1, 0)
    gray, half, quarter = views @ np.float32([0.299, 0.587, 0.114]), views.shape[1] // 2, views.shape[1] // 4
    edges = [np.diff(gray, n=order, axis=axis) for order, axis in ((1, 1), (1, 2), (2, 1))]

    def mean(plane):
        return plane.mean((1, 2))

    vertical, horizontal, second = (np.log(mean(np.abs(edge)) + 0.1) for edge in edges)
    return {
        "red": mean(red),
        "green": mean(green),
        "blue": mean(blue),
        "brightness": mean(gray),
        "contrast": gray.std((1, 2)),
        "saturation": mean(np.ptp(views, axis=-1)),
        "hue, red to green": mean(red - green),
        "hue, blue to yellow": mean(blue - (red + green) / 2),
        "sharpness, vertical": vertical,
        "sharpness, horizontal": horizontal,
        "sharpness, second order": second,
        "left to right": mean(gray[:, :, :half]) - mean(gray[:, :, half:]),
        "top to bottom": mean(gray[:, :half]) - mean(gray[:, half:]),
        "middle": mean(gray[:, quarter:-quarter, quarter:-quarter]) - mean(gray),
    }


def differing(ours, theirs):
    """{measure: p} of those of (pictures, views, size, size, 3) that differ at 5 % after Bonferroni: of all, or of each
    picture's mean, in pairs."""
    shape = ours.shape[:2]
    a, b = (measures(views.reshape(-1, *views.shape[2:])) for views in (ours, theirs))
    found = {}
    for name in a:
        of_pictures = [values[name].reshape(shape).mean(1) for values in (a, b)]
        p = stats.ks_2samp(a[name], b[name]).pvalue, stats.ttest_rel(*of_pictures).pvalue
        if min(p) < 0.05 / (2 * len(a)):
            found[name] = min(p)
    return found


@pytest.mark.parametrize(("size", "views"), [(48, 30), (112, 10)])
def test_views_from_files_are_distributed_as_torchvisions(originals, size, views):
    root, pictures = originals
    train = data.load("folder", path=str(root), image_size=size).train
    images, sizes = train.whole(np.arange(len(train)))
    draw = tf.function(recipe("imagenet", size), jit_compile=True)
    ours = [draw(images, tf.constant((0, i)), sizes=tf.constant(sizes)).numpy() for i in range(views)]
    rng = np.random.default_rng(size)

    def official(pictures):
        return np.stack([[pillow_oracle.torchvision_view(each, size, rng) for _ in range(views)] for each in pictures])

    theirs = official(pictures)
    assert not differing(np.stack(ours, axis=1), theirs)
    # What was kept before, the middle squares at 8/7 of the view, is told apart.
    squares = [Image.fromarray(pillow_oracle.torchvision_frame(each, *[round(size * 8 / 7)] * 2)) for each in pictures]
    assert len(differing(official(squares), theirs)) >= 4
