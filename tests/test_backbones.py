"""Backbones against torchvision's published sizes and a NumPy forward pass, and Keras's saving."""

import itertools
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from simsiam_tf import networks
from simsiam_tf.errors import InputError
from simsiam_tf.interop import export
from simsiam_tf.networks import resnet as backbones
from simsiam_tf.networks.layers import BatchNorm

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def images(n=2, size=9):
    return np.random.default_rng(0).integers(0, 256, (n, size, size, 3)).astype("uint8")


def trainable_size(model):
    return sum(int(np.prod(v.shape)) for v in model.trainable_variables)


def with_random_statistics(model, seed=1):
    """Every BatchNorm scale, offset and statistic drawn, so that none can be left out unnoticed."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, BatchNorm):
            for variable in layer.variables:
                variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    return model


class NumpyResNet:
    """torchvision's ResNet.forward in inference mode, reading the weights by torchvision's names."""

    def __init__(self, model):
        self.weights = {v.path.replace("/", "."): v.numpy().astype("float64") for v in model.variables}

    def conv(self, x, name, stride):
        kernel = self.weights[f"{name}.kernel"]
        size = len(kernel)
        pad = (size - 1) // 2
        x = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))
        return np.einsum("nijchw,hwcd->nijd", windows[:, ::stride, ::stride], kernel)

    def bn(self, x, name):
        gamma, beta, mean, variance = (
            self.weights[f"{name}.{v}"] for v in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        return (x - mean) / np.sqrt(variance + 1e-5) * gamma + beta

    def block(self, x, name, strides):
        out = x
        for i, stride in enumerate(strides, start=1):
            out = self.bn(self.conv(out, f"{name}_conv{i}", stride), f"{name}_bn{i}")
            out = np.maximum(out, 0) if i < len(strides) else out
        if f"{name}_downsample_conv.kernel" in self.weights:
            x = self.bn(self.conv(x, f"{name}_downsample_conv", max(strides)), f"{name}_downsample_bn")
        return np.maximum(out + x, 0)

    def __call__(self, x, depths, stem, bottleneck):
        x = (x / 255 - [0.4914, 0.4822, 0.4465]) / [0.2470, 0.2435, 0.2616]
        x = np.maximum(self.bn(self.conv(x, "conv1", 2 if stem == "imagenet" else 1), "bn1"), 0)
        if stem == "imagenet":
            x = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
            x = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(1, 2))[:, ::2, ::2].max((-2, -1))
        for stage, depth in enumerate(depths, start=1):
            for index in range(depth):
                stride = 2 if stage > 1 and index == 0 else 1
                strides = (1, stride, 1) if bottleneck else (stride, 1)
                x = self.block(x, f"layer{stage}_{index}", strides)
        return x.mean((1, 2))


DEPTHS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3), "resnet50": (3, 4, 6, 3)}


@pytest.mark.parametrize("stem", ["cifar", "imagenet"])
@pytest.mark.parametrize("name", DEPTHS)
def test_forward(name, stem):
    model = with_random_statistics(backbones.build(name, stem=stem, width=2))
    x = images(size=33 if stem == "imagenet" else 9)
    expected = NumpyResNet(model)(x, DEPTHS[name], stem, name == "resnet50")
    np.testing.assert_allclose(model(x), expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("name", "stem", "size", "dim", "norms"),
    [
        ("resnet18", "imagenet", 11_176_512, 512, 20),
        ("resnet18", "cifar", 11_176_512 - 64 * 3 * (49 - 9), 512, 20),
        ("resnet34", "imagenet", 21_284_672, 512, 36),
        ("resnet50", "imagenet", 23_508_032, 2048, 53),
    ],
)
def test_torchvision_sizes(name, stem, size, dim, norms):
    model = backbones.build(name, stem=stem)
    assert trainable_size(model) == size
    assert networks.feature_dim(model) == model.output_shape[-1] == dim
    assert sum(isinstance(layer, BatchNorm) for layer in model.layers) == norms
    assert not any(v.path.endswith("/bias") for v in model.variables)


@pytest.mark.parametrize("size", [1, 2, 33])
def test_any_image_size(size):
    for stem in ("cifar", "imagenet"):
        assert backbones.build("resnet18", stem=stem, width=2)(images(3, size)).shape == (3, 16)


def test_layer_names_are_torchvisions():
    names = {v.path.split("/")[0] for v in backbones.build("resnet50", width=2).variables}
    pattern = r"(layer[1-4]_\d_)?(conv|bn)\d|layer[1-4]_0_downsample_(conv|bn)"
    assert all(re.fullmatch(pattern, name) for name in names)
    assert len(names) == 106
    assert "layer1_0_downsample_conv" in names
    basic = backbones.build("resnet18", width=2)
    assert "layer1_0_downsample_conv" not in {layer.name for layer in basic.layers}


class TestInitialisation:
    def test_zero_init_residual(self):
        for zero, gamma in ((True, 0.0), (False, 1.0)):
            for name, last in (("resnet18", "bn2"), ("resnet50", "bn3")):
                model = backbones.build(name, width=2, zero_init_residual=zero)
                for layer in model.layers:
                    if isinstance(layer, BatchNorm):
                        expected = gamma if re.fullmatch(rf"layer\d_\d_{last}", layer.name) else 1.0
                        np.testing.assert_array_equal(layer.gamma, np.full(layer.gamma.shape, expected))

    def test_distributions(self):
        model = backbones.build("resnet18")
        first = np.asarray(model.get_layer("conv1").kernel)
        bound = 1 / np.sqrt(27)
        assert 0.98 * bound < np.abs(first).max() <= bound
        later = np.asarray(model.get_layer("layer2_0_conv1").kernel)
        sigma = np.sqrt(2 / (9 * 128))
        assert later.std() == pytest.approx(sigma, rel=0.01)
        assert np.abs(later).max() > 3 * sigma
        imagenet = np.asarray(backbones.build("resnet18", stem="imagenet").get_layer("conv1").kernel)
        assert imagenet.std() == pytest.approx(np.sqrt(2 / (49 * 64)), rel=0.03)

    def test_seed_alone_decides(self):
        first = backbones.build("resnet18", width=2, seed=5).get_weights()
        keras.utils.set_random_seed(1)
        again = backbones.build("resnet18", width=2, seed=5).get_weights()
        other = backbones.build("resnet18", width=2, seed=6).get_weights()
        for ours, theirs in zip(first, again, strict=True):
            np.testing.assert_array_equal(ours, theirs)
        assert all((a != b).any() for a, b in zip(first, other, strict=True) if a.ndim == 4)
        kernels = [w for w in first if w.shape == (3, 3, 2, 2)]
        assert len(kernels) == 4
        assert all((a != b).all() for a, b in itertools.pairwise(kernels))


class TestInput:
    def test_any_dtype(self):
        model = backbones.build("resnet18", width=2)
        expected = model(images())
        for dtype in ("int32", "float32", "float64"):
            np.testing.assert_array_equal(model(images().astype(dtype)), expected)
        np.testing.assert_array_equal(model(tf.constant(images())), expected)
        np.testing.assert_allclose(model.predict(images(), verbose=0), expected, atol=1e-5)

    @pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
    def test_mixed_policies_normalise_and_pool_in_float32(self, policy):
        keras.config.set_dtype_policy(policy)
        model = backbones.build("resnet18", width=2)
        x = images().astype("float32") + 0.3
        parts = keras.Model(model.input, [model.get_layer(name).output for name in ("normalization", "conv1")])
        normalized, convolved = parts(x)
        expected = (x / 255 - [0.4914, 0.4822, 0.4465]) / [0.2470, 0.2435, 0.2616]
        np.testing.assert_allclose(normalized, expected, atol=1e-6)
        assert convolved.dtype == policy.removeprefix("mixed_")
        assert model(x).dtype == tf.float32

    def test_float64_policy_is_float64_throughout(self):
        keras.config.set_dtype_policy("float64")
        model = with_random_statistics(backbones.build("resnet18", width=2))
        x = images() + 1 / 3
        expected = NumpyResNet(model)(x, DEPTHS["resnet18"], "cifar", False)
        np.testing.assert_allclose(model(x), expected, rtol=1e-12)


class TestTrainingAndSaving:
    def test_statistics_move_and_gradients_flow(self):
        model = backbones.build("resnet18", width=2, zero_init_residual=False)
        before = [v.numpy() for v in model.non_trainable_variables]

        @tf.function(jit_compile=True)
        def step(x):
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(tf.square(model(x, training=True)))
            return tape.gradient(loss, [v.value for v in model.trainable_variables])

        gradients = step(tf.cast(images(), tf.float32))
        assert all(np.abs(g).max() > 0 for g in gradients)
        after = [v.numpy() for v in model.non_trainable_variables]
        assert all((old != new).all() for old, new in zip(before, after, strict=True))

    def test_config_and_saving(self, tmp_path):
        model = with_random_statistics(backbones.build("resnet50", stem="imagenet", width=2, seed=3))
        fresh = keras.Model.from_config(model.get_config())
        kernel = model.get_layer("layer3_2_conv2").kernel
        np.testing.assert_array_equal(fresh.get_layer("layer3_2_conv2").kernel, kernel)
        model.save(tmp_path / "backbone.keras")
        copy = keras.saving.load_model(tmp_path / "backbone.keras")
        np.testing.assert_array_equal(copy(images(size=33)), model(images(size=33)))
        assert [v.path for v in copy.variables] == [v.path for v in model.variables]


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_portable_is_float32_and_stock(name):
    """What export writes of a network that ran in bfloat16: Keras's own layers, each ReLU in its place, no rounding."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    copy = export.portable(with_random_statistics(backbones.build(name, stem="imagenet", width=2)))
    assert {type(layer).__module__.split(".")[0] for layer in copy.layers} == {"keras"}
    keras.config.set_dtype_policy("float32")
    model = with_random_statistics(backbones.build(name, stem="imagenet", width=2))
    expected = model(images(size=33)).numpy()
    np.testing.assert_allclose(copy(images(size=33)), expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())


def test_export_compares_in_full_float32(tmp_path, monkeypatch):
    """In TF32, a GPU's default, Keras and ONNX would differ; here, only the setting can be seen."""
    enabled, seen = tf.config.experimental.tensor_float_32_execution_enabled, []

    def look(backbone, path, contract):
        path.touch()
        return lambda images: seen.append(enabled()) or np.asarray(backbone(images, training=False))

    monkeypatch.setitem(export.FORMATS, "look", look)
    before = enabled()
    tf.config.experimental.enable_tensor_float_32_execution(True)
    try:
        model = backbones.build("resnet18", width=2)
        assert export.export(model, tmp_path / "m", "look", {"frame": {"size": (8, 8)}}) < 1e-6
        assert seen == [False]
        assert enabled()
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "resnet19"}, "^backbone.name: 'resnet19' is unknown; give one of resnet18, resnet34, resnet50"),
        ({"stem": "mnist"}, "^backbone.stem: 'mnist' is unknown; give one of cifar, imagenet"),
        ({"width": 0}, "^backbone.width: 0 is no width; give"),
        ({"std": (0.2, 0.0, 0.2)}, "^backbone.mean: .* give 3 values each"),
        ({"mean": (0.2,)}, "^backbone.mean: .* give 3 values each"),
    ],
)
def test_bad_values(arguments, message):
    with pytest.raises(InputError, match=message):
        backbones.build(**{"name": "resnet18", **arguments})
