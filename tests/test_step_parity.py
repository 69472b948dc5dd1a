"""Ten steps of training, schedule, momentum and weight decay included, against the same in PyTorch.

In float64 both compute the same numbers. In float32 a ReLU whose input rounds to the other side of zero changes
gradients at once, which at the recipes' rates moves some weights by 1e-3; PyTorch in float32 is as far from PyTorch in
float64. The float32 cases have a rate at which single ReLUs do not matter.
"""

import numpy as np
import pytest
import torch

from parity import Case, Twins, assert_close, relative_error

RESNET50 = {
    "backbone": "resnet50",
    "stem": "imagenet",
    "image_size": 64,
    "ours": {"projector_layers": 3, "projector_hidden": 24},
    "oracle": {"layers": 3, "hidden": 24},
}
CASES = {
    "resnet18": Case(),
    "resnet50": Case(**RESNET50),
    "predictor_rate_two_thirds": Case(
        ours={"predictor_ratio": 2 / 3}, oracle_schedule={"ratio": 2 / 3}
    ),  # the CIFAR-10 study's alpha_h
    "predictor_rate_cosine": Case(ours={"predictor_schedule": "cosine"}, oracle_schedule={"predictor": "cosine"}),
    "predictor_weight_decay": Case(ours={"predictor_weight_decay": 0.5}),  # what the study leaves open, sec. 3.5
    **{  # table 3
        f"head_norm_{norm}": Case(ours={"head_norm": norm}, oracle={"head_norm": norm})
        for norm in ("none", "hidden", "all")
    },
    "projector_output_affine": Case(ours={"projector_output_affine": True}, oracle={"affine": True}),
    "no_predictor": Case(ours={"predictor": "none"}, oracle={"predictor": False}),
    "no_stop_gradient": Case(stop_gradient=False),
    "four_views": Case(ours={"num_views": 4}),
    "warm_up": Case(ours_schedule={"warmup_epochs": 2}, oracle_schedule={"warmup_epochs": 2}),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_float64_is_pytorch_to_nine_digits(case):
    twins = Twins(case, "float64")
    for steps in (1, 9):
        twins.run(steps)
        assert_close(*twins.weights(), bound=1e-9)
        assert relative_error(*twins.features()) <= 1e-9
    np.testing.assert_allclose(*np.transpose(twins.losses), rtol=0, atol=1e-9)  # losses near 0 have no relative error
    for ours, theirs in twins.gradients:
        # Without output norm the projector's last bias has no effect: the predictor's BatchNorm removes it.
        assert_close(ours, theirs, bound=1e-9, zero=1e-6)


@pytest.fixture
def two_torch_threads():
    """With one, torch sums a channel in one go, and its float32 statistics are off by 2e-5 after a single step."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    "case",
    [
        Case(n=64, base_rate=0.001),
        Case(n=64, base_rate=0.001, stop_gradient=False),
        Case(**RESNET50, n=32, base_rate=0.001),
    ],
    ids=["resnet18", "resnet18_no_stop_gradient", "resnet50"],
)
def test_float32_is_pytorch_to_four_digits(case, two_torch_threads):
    twins = Twins(case, "float32", eager=False).run(10)
    assert_close(*twins.weights(), bound=1e-4)
    assert relative_error(*twins.features()) <= 1e-4


@pytest.mark.parametrize(
    "case",
    [
        Case(width=64, dim=2048, predictor_hidden=512),
        Case(
            **RESNET50 | {"ours": {"projector_layers": 3}, "oracle": {"layers": 3}},
            width=64,
            dim=2048,
            predictor_hidden=512,
            n=8,
        ),
    ],
    ids=["resnet18", "resnet50"],
)
def test_full_width_with_the_papers_heads(case):
    twins = Twins(case, "float64").run(1)
    assert_close(*twins.weights(), bound=1e-9)
    assert relative_error(*twins.features()) <= 1e-9


def test_each_step_changes_every_weight():
    """What is compared moves: frozen weights would agree, too."""
    twins = Twins(CASES["resnet18"], "float64")
    before = {name: array.copy() for name, array in twins.weights()[0].items()}
    twins.run(1)
    for name, array in twins.weights()[0].items():
        assert np.abs(array - before[name]).max() > 1e-6 * np.abs(array).max(), name
