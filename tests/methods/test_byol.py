"""BYOL against a slow reference in PyTorch that was written from the paper, and what is its own."""

import numpy as np
import pytest
import tensorflow as tf
import torch

import oracle.byol
import oracle.lars
from followers import (
    EPOCHS,
    STEPS_PER_EPOCH,
    WIDTH,
    N,
    arrays,
    load,
    make_method,
    set_rate,
    state,
    step_and_loss,
    views,
)
from parity import assert_close
from simsiam_tf import methods
from simsiam_tf.optimizers import learning_rates

RATE = 0.03 * N / 256
SIZES = {"projector_hidden": 12, "projection_dim": 8, "predictor_hidden": 10}


def twins(optimizer=None, **settings):
    ours = make_method("byol", optimizer=optimizer, **SIZES | {"momentum": 0.9} | settings)
    theirs = oracle.byol.BYOL(width=WIDTH, hidden=12, dim=8, predictor_hidden=10).double()
    load(theirs, weights(ours))
    return ours, theirs


def weights(model):
    target = model.target.networks
    return arrays(encoder=[model.backbone, model.projector], target=target, predictor=[model.predictor])


@pytest.mark.parametrize("optimizer", ["sgd", "lars"])
def test_ten_steps_are_the_oracles(optimizer):
    """Loss, weights, the target and the moving statistics of both, target momentum and learning rates moving."""
    options = {"name": optimizer} | ({"learning_rate": 2.0, "weight_decay": 1e-3} if optimizer == "lars" else {})
    ours, theirs = twins(options)
    rate = options.get("learning_rate", 0.03) * N / 256
    trained = [*theirs.encoder.parameters(), *theirs.predictor.parameters()]
    if optimizer == "lars":
        descent = oracle.lars.LARS(trained, rate, weight_decay=1e-3)
    else:
        descent = torch.optim.SGD(trained, rate, momentum=0.9, weight_decay=5e-4)
    before = weights(ours)
    for step in range(10):
        set_rate(descent, step, rate)
        pair = views(ours, step)
        loss = oracle.byol.train_step(theirs, descent, *pair, step, STEPS_PER_EPOCH * EPOCHS, 0.9)
        assert step_and_loss(ours) == pytest.approx(loss, abs=1e-9)
        assert_close(weights(ours), state(theirs), bound=1e-8)
    for name, array in weights(ours).items():
        # The predictor's BatchNorm takes the projector's last bias off again: only weight decay moves it.
        if not name.endswith("fc.3.bias"):
            assert np.abs(array - before[name]).max() > 1e-7, name


def test_the_loss_is_the_papers():
    generator = np.random.default_rng(0)
    q1, q2, z1, z2 = generator.normal(size=(4, 6, 5))
    expected = oracle.byol.loss_by_loop(q1, q2, z1, z2)
    model = make_method("byol", **SIZES)
    outputs = {"p": [tf.constant(q1), tf.constant(q2)], "targets": [tf.constant(z1), tf.constant(z2)]}
    assert float(model.objective(outputs)) == pytest.approx(expected, abs=1e-12)
    assert float(model.objective({"p": [q1, q2], "targets": [q2, q1]})) == pytest.approx(0, abs=1e-12)
    assert float(model.objective({"p": [q1, q2], "targets": [-q2, -q1]})) == pytest.approx(8, abs=1e-12)
    assert [model.cosine_of(loss) for loss in (0, 4, 8)] == [1, 0, -1]


def target_in_inference_mode(patch):
    call = methods.targets.Follower.call
    patch.setattr(methods.targets.Follower, "call", lambda self, inputs, training=None: call(self, inputs, False))


def own_view_as_target(patch):
    objective = methods.BYOL.objective
    swap = lambda self, outputs, batch=None: objective(self, outputs | {"targets": outputs["targets"][::-1]})  # noqa: E731
    patch.setattr(methods.BYOL, "objective", swap)


def momentum_of_the_next_step(patch):
    follow = methods.targets.Follower.follow
    patch.setattr(methods.targets.Follower, "follow", lambda self, step: follow(self, step + 1))


def target_that_stays(patch):
    patch.setattr(methods.targets.Follower, "follow", lambda self, step: None)


@pytest.mark.parametrize(
    "mutate", [target_in_inference_mode, own_view_as_target, momentum_of_the_next_step, target_that_stays]
)
def test_parity_fails_under(mutate, monkeypatch):
    ours, theirs = twins()
    sgd = torch.optim.SGD([*theirs.encoder.parameters(), *theirs.predictor.parameters()], RATE, 0.9, weight_decay=5e-4)
    views(ours, 0)  # traced before the mutation
    mutate(monkeypatch)
    with pytest.raises(AssertionError, match="relative error"):
        two_steps(ours, theirs, sgd)


def two_steps(ours, theirs, sgd):
    for step in range(2):
        oracle.byol.train_step(theirs, sgd, *views(ours, step), step, STEPS_PER_EPOCH * EPOCHS, 0.9)
        step_and_loss(ours)
        assert_close(weights(ours), state(theirs), bound=1e-8, zero=1e-6)


def test_without_momentum_encoder_the_target_is_the_network_itself():
    """Footnote 3: momentum 0, and it stays; each step's target are the weights that the step begins with."""
    model = make_method("byol", **SIZES, momentum=0.0, momentum_schedule="constant", predictor_ratio=10.0)
    for _ in range(2):
        step_and_loss(model)
        pairs = zip(model.target.networks, (model.backbone, model.projector), strict=True)
        for copy, original in pairs:
            for slow, fast in zip(copy.variables, original.variables, strict=True):
                if "moving" not in slow.path:
                    np.testing.assert_array_equal(slow, fast, err_msg=slow.path)
    assert float(model.target.momentum_at(99)) == 0
    rates = learning_rates(model.optimizer)
    assert rates["predictor_learning_rate"] == pytest.approx(10 * rates["learning_rate"])


def test_the_targets_momentum_grows_to_one():
    model = make_method("byol", **SIZES, momentum=0.9)
    assert float(model.target.momentum_at(0)) == pytest.approx(0.9)
    assert float(model.target.momentum_at(6)) == pytest.approx(0.95)
    assert float(model.target.momentum_at(12)) == float(model.target.momentum_at(99)) == 1


def test_the_target_takes_the_statistics_of_the_batch_and_no_gradient():
    model = make_method("byol", **SIZES)
    images = model.draw_views(np.random.default_rng(0).integers(0, 256, (N, 16, 16, 3), np.uint8), 0)[0]
    features = model.target.networks[0](images, training=True)
    inner = model.target.networks[1].stages
    hidden = np.asarray(inner[1](inner[0](features), training=True))
    np.testing.assert_allclose(hidden.mean(axis=0), 0, atol=1e-7)
    assert not any(v.trainable for v in model.target.variables)
    assert not {id(v) for v in model.target.variables} & {id(v) for v in model.trainable_variables}
    with tf.GradientTape() as tape:
        output = tf.reduce_sum(model.target(images, training=True))
    assert tape.gradient(output, [v.value for v in model.target.variables]) == [None] * len(model.target.variables)
