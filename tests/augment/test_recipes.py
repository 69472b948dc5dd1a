"""Whole stacks: seeds, independence, compilation, dtype, configuration and bad input."""

import inspect
import math
from dataclasses import fields
from typing import get_args

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from simsiam_tf import augment
from simsiam_tf.augment import (
    RECIPES,
    AugmentationLayer,
    Augmenter,
    GaussianBlur,
    RandomGrayscale,
    RandomResizedCrop,
    Resize,
    recipe,
)
from simsiam_tf.errors import InputError
from simsiam_tf.settings.augmentation import Recipe, RecipeSettings
from whole_stack import whole_stack

STACK = whole_stack(12)
LAYERS = [Resize(12, flip=0.4), *STACK.layers]


def test_every_layer_is_in_the_stack():
    known = {each for each in vars(augment).values() if inspect.isclass(each) and issubclass(each, AugmentationLayer)}
    assert {type(layer) for layer in LAYERS} == known - {AugmentationLayer}


@pytest.mark.parametrize("name", RECIPES)
def test_same_seed_same_views_and_other_seed_other_views(batch, name):
    augmenter, images = recipe(name, 24), batch(32)
    for seed in [(0, 0), (0, 1), (-5, 2**31 - 1)]:
        views = augmenter(images, tf.constant(seed))
        assert views.shape == (8, 24, 24, 3)
        assert views.dtype == "float32"
        assert views.numpy().min() >= 0
        assert views.numpy().max() <= 255
        np.testing.assert_array_equal(views, recipe(name, 24)(images, tf.constant(seed)))
        others = augmenter(images, tf.constant((1, 1))).numpy()
        assert np.all(np.any(others != views, axis=(1, 2, 3))) == (name != "none")


def test_images_of_a_batch_are_drawn_independently(batch):
    copies = np.repeat(batch(32, n=1), 16, axis=0)
    views = recipe("cifar10", 32)(copies, tf.constant((0, 0))).numpy()
    assert len({view.tobytes() for view in views}) == 16


def test_layers_get_different_seeds():
    """Of two equal layers in a stack, each draws for itself."""
    augmenter = Augmenter(8)
    augmenter.layers = [RandomGrayscale(0.5), GaussianBlur(probability=0.5)]
    seeds = []
    for layer in augmenter.layers:
        layer.draw = lambda n, h, w, seed, draw=layer.draw: seeds.append(np.asarray(seed)) or draw(n, h, w, seed)
    augmenter(np.zeros((2, 8, 8, 3), np.uint8), tf.constant((0, 0)))
    assert np.any(seeds[0] != seeds[1])


@pytest.mark.parametrize("name", ["cifar10", "imagenet", "digits", "byol_second"])
def test_compiled_is_eager(batch, name):
    augmenter, images = recipe(name, 24), batch(32, n=16)
    compiled = tf.function(augmenter, jit_compile=True)
    for seed in [(0, 0), (3, 4)]:
        difference = np.abs(compiled(images, tf.constant(seed)) - augmenter(images, tf.constant(seed)))
        # A last digit may tip a rounding by a level, and that a step of hue.
        assert np.mean(difference > 1) < 2e-3
        assert difference.mean() < 0.01


@pytest.mark.parametrize("compiled", [True, False])
def test_batch_and_image_size_may_be_unknown(batch, compiled):
    signature = [tf.TensorSpec([None, None, None, 3], tf.uint8), tf.TensorSpec([2], tf.int32)]
    function = tf.function(recipe("imagenet", 16), input_signature=signature, jit_compile=compiled)
    views = [function(images, (0, 7)) for images in (batch(20, n=3), batch(33, n=5))]
    assert [view.shape[0] for view in views] == [3, 5]
    # Seeds are arguments of the graph: nothing random is frozen into it.
    assert np.any(function(batch(20, n=3), (0, 8)) != views[0])


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "bfloat16"])
def test_float32_under_every_policy(batch, policy):
    expected = recipe("imagenet", 16)(batch(20), tf.constant((0, 0)))
    keras.config.set_dtype_policy(policy)
    views = recipe("imagenet", 16)(batch(20), tf.constant((0, 0)))
    assert views.dtype == "float32"
    np.testing.assert_array_equal(views, expected)
    floats = recipe("imagenet", 16)(batch(20).astype("float32"), tf.constant((0, 0)))
    np.testing.assert_array_equal(floats, expected)


def smaller(value):
    return tuple(map(smaller, value)) if isinstance(value, tuple | list) else type(value)(0.75 * value)


@pytest.mark.parametrize("layer", [*LAYERS, STACK], ids=lambda layer: layer.name)
def test_config_is_complete_and_repeats_the_layer(batch, layer):
    own = set(inspect.signature(type(layer)).parameters) - {"kwargs"}
    given = {name: smaller(value) for name, value in layer.get_config().items() if name in own}  # no defaults
    layer = type(layer)(**given)
    assert layer.get_config().items() >= given.items()
    assert given.keys() == own
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert copy.get_config() == layer.get_config()
    np.testing.assert_array_equal(copy(batch(16), tf.constant((5, 6))), layer(batch(16), tf.constant((5, 6))))


@pytest.mark.parametrize("layer", [*LAYERS, STACK], ids=lambda layer: layer.name)
def test_parts_get_what_they_get_in_the_whole(batch, layer):
    images, seed = batch(16), tf.constant((2, 3))
    parts = [layer(images[i : i + 2], seed, part=tf.constant(i // 2), parts=4) for i in (0, 2, 4, 6)]
    np.testing.assert_array_equal(np.concatenate(parts), layer(images, seed))


@pytest.mark.parametrize("layer", [*LAYERS[:2], recipe("cifar10", 12)], ids=lambda layer: layer.name)
def test_parts_of_pictures_of_different_sizes_get_what_they_get_in_the_whole(batch, layer):
    images, seed, sizes = batch(16), tf.constant((2, 3)), np.random.default_rng(0).integers(5, 17, (8, 2))
    whole = layer(images, seed, sizes=tf.constant(sizes))
    for part in range(4):
        rows = slice(2 * part, 2 * part + 2)
        views = layer(images[rows], seed, part=tf.constant(part), parts=4, sizes=tf.constant(sizes[rows]))
        np.testing.assert_array_equal(views, whole[rows])


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_layers_keep_keras_cvs_contract(batch, layer):
    images = batch(12)
    assert layer(images[0]).shape == (12, 12, 3)
    out = layer({"images": images, "labels": np.arange(8.0, dtype="float32")})
    assert out["images"].shape == (8, 12, 12, 3)
    np.testing.assert_array_equal(out["labels"], np.arange(8.0))


def test_without_a_seed_every_call_draws_anew(batch):
    layer = RandomResizedCrop(12)
    assert np.any(layer(batch(16)) != layer(batch(16)))


def test_recipes_are_the_papers():
    def stack(name):
        return [type(layer).__name__ for layer in recipe(name, 32).layers]

    assert stack("cifar10") == ["RandomResizedCrop", "ColorJitter", "RandomGrayscale"]
    assert stack("imagenet") == ["RandomResizedCrop", "ColorJitter", "RandomGrayscale", "GaussianBlur"]
    assert stack("byol_first") == stack("imagenet")
    assert stack("byol_second") == [*stack("imagenet"), "RandomSolarize"]
    assert stack("digits") == ["RandomResizedCrop", "ColorJitter"]
    assert stack("none") == ["Resize"]
    crop, jitter, gray, blur = recipe("imagenet", 32).layers
    assert (crop.area, crop.ratio, crop.flip) == ((0.2, 1.0), (3 / 4, 4 / 3), 0.5)
    assert (jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue) == (0.4, 0.4, 0.4, 0.1)
    assert (jitter.probability, gray.probability) == (0.8, 0.2)
    assert (blur.sigma, blur.probability) == ((0.1, 2.0), 0.5)
    for name, blur_probability, solarize in (("byol_first", 1.0, 0.0), ("byol_second", 0.1, 0.2)):
        crop, jitter, gray, blur, *rest = recipe(name, 32).layers
        assert (crop.area, crop.ratio, crop.flip) == ((0.08, 1.0), (3 / 4, 4 / 3), 0.5)
        assert (jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue) == (0.4, 0.4, 0.2, 0.1)
        assert (jitter.probability, gray.probability) == (0.8, 0.2)
        assert (blur.sigma, blur.probability) == ((0.1, 2.0), blur_probability)
        assert [layer.probability for layer in rest] == ([solarize] if solarize else [])
    digits = recipe("digits", 16).get_config()
    assert (digits["flip"], digits["hue"], digits["saturation"], digits["grayscale"]) == (0, 0, 0, 0)


def test_overrides_replace_values():
    augmenter = recipe("cifar10", 32, min_area=0.08, flip=0, blur_probability=1, blur_sigma=[0.5, 1])
    crop, *_, blur = augmenter.layers
    assert (crop.area, crop.flip, blur.sigma) == ((0.08, 1.0), 0.0, (0.5, 1.0))


def areas(augmenter, seed):
    """Of 20000 drawn crops, as fractions of the image's area."""
    _, _, height, width = augmenter.layers[0].draw(20_000, 4000, 4000, seed=(0, seed))["box"].numpy().astype(float).T
    return height * width / 4000**2


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_crops_cover_areas_from_min_to_max(seed):
    drawn = areas(recipe("imagenet", 32, min_area=0.05, max_area=0.14), seed)
    assert np.all((drawn > 0.05 - 1e-3) & (drawn < 0.14 + 1e-3))  # sides are rounded to whole pixels
    assert stats.kstest(drawn, stats.uniform(0.05, 0.09).cdf).pvalue > 1e-3
    large = areas(recipe("imagenet", 32, min_area=0.3), seed)
    assert large.min() < 0.31
    assert large.max() > 0.9


def test_equal_min_and_max_area_are_the_area_of_every_crop():
    drawn = areas(Augmenter(32, min_area=0.25, max_area=0.25), seed=0)
    np.testing.assert_allclose(drawn, 0.25, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "size", "overrides", "message"),
    [
        (
            "cifar",
            32,
            {},
            "recipe: 'cifar' is unknown; give one of cifar10, imagenet, byol_first, byol_second, digits, ",
        ),
        ("cifar10", 32, {"rotation": 5}, "rotation: 5 is for no known setting; give one of min_area, max_area, flip"),
        ("cifar10", 0, {}, "image_size: 0 is not a size; give a whole number of pixels, 1 or more"),
        ("cifar10", 32.5, {}, "image_size: 32.5 is not a size"),
        ("cifar10", 32, {"flip": 1.5}, "flip: 1.5 is out of range; give a number from 0 to 1"),
        ("cifar10", 32, {"hue": 0.6}, "hue: 0.6 is out of range; give a number from 0 to 0.5"),
        ("cifar10", 32, {"brightness": -0.1}, "brightness: -0.1 is out of range"),
        ("cifar10", 32, {"grayscale": "often"}, "grayscale: 'often' is out of range"),
        ("cifar10", 32, {"grayscale": float("nan")}, "grayscale: nan is out of range"),
        ("cifar10", 32, {"solarize": 1.1}, "solarize: 1.1 is out of range; give a number from 0 to 1"),
        ("cifar10", 32, {"solarize": True}, "solarize: True is out of range"),
        ("cifar10", 32, {"blur_sigma": 1.0}, "blur_sigma: 1.0 is not a range; give two numbers [smallest, largest]"),
        ("cifar10", 32, {"blur_sigma": [2.0, 0.1]}, "blur_sigma: [2.0, 0.1] is upside down; give [smallest, largest]"),
        ("cifar10", 32, {"min_area": 0}, "min_area: 0 is out of range; give a number above 0, up to max_area (1.0)"),
        ("cifar10", 32, {"min_area": float("nan")}, "min_area: nan is out of range; give a number above 0"),
        ("cifar10", 32, {"min_area": "all"}, "min_area: 'all' is out of range; give a number above 0"),
        (
            "cifar10",
            32,
            {"min_area": 1.5},
            "min_area: 1.5 is out of range; give a number above 0, up to max_area (1.0)",
        ),
        (
            "cifar10",
            32,
            {"max_area": 0.1},
            "min_area: 0.2 is out of range; give a number above 0, up to max_area (0.1)",
        ),
        ("cifar10", 32, {"max_area": 1.5}, "max_area: 1.5 is out of range; give a number from 0 to 1"),
        ("cifar10", 32, {"max_area": None}, "max_area: None is out of range"),
        ("none", 32, {"max_area": 0.5}, "max_area: 0.5 without min_area has no effect; give min_area, too"),
    ],
)
def test_bad_input_is_named(name, size, overrides, message):
    with pytest.raises(InputError) as error:
        recipe(name, size, **overrides)
    assert str(error.value).startswith(f"augmentation.{message}")
    assert "\n" not in str(error.value)


def test_settings_have_the_recipes():
    assert RECIPES.keys() == set(get_args(Recipe))


@pytest.mark.parametrize("name", [each.name for each in fields(RecipeSettings) if each.name != "recipe"])
def test_settings_have_the_ranges_of_the_stack(name):
    def refused(make):
        found = []
        for value in (-0.01, 0.0, 0.5, 0.51, 1.0, 1.01, 255.0, 255.1, math.inf, math.nan, 1, True, "often"):
            try:
                make(**{name: value})
            except InputError:
                found.append(value)
        return found

    assert refused(RecipeSettings) == refused(lambda **override: recipe("cifar10", 32, **override))


def test_survives_in_a_saved_model(tmp_path, batch):
    @keras.saving.register_keras_serializable(package="simsiam_tf_tests")
    class Owner(keras.Model):
        def __init__(self, augmenter, **kwargs):
            super().__init__(**kwargs)
            self.augmenter = augmenter

        def build(self, input_shape):
            self.built = True

        def call(self, images):
            return self.augmenter(images, tf.constant((0, 0)))

        def get_config(self):
            return {**super().get_config(), "augmenter": keras.saving.serialize_keras_object(self.augmenter)}

        @classmethod
        def from_config(cls, config):
            return cls(**{**config, "augmenter": keras.saving.deserialize_keras_object(config["augmenter"])})

    model = Owner(recipe("imagenet", 16))
    views = model(batch(20))
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "model.keras")(batch(20)), views)
