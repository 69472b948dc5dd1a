"""Rates over the steps: the official cosine, warm-up, rests."""

import inspect
import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from simsiam_tf import optimizers
from simsiam_tf.errors import InputError


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
