"""Arguments that cannot be are refused; each view may have an augmenter of its own."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from simsiam_tf import SimSiam, recipe
from simsiam_tf.errors import InputError


def test_a_backbone_without_pooling_is_refused():
    conv = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3)])
    with pytest.raises(InputError, match=r"backbone.*pooling"):
        SimSiam(conv)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"predictor": "linear"}, r"^method.predictor: linear is no value of it; give mlp or none$"),
        ({"projector_layers": 4}, r"^method.projector_layers: 4 is no value of it; give 2 or 3$"),
        ({"head_norm": True}, r"^method.head_norm: true is no value of it; give none or hidden or default or all$"),
        ({"predictor_ratio": -0.5}, r"^method.predictor_ratio: -0.5 is no value of it; give a number 0 or more$"),
        ({"projection_dim": None}, r"^method.projection_dim: null is no value of it; give a whole number 1 or more$"),
        ({"ema_momentum": 0.9}, r"^method.ema_momentum: unknown; give one of head_norm, .*weight_average$"),
        ({"views": 2}, r"^method.views: unknown; give one of head_norm, num_views, predictor, "),
        ({"num_views": 3, "symmetric": False}, r"^method.num_views: 3 are no pairs; give an even number"),
        ({"num_views": 1}, r"^method.num_views: 1 is no value of it; give a whole number 2 or more$"),
    ],
)
def test_settings_that_cannot_be_are_refused(small_backbone, arguments, message):
    with pytest.raises(InputError, match=message):
        SimSiam(small_backbone(), **arguments)


def test_settings_are_keywords(small_backbone):
    with pytest.raises(TypeError, match="positional"):
        SimSiam(small_backbone(), None, 3)


def test_each_view_has_an_augmenter(small_backbone, images):
    plain, small = recipe("none", image_size=12, min_area=0.3), recipe("none", image_size=8, solarize=1.0)
    model = SimSiam(small_backbone(), [plain, small, plain], num_views=3)
    assert model.augmenters == [plain, small, plain]
    views = model.draw_views(images[:4], 0)
    assert [view.shape[1] for view in views] == [12, 8, 12]
    for view, augmenter, number in zip(views, model.augmenters, range(3), strict=True):
        np.testing.assert_allclose(view, augmenter(images[:4], tf.stack([0, number])), atol=1.01)  # rounded by XLA
    again = SimSiam.from_config(model.get_config())
    for ours, theirs in zip(again.draw_views(images[:4], 2), model.draw_views(images[:4], 2), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(InputError, match=r"^augmentation.views: 3, but the method has 2; give as many$"):
        SimSiam(small_backbone(), [plain, small, plain])


def test_other_augmenters_change_the_views_and_not_what_is_saved(small_model, images):
    model = small_model(compiled=False)
    before = model.get_config()
    model.use_augmenter(recipe("none", image_size=8))
    assert [view.shape[1] for view in model.draw_views(images[:2], 0)] == [8, 8]
    assert model.get_config() == before
