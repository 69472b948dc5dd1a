"""SimCLR and its hybrids against a slow reference in PyTorch that was written from the papers, and its traps."""

import math

import numpy as np
import pytest
import tensorflow as tf
import torch

import oracle.simclr
from followers import (
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
from simsiam_tf.methods.losses import nt_xent

RATE = 0.03 * N / 256
HYBRIDS = {
    "plain": {},
    "three layers": {"projector_layers": 3},
    "predictor": {"predictor": "mlp"},
    "predictor and stop-gradient": {"predictor": "mlp", "stop_gradient": True},
    "stop-gradient": {"stop_gradient": True},
}


def twins(projector_layers=2, predictor="none", **settings):
    ours = make_method(
        "simclr", projector_hidden=12, projection_dim=8, predictor_hidden=4, temperature=0.2, predictor=predictor,
        projector_layers=projector_layers, predictor_schedule="cosine", **settings,
    )  # fmt: skip
    hidden = 4 if predictor == "mlp" else None
    theirs = oracle.simclr.SimCLR(width=WIDTH, hidden=12, dim=8, layers=projector_layers, predictor_hidden=hidden)
    load(theirs.double(), weights(ours))
    return ours, theirs, torch.optim.SGD(theirs.parameters(), RATE, momentum=0.9, weight_decay=5e-4)


def weights(model):
    found = arrays(encoder=[model.backbone, model.projector])
    return found if model.predictor is None else found | arrays(predictor=[model.predictor])


def follow(ours, theirs, sgd, stop_gradient=False, steps=10):
    for step in range(steps):
        set_rate(sgd, step, RATE)
        loss = oracle.simclr.train_step(theirs, sgd, *views(ours, step), 0.2, stop_gradient)
        assert step_and_loss(ours) == pytest.approx(loss, abs=1e-9), "relative error"
        assert_close(weights(ours), state(theirs), bound=1e-8, zero=1e-6)


@pytest.mark.parametrize("settings", HYBRIDS.values(), ids=HYBRIDS.keys())
def test_steps_are_the_oracles(settings):
    ours, theirs, sgd = twins(**settings)
    before = weights(ours)
    follow(ours, theirs, sgd, settings.get("stop_gradient", False), steps=5 if settings else 10)
    for name, array in weights(ours).items():
        # The projections' mean is 0, and without bias it stays so.
        assert name == "predictor.1.running_mean" or np.abs(array - before[name]).max() > 1e-7, name


def test_nt_xent_is_the_papers():
    p1, p2, z1, z2 = np.random.default_rng(0).normal(size=(4, 6, 5))
    expected = oracle.simclr.nt_xent_by_loop(p1, p2, z1, z2, 0.3)
    assert float(nt_xent([p1, p2], [z1, z2], 0.3)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("n", [2, 8])
def test_nt_xent_of_equal_vectors_is_the_logarithm_of_their_number(n):
    same = np.ones((n, 5))
    assert float(nt_xent([same, same], [same, same], 0.5)) == pytest.approx(math.log(2 * n - 1), abs=1e-12)


def test_a_part_of_the_queries_meets_the_keys_of_all():
    """What two devices compute: the mean over their own queries, whose keys begin at their first row."""
    z1, z2 = np.random.default_rng(1).normal(size=(2, 6, 5))
    halves = [nt_xent([z1[i:][:3], z2[i:][:3]], [z1, z2], 0.5, first=i) for i in (0, 3)]
    assert float(sum(halves) / 2) == pytest.approx(float(nt_xent([z1, z2], [z1, z2], 0.5)), abs=1e-12)


def own_row_among_the_negatives(patch):
    def nowhere(rows, width, on=True, off=False):
        return tf.zeros([tf.shape(rows)[0], width], tf.bool)

    patch.setattr(methods.losses.tf, "one_hot", nowhere)


def temperature_times(patch):
    def swapped(queries, keys, temperature, first=0):
        return nt_xent(queries, keys, 1 / temperature, first)

    patch.setattr(methods.simclr, "nt_xent", swapped)


def negatives_of_the_other_view_only(patch):
    concat = tf.concat
    patch.setattr(methods.losses.tf, "concat", lambda parts, axis: parts[0] if axis == 1 else concat(parts, axis))


def no_normalisation(patch):
    patch.setattr(methods.losses, "unit_rows", lambda *rows: [tf.cast(each, tf.float64) for each in rows])


MUTATIONS = [own_row_among_the_negatives, temperature_times, negatives_of_the_other_view_only, no_normalisation]


@pytest.mark.parametrize("mutate", MUTATIONS, ids=lambda each: each.__name__)
def test_parity_fails_under(mutate, monkeypatch):
    twin = twins()
    views(twin[0], 0)  # traced before the mutation
    mutate(monkeypatch)
    with pytest.raises(AssertionError, match="relative error"):
        follow(*twin, steps=2)


def test_parity_fails_with_the_wrong_stop_gradient():
    with pytest.raises(AssertionError, match="relative error"):
        follow(*twins(predictor="mlp", stop_gradient=True), stop_gradient=False, steps=2)
