"""Which variable gets which optimizer and rate: the settings' classes, and the groups of a method."""

import math

import keras
import pytest

from simsiam_tf import optimizers
from simsiam_tf.errors import InputError
from simsiam_tf.optimizers.groups import CLASSES
from simsiam_tf.settings.optimizers import OPTIMIZERS
from two_groups import TwoGroups, small_optimizer


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
