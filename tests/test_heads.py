"""Heads against a NumPy forward pass, the papers' structure, PyTorch's initialisation, and Keras's saving."""

import inspect
import math

import keras
import numpy as np
import pytest

from simsiam_tf.errors import InputError
from simsiam_tf.networks.heads import Predictor, Projector

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def features(n=16, d=6):
    return np.random.default_rng(0).normal(2.0, 3.0, (n, d)).astype("float32")


def shapes(head):
    return {v.path.split("/", 1)[1]: tuple(v.shape) for v in head.variables}


def standardized(x):
    return (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)


def values(head):
    return {v.path.split("/", 1)[1]: v.numpy() for v in head.variables}


class TestProjector:
    @pytest.mark.parametrize("num_layers", [1, 2, 3])
    def test_forward(self, num_layers):
        head = Projector(5, 4, num_layers=num_layers)
        x = features()
        outputs = head(x, training=True)
        w = values(head)
        expected = x
        for index in range(1, num_layers):
            expected = np.maximum(standardized(expected @ w[f"dense{index}/kernel"]), 0)
        expected = standardized(expected @ w[f"dense{num_layers}/kernel"])
        np.testing.assert_allclose(outputs, expected, atol=2e-5)
        assert head.compute_output_shape((16, 6)) == outputs.shape == (16, 4)

    def test_variables(self):
        head = Projector(5, 4, num_layers=3)
        head.build((None, 6))
        bn = {f"bn{i}/{v}": (5,) for i in (1, 2) for v in ("gamma", "beta", "moving_mean", "moving_variance")}
        assert shapes(head) == {
            "dense1/kernel": (6, 5),
            "dense2/kernel": (5, 5),
            "dense3/kernel": (5, 4),
            **bn,
            "bn3/moving_mean": (4,),
            "bn3/moving_variance": (4,),
        }
        assert head.variables[0].path == "projector/dense1/kernel"

    def test_without_norms(self):
        head = Projector(5, 4, hidden_norm=False, output_norm=False)
        x = features()
        outputs = head(x, training=True)
        w = values(head)
        hidden = np.maximum(x @ w["dense1/kernel"] + w["dense1/bias"], 0)
        expected = hidden @ w["dense2/kernel"] + w["dense2/bias"]
        np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-4)
        assert set(w) == {"dense1/kernel", "dense1/bias", "dense2/kernel", "dense2/bias"}
        hidden_only = Projector(5, 4, output_norm=False)
        hidden_only.build((None, 6))
        assert {"bn1/gamma", "dense2/bias"} <= set(shapes(hidden_only))
        assert not {"bn2/moving_mean", "dense1/bias"} & set(shapes(hidden_only))

    def test_bad_sizes(self):
        for name in ("hidden_dim", "output_dim", "num_layers"):
            with pytest.raises(InputError, match=rf"^{name} must be a positive integer, got 0"):
                Projector(**{name: 0})


class TestPredictor:
    def test_forward(self):
        head = Predictor(3, 6)
        x = features()
        outputs = head(x, training=True)
        w = values(head)
        expected = np.maximum(standardized(x @ w["dense1/kernel"]), 0) @ w["dense2/kernel"] + w["dense2/bias"]
        np.testing.assert_allclose(outputs, expected, atol=2e-5)
        assert np.abs(w["dense2/bias"]).min() > 0

    def test_name_and_variables(self):
        for _ in range(2):
            head = Predictor(3, 6)
            head.build((None, 6))
            assert [v.path for v in head.trainable_variables] == [
                "predictor/dense1/kernel",
                "predictor/bn1/gamma",
                "predictor/bn1/beta",
                "predictor/dense2/kernel",
                "predictor/dense2/bias",
            ]

    def test_ablations(self):
        all_norms = Predictor(3, 6, output_norm=True)
        all_norms.build((None, 6))
        assert {"bn2/gamma", "bn2/beta"} <= set(shapes(all_norms))
        assert "dense2/bias" not in shapes(all_norms)
        none = Predictor(3, 6, hidden_norm=False)
        none.build((None, 6))
        assert set(shapes(none)) == {"dense1/kernel", "dense1/bias", "dense2/kernel", "dense2/bias"}

    def test_bad_sizes(self):
        with pytest.raises(InputError, match=r"^hidden_dim must be a positive integer, got 2.5"):
            Predictor(2.5, 4)


def test_heads_of_one_seed_and_shape_differ():
    kernels = []
    for head in (Projector(5, 4, seed=1), Predictor(5, 4, seed=1)):
        head.build((None, 6))
        kernels.append(values(head)["dense1/kernel"])
    assert (kernels[0] != kernels[1]).all()


@pytest.mark.parametrize("head_class", [Projector, Predictor])
class TestBoth:
    def test_initialisation_is_torchs(self, head_class):
        norms = {"hidden_norm": False, "output_norm": False}
        head = head_class(400, 300, **norms)
        head.build((None, 100))
        for layer, fan_in in (("dense1", 100), ("dense2", 400)):
            for variable in ("kernel", "bias"):
                weights = values(head)[f"{layer}/{variable}"]
                bound = 1 / math.sqrt(fan_in)
                assert 0.97 * bound < np.abs(weights).max() <= bound
                assert weights.std() == pytest.approx(bound / math.sqrt(3), rel=0.1)

    def test_seed_alone_decides(self, head_class):
        def kernels(seed, **kwargs):
            head = head_class(5, 4, seed=seed, **kwargs)
            head.build((None, 5))
            return values(head)

        first = kernels(3)
        keras.utils.set_random_seed(99)
        keras.layers.Dense(7).build((None, 5))
        again, other = kernels(3, name="elsewhere"), kernels(4)
        for name in ("dense1/kernel", "dense2/kernel"):
            np.testing.assert_array_equal(first[name], again[name])
            assert np.abs(first[name] - other[name]).max() > 0.1
        assert np.abs(first["dense1/kernel"][:, :4] - first["dense2/kernel"]).max() > 0.1

    def test_moving_statistics_move_in_training_only(self, head_class):
        head = head_class(5, 4)
        head(features(), training=False)
        assert not values(head)["bn1/moving_mean"].any()
        head(features(), training=True)
        assert values(head)["bn1/moving_mean"].all()

    def test_config(self, head_class):
        arguments = {"hidden_dim": 5, "output_dim": 4, "hidden_norm": False, "output_norm": True, "seed": 8}
        if head_class is Projector:
            arguments["num_layers"] = 3
        head = head_class(**arguments, name="other", dtype="mixed_bfloat16")
        config = head.get_config()
        assert set(inspect.signature(head_class).parameters) - {"kwargs"} == set(arguments) | {"name"}
        assert arguments.items() <= config.items()
        copy = head_class.from_config(config)
        assert copy.get_config() == config

    def test_saved_in_a_model(self, head_class, tmp_path):
        inputs = keras.Input((6,))
        model = keras.Model(inputs, head_class(5, 4, seed=1)(inputs))
        for _ in range(3):
            model(features(), training=True)
        model.layers[-1].stages[0].kernel.assign_add(np.ones((6, 5)))
        model.save(tmp_path / "model.keras")
        copy = keras.saving.load_model(tmp_path / "model.keras")
        np.testing.assert_array_equal(copy(features()), model(features()))
        assert [v.path for v in copy.variables] == [v.path for v in model.variables]

    @pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "float64"])
    def test_policy_reaches_the_children(self, head_class, policy):
        head = head_class(5, 4, dtype=policy)
        outputs = head(features(), training=True)
        assert keras.backend.standardize_dtype(outputs.dtype) == policy.removeprefix("mixed_")
        assert {v.dtype for v in head.variables} == {"float64" if policy == "float64" else "float32"}
        reference = head_class(5, 4, dtype="float32")
        reference.build((None, 6))
        reference.set_weights(head.get_weights())
        expected = reference(features(), training=True)
        np.testing.assert_allclose(np.asarray(outputs, "float64"), expected, atol=0.1)
