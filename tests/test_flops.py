"""The operation count of benchmarks/ against counts by hand and published ones."""

import pytest
from flops import forward_flop, step_flop

from simsiam_tf import SimSiam, networks
from simsiam_tf.networks import resnet as backbones

HEADS = {"projection_dim": 8, "predictor_hidden": 4}


def head_products(features):
    """Dense kernels: projector features x features and features x 8, predictor 8 x 4 and 4 x 8."""
    return features * features + features * 8 + 8 * 4 + 4 * 8


@pytest.fixture(scope="module")
def resnet18():
    return SimSiam(backbones.build("resnet18"), **HEADS)


def test_resnet18_of_cifar_by_hand(resnet18):
    stem = 3 * 64 * 9 * 32**2
    first = 4 * 64 * 64 * 9 * 32**2
    # Half the side, twice the channels: each later stage costs the same.
    later = 64 * 128 * 9 * 16**2 + 3 * 128 * 128 * 9 * 16**2 + 64 * 128 * 16**2
    products = stem + first + 3 * later
    assert round(products / 1e9, 2) == 0.56
    assert forward_flop(resnet18, 32) == 2 * (products + head_products(512))


def test_resnet50_as_published():
    """4.09 GMAC at 224 px (torchvision's table), of which 2048 x 1000 are the classifier's."""
    model = SimSiam(backbones.build("resnet50", stem="imagenet"), **HEADS)
    products = forward_flop(model, 224) / 2 - head_products(2048) + 2048 * 1000
    assert products == pytest.approx(4.09e9, rel=1e-3)


def test_vit_small_by_hand_and_as_published():
    """4.6 GMAC at 224 px (Touvron et al. 2021, table 1, for the same network of 6 heads)."""
    model = SimSiam(networks.build("vit_small"), **HEADS)
    tokens, width = 14**2 + 1, 384
    block = 12 * tokens * width**2 + 2 * tokens**2 * width
    products = 14**2 * 3 * 16**2 * width + width + 12 * block  # the class token is one product by 1
    assert forward_flop(model, 224) == 2 * (products + head_products(width))
    assert round(products / 1e9, 1) == 4.6


def test_a_step_is_three_times_forward_for_two_views(resnet18):
    assert step_flop(resnet18, 32, 5) == 3 * 2 * 5 * forward_flop(resnet18, 32)


def test_without_a_predictor():
    with_one, without = (
        SimSiam(backbones.build("resnet18", width=4), predictor=kind, **HEADS) for kind in ("mlp", "none")
    )
    assert forward_flop(with_one, 8) - forward_flop(without, 8) == 2 * (8 * 4 + 4 * 8)
