"""SGD against hand-computed numbers and a NumPy loop, AdamW against PyTorch."""

import inspect
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch

from simsiam_tf import optimizers
from simsiam_tf.errors import InputError
from simsiam_tf.settings.optimizers import AdamWSettings
from two_groups import TwoGroups, small_optimizer


def run_on_one_variable(optimizer, gradients, start=1.0, dtype="float32"):
    variable = keras.Variable(start, dtype=dtype)
    values = []
    for gradient in gradients:
        optimizer.apply([tf.constant(gradient, dtype)], [variable])
        values.append(float(variable.numpy()))
    return values


class TestSGD:
    def test_two_steps_by_hand(self):
        # g = 2 + .1*1 = 2.1, v = 2.1, w = 1 - .5*2.1 = -.05
        # g = 4 - .1*.05 = 3.995, v = .5*2.1 + 3.995 = 5.045, w = -.05 - .5*5.045
        values = run_on_one_variable(optimizers.SGD(0.5, momentum=0.5, weight_decay=0.1), [2.0, 4.0])
        np.testing.assert_allclose(values, [-0.05, -2.5725], rtol=1e-6)

    @pytest.mark.parametrize("momentum", [0.0, 0.9])
    def test_numpy_loop_float64_with_moving_rate(self, momentum):
        schedule = optimizers.EpochCosine(0.3, steps_per_epoch=2, epochs=5)
        gradients = np.random.default_rng(0).normal(size=8)
        values = run_on_one_variable(optimizers.SGD(schedule, momentum, 0.05), gradients, 0.7, "float64")
        w, v, expected = 0.7, 0.0, []
        for step, g in enumerate(gradients):
            v = momentum * v + g + 0.05 * w
            w -= 0.3 * 0.5 * (1 + math.cos(math.pi * (step // 2) / 5)) * v
            expected.append(w)
        np.testing.assert_allclose(values, expected, rtol=0, atol=1e-14)

    def test_decay_is_coupled(self):
        """No gradient, lr 0.1, wd 0.5: Keras's decoupled decay gives 0.95 ** 3 = 0.857, torch's 0.731."""
        ours = run_on_one_variable(optimizers.SGD(0.1, 0.9, 0.5), [0.0] * 3)
        keras_sgd = run_on_one_variable(keras.optimizers.SGD(0.1, 0.9, weight_decay=0.5), [0.0] * 3)
        w, v = 1.0, 0.0
        for _ in range(3):
            v = 0.9 * v + 0.5 * w
            w -= 0.1 * v
        np.testing.assert_allclose(ours[-1], w, rtol=1e-6)
        assert [round(ours[-1], 3), round(keras_sgd[-1], 3)] == [0.731, 0.857]

    def test_sparse_gradients_decay_all_rows(self):
        table = keras.Variable(np.ones((3, 2), "float32"))
        rows = tf.IndexedSlices(tf.ones((1, 2)), tf.constant([1]), tf.constant([3, 2]))
        optimizers.SGD(0.1, 0.9, 0.5).apply([rows], [table])
        np.testing.assert_allclose(table.numpy(), [[0.95] * 2, [0.85] * 2, [0.95] * 2], rtol=1e-6)

    def test_config_is_complete_and_survives_keras(self):
        original = optimizers.SGD(optimizers.EpochCosine(0.1, 3, 9, 2), 0.8, 0.02, name="x", clipnorm=1.0)
        config = original.get_config()
        assert set(inspect.signature(optimizers.SGD).parameters) - {"kwargs"} <= set(config)
        # keras.optimizers.deserialize lower-cases known names: "SGD" must not become Keras's own.
        copy = keras.optimizers.deserialize(keras.optimizers.serialize(original))
        assert type(copy) is optimizers.SGD
        assert copy.get_config() == config
        assert (copy.momentum, copy.weight_decay, copy.clipnorm, copy.name) == (0.8, 0.02, 1.0, "x")

    def test_exclusion_is_refused(self):
        with pytest.raises(NotImplementedError, match=r"decays every variable"):
            optimizers.SGD(0.1).exclude_from_weight_decay(var_names=["bias"])

    @pytest.mark.parametrize(
        ("arguments", "name"),
        [
            ({"learning_rate": -0.1}, "learning_rate"),
            ({"learning_rate": math.nan}, "learning_rate"),
            ({"momentum": 1.0}, "momentum"),
            ({"momentum": -0.1}, "momentum"),
            ({"weight_decay": -1e-4}, "weight_decay"),
        ],
    )
    def test_bad_values(self, arguments, name):
        with pytest.raises(InputError, match=rf"^{name}: {next(iter(arguments.values()))} is out of range; give"):
            optimizers.SGD(**arguments)


class TestAdamW:
    """Keras's, which differs from PyTorch's in two things.

    Epsilon is added to the root of the mean square before that is corrected for its start at 0: PyTorch's is
    epsilon / sqrt(1 - beta_2^step). Betas and decay are rounded to float32 even where the weights are float64.
    """

    @pytest.mark.parametrize(
        ("given", "corrected", "tolerance"),
        [
            ({"weight_decay": 0.125, "beta_1": 0.875, "beta_2": 1 - 2**-10, "epsilon": 1e-3}, True, 1e-14),
            ({"weight_decay": 0.1}, False, 5e-6),  # measured: 1.7e-6, of steps of 0.05
        ],
    )
    def test_trains_with_pytorchs_steps_in_float64(self, given, corrected, tolerance):
        """Down a bowl, the predictor under a rate and a decay of its own."""
        model, s = TwoGroups(dtype="float64", ratio=0.5, schedule="constant", weight_decay=0.0), AdamWSettings(**given)
        optimizer = small_optimizer(model, name="adamw", **given)
        ours, rng = model.trainable_variables, np.random.default_rng(0)
        for variable in ours:
            variable.assign(rng.normal(size=variable.shape))
        theirs = [torch.nn.Parameter(torch.tensor(v.numpy())) for v in ours]
        groups = [{"params": theirs[:2], "weight_decay": s.weight_decay}, {"params": theirs[2:], "weight_decay": 0.0}]
        reference = torch.optim.AdamW(groups, betas=(s.beta_1, s.beta_2))
        targets, losses = [rng.normal(size=v.shape) for v in ours], []
        for step in range(8):
            losses.append(sum(float(np.square(v.numpy() - t).sum()) for v, t in zip(ours, targets, strict=True)))
            optimizer.apply([v - t for v, t in zip(ours, targets, strict=True)], ours)
            for w, t in zip(theirs, targets, strict=True):
                w.grad = w.detach() - torch.tensor(t)
            cosine = 0.5 * (1 + math.cos(math.pi * (step // 2) / 4))
            for group, rate in zip(reference.param_groups, (0.05 * cosine, 0.025), strict=True):
                correction = math.sqrt(1 - s.beta_2 ** (step + 1)) if corrected else 1
                group |= {"lr": rate, "eps": s.epsilon / correction}
            reference.step()
            for v, w in zip(ours, theirs, strict=True):
                np.testing.assert_allclose(v.numpy(), w.detach(), rtol=0, atol=tolerance)
        assert losses == sorted(losses, reverse=True)
        assert losses[-1] < 0.9 * losses[0]
