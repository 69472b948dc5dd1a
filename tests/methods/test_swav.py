"""SwAV and its variants against a slow reference in PyTorch that was written from the papers, and its traps."""

import numpy as np
import pytest
import tensorflow as tf
import torch

import oracle.swav
from followers import WIDTH, N, arrays, load, make_method, set_rate, state, step_and_loss, views
from parity import assert_close
from simsiam_tf import methods
from simsiam_tf.augment import recipe
from simsiam_tf.methods.losses import sinkhorn
from simsiam_tf.optimizers import learning_rates

RATE = 0.03 * N / 256
VARIANTS = {
    "plain": {},
    "three layers": {"projector_layers": 3},
    "four views": {"num_views": 4},
    "predictor": {"predictor": "mlp"},
    "no stop-gradient": {"stop_gradient": False},
}


def twins(predictor="none", projector_layers=2, **settings):
    ours = make_method(
        "swav", projector_hidden=12, projection_dim=8, prototypes=10, predictor=predictor, predictor_hidden=4,
        projector_layers=projector_layers, predictor_schedule="cosine", **settings,
    )  # fmt: skip
    hidden = 4 if predictor == "mlp" else None
    theirs = oracle.swav.SwAV(
        width=WIDTH, hidden=12, dim=8, prototypes=10, layers=projector_layers, predictor_hidden=hidden
    )
    load(theirs.double(), weights(ours))
    return ours, theirs, torch.optim.SGD(theirs.parameters(), RATE, momentum=0.9, weight_decay=5e-4)


def weights(model):
    found = arrays(encoder=[model.backbone, model.projector])
    found["prototypes.weight"] = model.prototypes.vectors.numpy().T
    return found if model.predictor is None else found | arrays(predictor=[model.predictor])


def follow(ours, theirs, sgd, steps=10, rest=0, **options):
    for step in range(steps):
        set_rate(sgd, step, RATE)
        loss = oracle.swav.train_step(theirs, sgd, views(ours, step), freeze_prototypes=step < rest, **options)
        assert step_and_loss(ours) == pytest.approx(loss, abs=1e-9), "relative error"
        assert_close(weights(ours), state(theirs), bound=1e-8)


@pytest.mark.parametrize("settings", VARIANTS.values(), ids=VARIANTS.keys())
def test_steps_are_the_oracles(settings):
    ours, theirs, sgd = twins(**settings)
    if "num_views" in settings:  # two large ones and two small ones
        large, small = (recipe("none", image_size=size, min_area=0.3) for size in (16, 8))
        ours.use_augmenter([large, large, small, small])
    before = weights(ours)
    follow(ours, theirs, sgd, steps=5 if settings else 10, stop_gradient=settings.get("stop_gradient", True))
    for name, array in weights(ours).items():
        assert np.abs(array - before[name]).max() > 1e-7, name


def test_sinkhorn_is_the_papers():
    scores = np.random.default_rng(0).uniform(-1, 1, (6, 4))
    np.testing.assert_allclose(
        sinkhorn(scores, 0.05, 3), oracle.swav.sinkhorn_by_loop(scores, 0.05, 3), rtol=0, atol=1e-12
    )


def test_sinkhorns_rows_and_columns_sum_right():
    """Each image is assigned once; with more iterations, all prototypes get the same number of images."""
    scores = np.random.default_rng(1).uniform(-1, 1, (12, 4))
    for iterations in (1, 3, 200):
        np.testing.assert_allclose(np.sum(sinkhorn(scores, 0.1, iterations), axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(np.sum(sinkhorn(scores, 0.1, 200), axis=0), 12 / 4, atol=1e-6)


@pytest.mark.parametrize("predictor", ["none", "mlp"])
def test_frozen_prototypes_are_the_oracles(predictor):
    """Neither decay nor momentum moves them, and what they had of either is not left over when they begin to move."""
    follow(*twins(predictor, freeze_prototypes=3), steps=6, rest=3)


@pytest.mark.parametrize("optimizer", ["sgd", "lars", "adamw"])
def test_no_optimizer_moves_frozen_prototypes(optimizer):
    sizes = {"projector_hidden": 12, "projection_dim": 8, "prototypes": 10}
    model = make_method("swav", optimizer={"name": optimizer, "weight_decay": 0.1}, **sizes, freeze_prototypes=2)
    seen = [model.prototypes.vectors.numpy()]
    for _ in range(3):
        step_and_loss(model)
        seen.append(model.prototypes.vectors.numpy())
    np.testing.assert_array_equal(seen[:2], seen[1:3])
    assert np.abs(seen[3] - seen[2]).max() > 1e-7
    assert {group.name for group in model.groups()} == {"encoder", "prototypes"}
    rates = learning_rates(model.optimizer)
    assert rates["prototypes_learning_rate"] == rates["learning_rate"] > 0


def test_the_gradient_of_frozen_prototypes_is_zero():
    """So that they rest under an optimizer that knows nothing of it, too, if it does not decay them."""
    model = make_method("swav", projector_hidden=12, projection_dim=8, prototypes=10, freeze_prototypes=2)
    drawn = model.draw_views(np.random.default_rng(0).integers(0, 256, (N, 16, 16, 3), np.uint8), 0)
    largest = []
    for step in range(3):
        model.step.assign(step)
        with tf.GradientTape() as tape:
            loss = model.objective(model.forward(drawn))
        largest.append(np.abs(tape.gradient(loss, model.prototypes.vectors.value)).max())
    assert largest[:2] == [0, 0]
    assert largest[2] > 0


def gradient_through_the_assignments(patch):
    patch.setattr(methods.swav.tf, "stop_gradient", lambda tensor: tensor)


def prototypes_before_images(patch):
    def swapped(scores, epsilon, iterations):
        return tf.transpose(sinkhorn(tf.transpose(scores), epsilon, iterations))

    patch.setattr(methods.swav, "sinkhorn", swapped)


def temperature_and_epsilon_swapped(patch):
    patch.setattr(methods.swav, "sinkhorn", lambda scores, epsilon, iterations: sinkhorn(scores, 0.1, iterations))


def own_view_predicted(patch):
    cross_entropy, calls = methods.losses.cross_entropy, []

    def repeated(assignments, logits):
        calls.append(assignments)
        return cross_entropy(calls[-1 - (len(calls) > 1)], logits)

    patch.setattr(methods.swav, "cross_entropy", repeated)


def prototypes_not_normalised(patch):
    patch.setattr(methods.targets.tf.math, "l2_normalize", lambda rows, axis, epsilon=0: rows)


MUTATIONS = [
    gradient_through_the_assignments,
    prototypes_before_images,
    temperature_and_epsilon_swapped,
    own_view_predicted,
    prototypes_not_normalised,
]


@pytest.mark.parametrize("mutate", MUTATIONS, ids=lambda each: each.__name__)
def test_parity_fails_under(mutate, monkeypatch):
    twin = twins()
    views(twin[0], 0)  # traced before the mutation
    mutate(monkeypatch)
    with pytest.raises(AssertionError, match="relative error"):
        follow(*twin, steps=2)
