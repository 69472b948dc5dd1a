"""Distillation step by step against a slow reference in PyTorch that was written from the supplement."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import oracle
import oracle.distillation
from followers import WIDTH, N, arrays, load, make_method, set_rate, state, step_and_loss, views
from oracle.carry import torch_name
from parity import assert_close
from simsiam_tf import Distillation, methods, networks
from simsiam_tf.methods.distillation import Standardizer

RATE = 0.03 * N / 256


def teacher(width=3):
    """A ResNet-34 of another width than the student's, every scale, offset and statistic of it drawn."""
    network = networks.build("resnet34", width=width, seed=5)
    generator = np.random.default_rng(3)
    for variable in network.variables:
        if variable.ndim == 1:
            low = 0.5 if variable.name in ("moving_variance", "gamma") else -0.1
            variable.assign(generator.uniform(low, low + 0.5, variable.shape))
    return network


def weights(model):
    """The head as torch's Linear alone, and the teacher without a head."""
    found = arrays(encoder=[model.backbone, model.head])
    found = {name.replace("fc.0.", "fc."): array for name, array in found.items()}
    axes = {4: (3, 2, 0, 1), 1: (0,)}
    for variable in model.teacher.variables:
        array = variable.numpy()
        found[torch_name(variable.path).replace("encoder.", "teacher.", 1)] = array.transpose(axes[array.ndim])
    return found


def statistics(model):
    return {"mean": model.statistics.mean.numpy(), "std": model.statistics.deviation.numpy()}


def twins(**settings):
    keras.config.set_dtype_policy("float64")
    ours = make_method("distillation", teacher=teacher(), **settings)
    theirs = oracle.distillation.Distillation(oracle.ResNet("resnet34", width=3), width=WIDTH).double()
    load(theirs, weights(ours))
    return ours, theirs, oracle.distillation.optimizer(theirs, RATE, weight_decay=5e-4)


def follow(ours, theirs, sgd, steps):
    """Compare after every step: loss, student, teacher and the statistics of its features."""
    for step in range(steps):
        set_rate(sgd, step, RATE)
        loss = oracle.distillation.train_step(theirs, sgd, *views(ours, step))
        assert step_and_loss(ours) == pytest.approx(loss, rel=1e-12), "relative error"
        assert_close(weights(ours), state(theirs), bound=1e-12)
        assert_close(statistics(ours), {"mean": theirs.mean.numpy(), "std": theirs.std.numpy()}, bound=1e-12)


def test_ten_steps_are_the_oracles():
    ours, theirs, sgd = twins()
    before = weights(ours) | statistics(ours)
    follow(ours, theirs, sgd, 10)
    for name, array in (weights(ours) | statistics(ours)).items():
        moved = np.abs(array - before[name]).max()
        assert (moved == 0) if name.startswith("teacher.") else (moved > 1e-7), name


def forwards(change):
    def patched(patch):
        forward = Distillation.forward
        patch.setattr(Distillation, "forward", lambda self, drawn, training=True: change(self, drawn, forward))

    return patched


def taught_in_training_mode(self, drawn, forward):
    self.teacher.trainable = True  # else BatchNorm is in inference mode whatever is asked
    targets = [tf.stop_gradient(self.teacher(drawn[0], training=True))]
    self.teacher.trainable = False
    return forward(self, drawn) | {"targets": targets}


def shown_another_view(self, drawn, forward):
    return forward(self, drawn) | {"targets": forward(self, [drawn[0][:, :, ::-1]])["targets"]}


def updated_before_use(patch):
    normalized = Standardizer.normalized

    def early(self, rows):
        self.move(rows)
        return normalized(self, rows)

    patch.setattr(Standardizer, "normalized", early)
    patch.setattr(Distillation, "after_step", lambda *arguments: None)


def variances_averaged(patch):
    move = Standardizer.move

    def squared(self, rows):
        before = self.deviation.numpy()
        move(self, rows)
        batch = (self.deviation - self.momentum * before) / (1 - self.momentum)
        self.deviation.assign(tf.sqrt(self.momentum * before**2 + (1 - self.momentum) * batch**2))

    patch.setattr(Standardizer, "move", squared)


def deviations_of_the_whole(patch):
    """numpy's, with n below the sum."""
    move = Standardizer.move

    def biased(self, rows):
        before = self.deviation.numpy()
        move(self, rows)
        self.deviation.assign(before * self.momentum + (self.deviation - before * self.momentum) * np.sqrt((N - 1) / N))

    patch.setattr(Standardizer, "move", biased)


def target_not_normalised(patch):
    patch.setattr(Standardizer, "normalized", lambda self, rows: rows)


def summed_over_dimensions(patch):
    patch.setattr(
        methods.distillation, "mean_squared_error", lambda p, t: tf.reduce_mean(tf.reduce_sum(tf.square(p - t), axis=1))
    )


MUTATIONS = {
    "teacher in training mode": forwards(taught_in_training_mode),
    "teacher sees another view": forwards(shown_another_view),
    "statistics are updated before use": updated_before_use,
    "variances are averaged": variances_averaged,
    "deviation with n": deviations_of_the_whole,
    "target is not normalised": target_not_normalised,
    "error summed over dimensions": summed_over_dimensions,
}


@pytest.mark.parametrize("mutate", MUTATIONS.values(), ids=MUTATIONS.keys())
def test_parity_fails_under(mutate, monkeypatch):
    ours, theirs, sgd = twins()
    views(ours, 0)  # traced before the mutation
    mutate(monkeypatch)
    with pytest.raises(AssertionError, match="relative error"):
        follow(ours, theirs, sgd, 3)


def test_parity_fails_under_another_momentum():
    with pytest.raises(AssertionError, match="relative error"):
        follow(*twins(statistics_momentum=0.9), 3)
