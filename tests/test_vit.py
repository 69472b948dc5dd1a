"""Vision Transformers against PyTorch's forward pass and closed forms, in training and saving."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch

from oracle.vit import Mlp, ViT, randomised
from oracle.vit import sincos as slow_sincos
from simsiam_tf import SimSiam, make_optimizer, networks, recipe
from simsiam_tf.errors import InputError
from simsiam_tf.interop import vit_state, weights
from simsiam_tf.interop.torch_state import State
from simsiam_tf.networks import vit
from torch_checkpoints import agreement, images, normalised

SIZES = {"patch": 4, "dim": 24, "depth": 3, "heads": 3}
MEAN, STD = (0.3, 0.4, 0.5), (0.2, 0.25, 0.3)


def small(**changes):
    return networks.build("vit_small", **SIZES | {"mean": MEAN, "std": STD} | changes)


def twins(size=16, seed=0, **changes):
    """A network of ours with learned positions and PyTorch's with the same drawn weights."""
    net = randomised(ViT(size, **SIZES | changes), seed)
    ours = small(positions="learned", image_size=size, **changes)
    carry(net, ours)
    return ours, net


def carry(net, ours):
    arrays = {name: value.numpy() for name, value in net.state_dict().items()}
    if ours.get_layer("cls_token").variables[-1].ndim == 2 and not hasattr(ours.get_layer("cls_token"), "bias_axes"):
        arrays.pop("pos_embed")
    weights.assign(State("net", arrays, {}, ("", ""), {}), ours)


def trainable_size(model):
    return sum(math.prod(v.shape) for v in model.trainable_variables)


class TestForward:
    @pytest.mark.parametrize("changes", [{}, {"heads": 6}, {"depth": 1, "patch": 8}])
    def test_is_pytorchs(self, changes):
        ours, net = twins(**changes)
        with torch.no_grad():
            assert agreement(ours(images(16)), net(normalised(images(16), MEAN, STD))) < 1e-5

    def test_is_pytorchs_in_float64(self, monkeypatch):
        """TensorFlow's GELU has 1 / sqrt 2 in float32 in every precision; with that number in PyTorch's all agrees."""
        keras.config.set_dtype_policy("float64")
        ours, net = twins()
        x = torch.tensor(((images(16) / 255 - MEAN) / STD).transpose(0, 3, 1, 2))
        with torch.no_grad():
            assert agreement(ours(images(16)), net.double()(x)) < 1e-8
            monkeypatch.setattr(Mlp, "factor", float(np.float32(Mlp.factor)))
            assert agreement(ours(images(16)), net(x)) < 1e-13

    def test_heads_decide_with_equal_weights(self):
        ours, other = small(heads=12), small(heads=6)
        other.set_weights(ours.get_weights())
        assert np.abs(np.asarray(ours(images(16))) - other(images(16))).max() > 1e-3

    @pytest.mark.parametrize("shape", [(8, 8), (16, 16), (8, 20)])
    def test_fixed_positions_are_those_of_any_size(self, shape):
        """With fixed positions as its learned ones, PyTorch's network says the same; the oblong by rows and columns."""
        ours, net = small(), randomised(ViT(20, **SIZES))
        carry(net, ours)
        height, width = (side // SIZES["patch"] for side in shape)
        table = slow_sincos(5, SIZES["dim"])[0, 1:].reshape(5, 5, -1)[:height, :width].reshape(-1, SIZES["dim"])
        net.pos_embed.data = torch.cat([torch.zeros(1, SIZES["dim"]), table.float()])[None]
        x = images(20)[:, : shape[0], : shape[1]]
        with torch.no_grad():
            assert agreement(ours(x), net(normalised(x, MEAN, STD))) < 1e-5


def test_the_table_of_positions_is_moco_v3s():
    for side, dim in ((3, 12), (14, 384)):
        np.testing.assert_allclose(vit_state.fixed_positions(side, dim), slow_sincos(side, dim), atol=1e-7)


def test_sizes_are_timms():
    """timm's vit_small_patch16_224 without its head: 21,665,664 parameters, the positions among them."""
    learned = networks.build("vit_small", heads=6, positions="learned", freeze_patch=False, image_size=224)
    assert trainable_size(learned) == 21_665_664
    fixed = networks.build("vit_small", freeze_patch=False)
    assert trainable_size(fixed) == 21_665_664 - 197 * 384
    assert trainable_size(networks.build("vit_small")) == trainable_size(fixed) - (3 * 16**2 + 1) * 384
    assert networks.feature_dim(fixed) == 384


class TestInitialisation:
    def test_distributions_are_moco_v3s(self):
        model = small(dim=96, positions="learned", image_size=64)

        def of(name):
            return np.asarray(model.get_layer(name).kernel)

        # Query, key and value are three layers of their own, and a patch is one input.
        for name, fans in (("patch_embed_proj", 48 + 96), ("blocks_1_attn_qkv", 2 * 96), ("blocks_1_attn_proj", 2 * 96),
                           ("blocks_2_mlp_fc1", 5 * 96), ("blocks_0_mlp_fc2", 5 * 96)):  # fmt: skip
            bound = math.sqrt(6 / fans)
            assert 0.98 * bound < np.abs(of(name)).max() <= bound
            assert of(name).std() == pytest.approx(bound / math.sqrt(3), rel=0.03)
        assert of("cls_token").std() == pytest.approx(1e-6, rel=0.3)
        assert np.asarray(model.get_layer("cls_token").bias).std() == pytest.approx(0.02, rel=0.02)
        biases = [v for v in model.variables if v.name == "bias" and "cls_token" not in v.path]
        assert len(biases) == 1 + 4 * 3
        assert not any(np.any(v) for v in biases)

    def test_seed_and_name_alone_decide(self):
        first = small(seed=5).get_weights()
        keras.utils.set_random_seed(1)
        for ours, theirs in zip(first, small(seed=5).get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)
        kernels = [w for w in small(seed=6).get_weights() + first if w.shape == (24, 24)]
        assert len(kernels) == 2 * 3
        assert len({w.tobytes() for w in kernels}) == len(kernels)


class TestTraining:
    def trained(self, **changes):
        """Variables before and after two steps of SimSiam."""
        backbone = small(depth=1, **changes)
        model = SimSiam(backbone, recipe("none", image_size=16), projection_dim=8, predictor_hidden=4)
        model.compile(make_optimizer(model, 1, "adamw", learning_rate=1e-2, batch_size=256, epochs=2))
        before = {v.path: v.numpy() for v in backbone.variables}
        history = model.fit(images(20), batch_size=4, epochs=2, verbose=0).history
        assert np.isfinite(history["loss"]).all()
        return before, {v.path: v.numpy() for v in backbone.variables}

    @pytest.mark.parametrize("changes", [{}, {"positions": "learned", "image_size": 16}, {"freeze_patch": False}])
    def test_a_frozen_patch_projection_stays_while_all_else_moves(self, changes):
        before, after = self.trained(**changes)
        stays = {name for name in before if np.array_equal(before[name], after[name])}
        frozen = changes.get("freeze_patch", True)
        assert stays == ({"patch_embed_proj/kernel", "patch_embed_proj/bias"} if frozen else set())

    @pytest.mark.parametrize("positions", vit.POSITIONS)
    def test_gradients_compiled_are_pytorchs(self, positions):
        ours, net = twins() if positions == "learned" else (small(), randomised(ViT(16, **SIZES)))
        if positions == "sincos":
            carry(net, ours)
            net.pos_embed.data = torch.tensor(vit_state.fixed_positions(4, SIZES["dim"]))

        @tf.function(jit_compile=True)
        def gradients(x):
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(tf.square(ours(x, training=True)))
            return tape.gradient(loss, [v.value for v in ours.trainable_variables])

        net(normalised(images(16), MEAN, STD)).square().sum().backward()
        theirs = {name: parameter.grad.numpy() for name, parameter in net.named_parameters()}
        names = {id(v): name for name, v in weights.variables(ours).items()}
        found = gradients(tf.cast(images(16), tf.float32))
        assert len(found) == len(ours.variables) - 2
        for variable, gradient in zip(ours.trainable_variables, found, strict=True):
            name = names[id(variable)]
            expected = weights._to_torch(name, tf.Variable(gradient))
            np.testing.assert_allclose(expected, theirs[name], atol=2e-5 * np.abs(theirs[name]).max(), err_msg=name)

    def test_mixed_precision_rounds_neither_pixels_nor_sums_nor_features(self):
        full = small()
        keras.config.set_dtype_policy("mixed_bfloat16")
        mixed = small()
        names = ("normalization", "tokens", "blocks_1_attn_qkv", "blocks_1_mlp_add", "norm")
        parts = keras.Model(mixed.input, [mixed.get_layer(name).output for name in names])(images(16))
        assert [part.dtype.name for part in parts] == ["float32", "float32", "bfloat16", "float32", "float32"]
        difference = np.abs(parts[-1] - full(images(16)))
        assert 1e-5 < difference.max() < 0.05


class TestSaving:
    @pytest.mark.parametrize("changes", [{}, {"positions": "learned", "image_size": 16}])
    def test_copies_are_the_same_and_stay_frozen(self, changes, tmp_path):
        model = small(**changes)
        model.save(tmp_path / "vit.keras")
        copy = keras.models.clone_model(model)
        copy.set_weights(model.get_weights())
        for other in (copy, keras.models.load_model(tmp_path / "vit.keras")):
            np.testing.assert_array_equal(other(images(16)), model(images(16)))
            assert [v.path for v in other.trainable_variables] == [v.path for v in model.trainable_variables]
            with pytest.raises(InputError):
                other(images(15))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"patch": 0}, "^backbone.patch: 0 is no size; give a whole number, 1 or more"),
        ({"heads": 5}, "^backbone.dim: 24 for 5 heads; give a multiple"),
        ({"dim": 6}, "^backbone.dim: 6 for 3 heads; give a multiple of them, with sincos positions of 4"),
        ({"positions": "none"}, "^backbone.positions: 'none' is unknown; give one of sincos, learned"),
        ({"positions": "learned"}, "^image_size: None, but learned positions are those of one size; give it"),
        ({"image_size": 15}, "^data.image_size: 15 px are no whole patches of 4 px; give a multiple"),
        ({"std": (0.2, 0.0, 0.2)}, "^backbone.mean: .* give 3 values each"),
    ],
)
def test_bad_values(changes, message):
    with pytest.raises(InputError, match=message):
        small(**changes)


@pytest.mark.parametrize(
    ("changes", "size", "message"),
    [
        ({}, 18, "data.image_size: the images are of 18 px; give multiples of 4"),
        (
            {"positions": "learned", "image_size": 16},
            20,
            "data.image_size: the images are of 20 px; give the 16 of the learned positions",
        ),
    ],
)
def test_images_of_another_size_are_refused(changes, size, message):
    with pytest.raises(InputError, match=message):
        small(**changes)(images(size))
