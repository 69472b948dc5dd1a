"""Heads against a NumPy forward pass, the papers' structure, PyTorch's initialisation, and Keras's saving."""

import inspect
import math

import keras
import numpy as np
import pytest

from simsiam_tf.errors import InputError
from simsiam_tf.networks.heads import MLP

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def projector(hidden_dim, output_dim, **arguments):
    return MLP(hidden_dim, output_dim, **{"output_norm": "plain", "name": "projector"} | arguments)


def predictor(hidden_dim, output_dim, **arguments):
    return MLP(hidden_dim, output_dim, **{"name": "predictor"} | arguments)


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
        head = projector(5, 4, num_layers=num_layers)
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
        head = projector(5, 4, num_layers=3)
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
        head = projector(5, 4, hidden_norm=False, output_norm="none")
        x = features()
        outputs = head(x, training=True)
        w = values(head)
        hidden = np.maximum(x @ w["dense1/kernel"] + w["dense1/bias"], 0)
        expected = hidden @ w["dense2/kernel"] + w["dense2/bias"]
        np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-4)
        assert set(w) == {"dense1/kernel", "dense1/bias", "dense2/kernel", "dense2/bias"}
        hidden_only = projector(5, 4, output_norm="none")
        hidden_only.build((None, 6))
        assert {"bn1/gamma", "dense2/bias"} <= set(shapes(hidden_only))
        assert not {"bn2/moving_mean", "dense1/bias"} & set(shapes(hidden_only))

    def test_with_scale_and_offset(self):
        head = projector(5, 4, output_norm="affine")
        head.build((None, 6))
        assert {"bn2/gamma", "bn2/beta", "bn2/moving_mean"} <= set(shapes(head))
        assert "dense2/bias" not in shapes(head)
        head.stages[-1].gamma.assign([1.0, 2.0, 3.0, 4.0])
        head.stages[-1].beta.assign([0.5, 0.0, -1.0, 2.0])
        x = features()
        outputs = head(x, training=True)
        w = values(head)
        hidden = np.maximum(standardized(x @ w["dense1/kernel"]), 0)
        expected = standardized(hidden @ w["dense2/kernel"]) * [1, 2, 3, 4] + [0.5, 0, -1, 2]
        np.testing.assert_allclose(outputs, expected, atol=1e-4)


class TestPredictor:
    def test_forward(self):
        head = predictor(3, 6)
        x = features()
        outputs = head(x, training=True)
        w = values(head)
        expected = np.maximum(standardized(x @ w["dense1/kernel"]), 0) @ w["dense2/kernel"] + w["dense2/bias"]
        np.testing.assert_allclose(outputs, expected, atol=2e-5)
        assert np.abs(w["dense2/bias"]).min() > 0

    def test_name_and_variables(self):
        for _ in range(2):
            head = predictor(3, 6)
            head.build((None, 6))
            assert [v.path for v in head.trainable_variables] == [
                "predictor/dense1/kernel",
                "predictor/bn1/gamma",
                "predictor/bn1/beta",
                "predictor/dense2/kernel",
                "predictor/dense2/bias",
            ]

    def test_ablations(self):
        all_norms = predictor(3, 6, output_norm="affine")
        all_norms.build((None, 6))
        assert {"bn2/gamma", "bn2/beta"} <= set(shapes(all_norms))
        assert "dense2/bias" not in shapes(all_norms)
        none = predictor(3, 6, hidden_norm=False)
        none.build((None, 6))
        assert set(shapes(none)) == {"dense1/kernel", "dense1/bias", "dense2/kernel", "dense2/bias"}


@pytest.mark.parametrize("name", ["hidden_dim", "output_dim", "num_layers"])
@pytest.mark.parametrize("size", [0, -1, 2.5, None])
def test_bad_sizes(name, size):
    message = rf"^{name}: {size} is no size; give a whole number, 1 or more$"
    with pytest.raises(InputError, match=message):
        MLP(**{"hidden_dim": 5, "output_dim": 4} | {name: size})


@pytest.mark.parametrize("value", [True, "hidden"])
def test_an_unknown_output_norm_is_refused(value):
    with pytest.raises(
        InputError, match=rf"^output_norm: {value!r} is unknown; give one of none, plain, scale, affine$"
    ):
        MLP(5, 4, output_norm=value)


def test_weights_are_those_of_earlier_versions():
    """Of a Projector and a Predictor, which were classes of their own."""
    for head, expected in (
        (projector, {"dense1": [0.13520432, 0.41030967, 0.448843], "dense2": [-0.20688552, 0.37147963, 0.55392385]}),
        (predictor, {"dense1": [0.02855182, -0.43716776, 0.3060747], "dense2": [0.12741816, 0.17083234, 0.4896847]}),
    ):
        built = head(3, 2, seed=1)
        built.build((None, 4))
        for layer, first in expected.items():
            np.testing.assert_allclose(values(built)[f"{layer}/kernel"].ravel()[:3], first, rtol=1e-6)


def test_heads_of_one_seed_and_shape_differ():
    kernels = []
    for head in (projector(5, 4, seed=1), predictor(5, 4, seed=1)):
        head.build((None, 6))
        kernels.append(values(head)["dense1/kernel"])
    assert (kernels[0] != kernels[1]).all()


@pytest.mark.parametrize("head_of", [projector, predictor])
class TestBoth:
    def test_initialisation_is_torchs(self, head_of):
        head = head_of(400, 300, hidden_norm=False, output_norm="none")
        head.build((None, 100))
        for layer, fan_in in (("dense1", 100), ("dense2", 400)):
            for variable in ("kernel", "bias"):
                weights = values(head)[f"{layer}/{variable}"]
                bound = 1 / math.sqrt(fan_in)
                assert 0.97 * bound < np.abs(weights).max() <= bound
                assert weights.std() == pytest.approx(bound / math.sqrt(3), rel=0.1)

    def test_seed_alone_decides(self, head_of):
        def kernels(seed):
            head = head_of(5, 4, seed=seed)
            head.build((None, 5))
            return values(head)

        first = kernels(3)
        keras.utils.set_random_seed(99)
        keras.layers.Dense(7).build((None, 5))
        again, other = kernels(3), kernels(4)
        for name in ("dense1/kernel", "dense2/kernel"):
            np.testing.assert_array_equal(first[name], again[name])
            assert np.abs(first[name] - other[name]).max() > 0.1
        assert np.abs(first["dense1/kernel"][:, :4] - first["dense2/kernel"]).max() > 0.1

    def test_moving_statistics_move_in_training_only(self, head_of):
        head = head_of(5, 4)
        head(features(), training=False)
        assert not values(head)["bn1/moving_mean"].any()
        head(features(), training=True)
        assert values(head)["bn1/moving_mean"].all()

    def test_config(self, head_of):
        arguments = {"hidden_dim": 5, "output_dim": 4, "num_layers": 3}
        arguments |= {"hidden_norm": False, "output_norm": "affine", "input_norm": True, "seed": 8}
        head = head_of(**arguments, name="other", dtype="mixed_bfloat16")
        config = head.get_config()
        assert set(inspect.signature(MLP).parameters) - {"kwargs", "name"} == set(arguments)
        assert (arguments | {"name": "other"}).items() <= config.items()
        copy = MLP.from_config(config)
        assert copy.get_config() == config

    def test_saved_in_a_model(self, head_of, tmp_path):
        inputs = keras.Input((6,))
        model = keras.Model(inputs, head_of(5, 4, seed=1)(inputs))
        for _ in range(3):
            model(features(), training=True)
        model.layers[-1].stages[0].kernel.assign_add(np.ones((6, 5)))
        model.save(tmp_path / "model.keras")
        copy = keras.saving.load_model(tmp_path / "model.keras")
        np.testing.assert_array_equal(copy(features()), model(features()))
        assert [v.path for v in copy.variables] == [v.path for v in model.variables]

    @pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "float64"])
    def test_policy_reaches_the_children(self, head_of, policy):
        head = head_of(5, 4, dtype=policy)
        outputs = head(features(), training=True)
        assert keras.backend.standardize_dtype(outputs.dtype) == policy.removeprefix("mixed_")
        assert {v.dtype for v in head.variables} == {"float64" if policy == "float64" else "float32"}
        reference = head_of(5, 4, dtype="float32")
        reference.build((None, 6))
        reference.set_weights(head.get_weights())
        expected = reference(features(), training=True)
        np.testing.assert_allclose(np.asarray(outputs, "float64"), expected, atol=0.1)
