"""SimSiam as alternating optimization (section 5), against a reference that keeps the targets in a cache."""

import numpy as np
import pytest
import torch

import oracle.alternating
from followers import WIDTH, N, arrays, load, make_method, set_rate, state, step_and_loss, views
from parity import assert_close
from simsiam_tf.errors import InputError
from simsiam_tf.methods import bank

RATE = 0.03 * N / 256
SIZES = {"projector_hidden": 12, "projection_dim": 8, "predictor_hidden": 4, "predictor_schedule": "cosine"}
FACTS = {"steps_per_epoch": 3, "num_images": 48}


def weights(model):
    found = arrays(encoder=[model.backbone, model.projector])
    return found if model.predictor is None else found | arrays(predictor=[model.predictor])


def twins(**settings):
    ours = make_method("alternating", **SIZES | FACTS | settings)
    theirs = oracle.alternating.Alternating(
        width=WIDTH, hidden=12, dim=8, predictor_hidden=4, predictor=settings.get("predictor") != "none"
    )
    load(theirs.double(), weights(ours))
    return ours, theirs, torch.optim.SGD(theirs.parameters(), RATE, momentum=0.9, weight_decay=5e-4)


def follow(ours, theirs, sgd, every, rounds):
    """Compare after each round of `every` steps, whose targets the reference takes from a cache."""
    for start in range(0, every * rounds, every):
        batches = [views(ours, start + i) for i in range(every)]
        losses = oracle.alternating.alternate(
            theirs, sgd, batches, lambda descent, i, start=start: set_rate(descent, start + i, RATE)
        )
        assert [step_and_loss(ours) for _ in batches] == pytest.approx(losses, abs=1e-9), "relative error"
        assert_close(weights(ours), state(theirs), bound=1e-8, zero=1e-6)


@pytest.mark.parametrize(
    ("settings", "every"),
    [({"every": 1}, 1), ({"every": 4}, 4), ({"every": None}, 3), ({"every": 2, "target_samples": 2}, 2)],
    ids=["1 step", "4 steps", "an epoch", "2 steps, 2 samples"],
)
def test_alternation_is_that_with_a_cache(settings, every):
    ours, theirs, sgd = twins(**settings)
    before = weights(ours)
    follow(ours, theirs, sgd, every, rounds=-(-8 // every))
    for name, array in weights(ours).items():
        # The projections' mean is 0, and without bias it stays so.
        assert name == "predictor.1.running_mean" or np.abs(array - before[name]).max() > 1e-7, name


def test_a_snapshot_of_every_step_is_simsiam():
    """Equation 11: weights and statistics of six steps."""
    ours = make_method("alternating", **SIZES | FACTS)
    simsiam = make_method("simsiam", **SIZES)
    for _ in range(6):
        assert step_and_loss(ours) == pytest.approx(step_and_loss(simsiam), abs=1e-12)
        assert_close(weights(ours), weights(simsiam), bound=1e-9, zero=1e-6)


def test_a_longer_round_is_another_method():
    ours, theirs, sgd = twins(every=4)
    with pytest.raises(AssertionError, match="relative error"):
        follow(ours, theirs, sgd, every=2, rounds=2)


def rows_of(step):
    """Each image in every third step, at another place."""
    return np.roll(np.arange(N) + step % 3 * N, step)


@pytest.mark.parametrize(("dtype", "bound"), [("float64", 1e-8), ("float16", 2e-3)])
def test_the_bank_is_the_oracles(dtype, bound):
    """Weights, statistics and the bank itself, through first visits and later ones."""
    ours, theirs, sgd = twins(target="bank", predictor="none", bank_dtype="float32" if dtype == "float64" else dtype)
    if dtype == "float64":  # what the setting does not offer, so that the comparison is sharp
        vectors = ours.bank.add_weight(
            name="exact", shape=(48, 8), dtype="float64", initializer="zeros", trainable=False
        )
        ours.bank.vectors = vectors
    theirs_bank, seen = torch.zeros(48, 8, dtype=torch.float64), torch.zeros(48, dtype=torch.bool)
    for step in range(8):
        set_rate(sgd, step, RATE)
        rows = rows_of(step)
        loss = oracle.alternating.bank_step(theirs, sgd, theirs_bank, seen, torch.tensor(rows), *views(ours, step))
        assert step_and_loss(ours, rows=rows) == pytest.approx(loss, abs=bound)
        assert_close(weights(ours), state(theirs), bound=bound, zero=1e-6)
        np.testing.assert_allclose(ours.bank.vectors, theirs_bank, rtol=0, atol=bound)
    assert seen.all()


def test_the_bank_counts_its_bytes_and_is_in_the_state():
    ours = make_method("alternating", "float32", **SIZES | FACTS, target="bank", predictor="none", bank_dtype="float16")
    assert ours.bank.nbytes == 48 * 8 * 2
    assert [v.path for v in ours.variables if "bank" in v.path] == [ours.bank.vectors.path]
    assert ours.reads == {"rows"}


def test_a_bank_that_cannot_fit_is_refused(tmp_path):
    with pytest.raises(
        InputError, match=r"^method.target: a bank of 1000000000 x 4096 float16 takes 8.19e\+03 GB, more"
    ):
        bank.ImageBank(1_000_000_000, 4096, 0.8, "float16")
    (tmp_path / "memory.max").write_text("5000\n")
    (tmp_path / "memory.current").write_text("2000\n")
    assert bank.free_memory(tmp_path) == 3000
    (tmp_path / "memory.max").write_text("max\n")
    assert bank.free_memory(tmp_path) == bank.free_memory(tmp_path / "nowhere") > 1e8


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"every": None}, "^method.every: null is an epoch, of unknown steps; give steps_per_epoch, or a number$"),
        ({"target": "bank"}, "^num_images: None, but the bank has a row for each image; give their number$"),
    ],
)
def test_what_it_has_to_know_is_asked_for(settings, message):
    with pytest.raises(InputError, match=message):
        make_method("alternating", **SIZES | settings)
