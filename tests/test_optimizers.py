"""SGD against hand-computed numbers and a NumPy loop, the official schedules, and the predictor's routing."""

import inspect
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch

from simsiam_tf import optimizers
from simsiam_tf.errors import InputError
from simsiam_tf.optimizers.groups import CLASSES
from simsiam_tf.settings.optimizers import OPTIMIZERS, AdamWSettings


class TwoGroups:
    """What make_optimizer needs of a method: encoder and predictor, two variables each."""

    def __init__(self, predictor="predictor", dtype="float32", **group):
        layers = []
        for name in ("encoder", predictor):
            layers.append(keras.layers.Dense(2, name=name, dtype=dtype))
            layers[-1].build((None, 3))
        self.encoder, self.predictor = layers
        self.trainable_variables = [v for layer in layers for v in layer.trainable_variables]
        self.group = group

    def groups(self):
        return [optimizers.Group("encoder"), optimizers.Group("predictor", (self.predictor,), **self.group)]


def small_optimizer(model=None, **overrides):
    arguments = {"learning_rate": 0.05, "batch_size": 256, "epochs": 4, "weight_decay": 0.01}
    return optimizers.make_optimizer(model or TwoGroups(), 2, **arguments | overrides)


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


class TestSchedules:
    def test_cosine_is_the_official_one(self):
        schedule = optimizers.EpochCosine(0.06, steps_per_epoch=3, epochs=4)
        expected = [0.06 * 0.5 * (1.0 + math.cos(math.pi * (step // 3) / 4)) for step in range(12)]
        rates = [schedule(keras.Variable(step, dtype="int64")) for step in range(12)]
        assert rates[0].dtype == tf.float64
        np.testing.assert_allclose(rates, expected, rtol=0, atol=1e-16)
        assert float(schedule(2)) == 0.06
        assert float(schedule(11)) > 0.008
        assert float(schedule(12)) == float(schedule(100)) == 0.0

    def test_warm_up_is_linear_per_step_and_the_cosine_does_not_wait(self):
        schedule = optimizers.EpochCosine(1.0, steps_per_epoch=2, epochs=10, warmup_epochs=2)
        np.testing.assert_allclose([schedule(s) for s in range(4)], [0.25, 0.5, 0.75, 1.0], rtol=1e-15)
        np.testing.assert_allclose(schedule(4), 0.5 * (1 + math.cos(math.pi * 2 / 10)), rtol=1e-15)

    def test_compiled(self):
        schedule = optimizers.EpochCosine(1.0, 2, 10, 2)
        compiled = tf.function(schedule, jit_compile=True)
        for step in (0, 3, 4, 19, 20):
            np.testing.assert_allclose(compiled(tf.constant(step)), schedule(step), atol=1e-15)

    def test_a_rest_comes_before_the_rate_of_its_step(self):
        schedule = optimizers.Resting(optimizers.EpochCosine(1.0, 2, 10, 2), 3)
        np.testing.assert_allclose([schedule(s) for s in range(5)], [0, 0, 0, 1, (1 + math.cos(math.pi * 0.2)) / 2])

    @pytest.mark.parametrize(
        "schedule",
        [
            optimizers.Constant(0.3),
            optimizers.EpochCosine(0.1, 3, 9, 2),
            optimizers.Resting(optimizers.Constant(0.3), 5),
        ],
    )
    def test_config(self, schedule):
        config = schedule.get_config()
        assert set(inspect.signature(type(schedule)).parameters) == set(config)
        copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(schedule))
        assert copy.get_config() == config
        assert float(copy(4)) == float(schedule(4))

    @pytest.mark.parametrize(
        ("arguments", "name"),
        [
            ((-1.0, 1, 1), "base_rate"),
            ((1.0, 0, 1), "steps_per_epoch"),
            ((1.0, 1, 0), "epochs"),
            ((1.0, 1, 5, 6), "warmup_epochs"),
            ((1.0, 1, 5, -1), "warmup_epochs"),
        ],
    )
    def test_bad_values(self, arguments, name):
        with pytest.raises(InputError, match=rf"^{name}: .* is out of range; give"):
            optimizers.EpochCosine(*arguments)

    def test_bad_constant(self):
        with pytest.raises(InputError, match=r"^rate: -1.0 is out of range; give"):
            optimizers.Constant(-1.0)


class TestMakeOptimizer:
    def test_every_settings_have_their_class(self):
        assert CLASSES.keys() == OPTIMIZERS.keys()

    def test_rates(self):
        rates = optimizers.learning_rates(small_optimizer(TwoGroups(ratio=0.5), batch_size=512))
        assert rates == {"learning_rate": pytest.approx(0.1), "predictor_learning_rate": pytest.approx(0.05)}

    def test_constant_predictor_ignores_warm_up_and_decay(self):
        decayed = 0.5 * (1 + math.cos(math.pi * 3 / 4))
        for schedule, expected in (("constant", [1.0, 1.0]), ("cosine", [0.25, decayed])):
            optimizer = small_optimizer(TwoGroups(schedule=schedule), learning_rate=1.0, warmup_epochs=2)
            predictor, encoder = optimizer.optimizers
            assert [float(predictor.learning_rate), float(encoder.learning_rate)] == [expected[0], 0.25]
            predictor.iterations.assign(6)
            assert float(predictor.learning_rate) == pytest.approx(expected[1])

    def compiled(self, model):
        model.optimizer = small_optimizer(model)
        model.optimizer.build(model.trainable_variables)
        return model

    def test_each_variable_is_in_the_group_of_its_layer(self):
        model = self.compiled(TwoGroups())
        optimizers.check_groups(model)
        assert optimizers.variable_counts(model.optimizer) == {"predictor": 2, "encoder": 2}

    def test_a_variable_in_another_group_is_refused(self):
        model = self.compiled(TwoGroups())
        model.predictor = model.encoder  # what the groups say now is not how the variables were given away
        with pytest.raises(
            ValueError, match=r"group 'predictor' trains 2 variables instead of 2, such as encoder/bias"
        ):
            optimizers.check_groups(model)

    def test_a_variable_in_no_group_is_refused(self):
        model = self.compiled(TwoGroups())
        model.trainable_variables = [*model.trainable_variables, keras.Variable(1.0, name="late")]
        with pytest.raises(ValueError, match=r"group 'encoder' trains 2 variables instead of 3, such as late"):
            optimizers.check_groups(model)

    @pytest.mark.parametrize(
        ("path", "routed"),
        [
            ("predictor/dense/kernel", True),
            ("simsiam/predictor/dense/kernel", True),
            ("predictor_1/dense/kernel", False),
            ("my_predictor/kernel", False),
            ("encoder/kernel", False),
        ],
    )
    def test_pattern(self, path, routed):
        optimizer = small_optimizer()
        variable = keras.Variable(1.0)
        variable._path = path
        optimizer.build([variable])
        assert optimizers.variable_counts(optimizer)["predictor"] == int(routed)

    def test_plain_optimizers_are_understood(self):
        optimizer = keras.optimizers.SGD(0.25)
        assert optimizers.learning_rates(optimizer) == {"learning_rate": 0.25}
        optimizer.build([keras.Variable(1.0)])
        scaled = keras.optimizers.LossScaleOptimizer(small_optimizer())
        assert set(optimizers.learning_rates(scaled)) == {"learning_rate", "predictor_learning_rate"}

    def test_a_method_of_one_group_has_one_optimizer(self):
        model = TwoGroups()
        model.groups = lambda: [optimizers.Group("encoder")]
        assert isinstance(small_optimizer(model), optimizers.SGD)

    @pytest.mark.parametrize(
        ("overrides", "message"),
        [
            ({"learning_rate": 0.0}, "optimizer.learning_rate: 0.0 .* a number above 0"),
            ({"batch_size": 0}, "optimizer.batch_size: 0 .* 1 or more"),
            ({"momentum": 1.0}, "optimizer.momentum: 1.0 .* from 0 to below 1"),
            ({"weight_decay": -1.0}, "optimizer.weight_decay: -1.0 .* 0 or more"),
            ({"warmup_epochs": 5}, "optimizer.warmup_epochs: 5 of 4 epochs; give fewer"),
            ({"rate": 1.0}, "optimizer.rate: unknown; give one of .*learning_rate"),
            ({"name": "adam"}, "optimizer.name: 'adam' is unknown; give one of sgd"),
        ],
    )
    def test_bad_values(self, overrides, message):
        with pytest.raises(InputError, match=message):
            small_optimizer(**overrides)

    def test_something_without_groups_is_refused(self):
        with pytest.raises(InputError, match=r"model: 0.03 has no groups\(\); give make_optimizer\(model"):
            optimizers.make_optimizer(0.03, 4)
