"""SimSiam as alternating optimization (section 5), against a reference that keeps the targets in a cache."""

import logging
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
import torch

import oracle.alternating
from followers import WIDTH, N, arrays, load, make_method, set_rate, state, step_and_loss, views
from parity import assert_close
from simsiam_tf.data.sources import from_arrays
from simsiam_tf.errors import InputError
from simsiam_tf.methods import alternating, bank
from simsiam_tf.methods.losses import unit_rows
from simsiam_tf.runs.folder import RunFolder
from simsiam_tf.runs.train import make_model
from simsiam_tf.runs.workers import Workers
from simsiam_tf.settings.methods.alternating import AlternatingSettings
from simsiam_tf.settings.schema import Config, DataSettings, SGDSettings

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


def bank_twins(exact=True, **settings):
    ours, theirs, sgd = twins(target="bank", predictor="none", **settings)
    if exact:  # float64 is what the setting does not offer, so that the comparison is sharp
        options = {"dtype": "float64", "initializer": "zeros", "trainable": False}
        ours.bank.vectors = ours.bank.add_weight(name="exact", shape=(48, 8), **options)
    return ours, theirs, sgd


def follow_bank(ours, theirs, sgd, steps=8, bound=1e-8):
    """Compare weights, statistics and the bank itself; every third step comes back to the same images."""
    theirs_bank, seen = torch.zeros(48, 8, dtype=torch.float64), torch.zeros(48, dtype=torch.bool)
    for step in range(steps):
        set_rate(sgd, step, RATE)
        rows = rows_of(step)
        loss = oracle.alternating.bank_step(theirs, sgd, theirs_bank, seen, torch.tensor(rows), *views(ours, step))
        assert step_and_loss(ours, rows=rows) == pytest.approx(loss, abs=bound), "relative error"
        assert_close(weights(ours), state(theirs), bound=bound, zero=1e-6)
        assert_close({"bank": ours.bank.vectors.numpy()}, {"bank": theirs_bank.numpy()}, bound=bound)
    assert seen.all() or steps < 3


@pytest.mark.parametrize("samples", [0, 3])
def test_the_bank_is_the_oracles(samples):
    follow_bank(*bank_twins(target_samples=samples))


def test_the_bank_in_float16_is_the_oracles():
    follow_bank(*bank_twins(exact=False, bank_dtype="float16"), bound=2e-3)


def target_before_the_view(patch):
    def objective(self, outputs, batch=None):
        return self.similarity(outputs["p"], [tf.gather(self.bank.vectors, batch.rows)])

    patch.setattr(alternating.Alternating, "objective", objective)


def moved_by(formula):
    """The bank moves to formula(before, seen, momentum)."""

    def moved(self, rows, seen):
        return formula(tf.gather(self.vectors, rows), seen, self.momentum)

    return lambda patch: patch.setattr(bank.ImageBank, "moved", moved)


def average_with_ones(before, seen, m):
    first = tf.reduce_all(before == 0, axis=1, keepdims=True)
    return unit_rows(m * tf.where(first, tf.ones_like(before), before) + (1 - m) * seen)[0]


def samples_not_normalised(patch):
    patch.setattr(alternating, "_mean_direction", lambda projections: tf.add_n(projections) / len(projections))


def last_sample_alone(patch):
    mean = alternating._mean_direction
    patch.setattr(alternating, "_mean_direction", lambda projections: mean(projections[-1:]))


def gradient_through_the_target(patch):
    patch.setattr(alternating.tf, "stop_gradient", lambda tensor: tensor)


BANK_MUTATIONS = {
    "target before the view": target_before_the_view,
    "first visit averaged": moved_by(average_with_ones),
    "eta not normalised, its first visit averaged with zero": moved_by(lambda b, seen, m: m * b + (1 - m) * seen),
    "shares swapped": moved_by(lambda b, seen, m: unit_rows((1 - m) * b + m * seen)[0]),
    "samples not normalised": samples_not_normalised,
    "last sample alone": last_sample_alone,
    "gradient through the target": gradient_through_the_target,
}


@pytest.mark.parametrize("mutate", BANK_MUTATIONS.values(), ids=BANK_MUTATIONS.keys())
def test_parity_of_the_bank_fails_under(mutate, monkeypatch):
    twin = bank_twins(target_samples=2)
    views(twin[0], 0)  # traced before the mutation
    mutate(monkeypatch)
    with pytest.raises(AssertionError, match="relative error"):
        follow_bank(*twin, steps=4)


def test_a_run_says_what_the_bank_takes(small_backbones, tmp_path, caplog):
    """1000 images x 500 numbers of two bytes."""
    method = AlternatingSettings(target="bank", projection_dim=500, bank_dtype="float16")
    config = Config(data=DataSettings(image_size=12), optimizer=SGDSettings(batch_size=16), method=method)
    images = from_arrays(np.zeros((1000, 12, 12, 3), np.uint8))
    with caplog.at_level(logging.INFO, "simsiam_tf"):
        make_model(config, RunFolder(tmp_path), Workers(), 3, images)
    assert "a bank of 1000 targets: 0.001 GB" in caplog.messages


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


def test_on_several_replicas_a_bank_needs_twice_its_size(monkeypatch):
    monkeypatch.setattr(bank, "free_memory", lambda: 1.5 * 10 * 4 * 4)
    assert bank.ImageBank(10, 4, 0.8).nbytes == 160
    monkeypatch.setattr(tf.distribute, "get_strategy", lambda: SimpleNamespace(num_replicas_in_sync=2))
    with pytest.raises(InputError, match=r"a bank of 10 x 4 float32 takes 1\.6e-07 GB, more than there is"):
        bank.ImageBank(10, 4, 0.8)


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
