"""Vision Transformers (Dosovitskiy et al. 2021) as functional Keras models, layer for layer timm's.

The small one is MoCo v3's (Chen, Xie & He 2021; facebookresearch/moco-v3, vits.py). Layer names are timm's with
underscores, `blocks.0.attn.qkv` being `blocks_0_attn_qkv`; the class token is the kernel of `cls_token`, learned
positions are its bias. But for `PatchProjection`, a convolution that looks at its input, all layers are Keras's own, so
that a saved encoder loads without this package.
"""

import math

import keras
import numpy as np

from simsiam_tf.errors import InputError
from simsiam_tf.networks.layers import layer_seed
from simsiam_tf.networks.pixels import CIFAR10_MEAN, CIFAR10_STD, check_colors, full_precision, normalize, pixels
from simsiam_tf.positions import sincos
from simsiam_tf.settings.backbones import MLP_RATIO

POSITIONS = ("sincos", "learned")
EPSILON = 1e-6  # of LayerNorm


def build(
    name="vit_small",
    *,
    patch=16,
    dim=384,
    depth=12,
    heads=12,
    positions="sincos",
    freeze_patch=True,
    image_size=None,
    mean=CIFAR10_MEAN,
    std=CIFAR10_STD,
    seed=0,
):
    """Build a backbone: raw pixels (n, h, w, 3) in [0, 255], any dtype -> class token after the last norm (n, dim).

    h and w are multiples of `patch`, with learned positions h = w = `image_size`. Normalisation, the residual sums and
    LayerNorm are in float32 under every mixed policy, as under PyTorch's autocast.

    Args:
        name: of the model.
        patch: side of a patch in pixels.
        dim: d of the tokens, a multiple of `heads`, with positions "sincos" of 4.
        depth: number of blocks.
        heads: of each attention; 12 in MoCo v3's ViT-S, 6 in timm's.
        positions: "sincos", fixed, for any size, or "learned".
        freeze_patch: leave the patch projection as it is drawn (MoCo v3's sec. 4.1, `stop_grad_conv1`).
        image_size: side of the images in pixels; learned positions need it.
        mean, std: per channel, of pixels in [0, 1].
        seed: integer; the weights depend on it and on the layers' names only.

    Raises:
        InputError: a value that cannot be. Called with images of another size, the model raises it, too.
    """
    check(patch=patch, dim=dim, depth=depth, heads=heads, positions=positions, image_size=image_size)
    check_colors(mean, std)
    images, learned = pixels(), positions == "learned"
    side = image_size if learned else None
    project = PatchProjection(
        dim,
        patch,
        patch,
        side=side,
        kernel_initializer=_uniform(3 * patch**2 + dim, seed, "patch_embed_proj"),
        trainable=not freeze_patch,
        name="patch_embed_proj",
    )
    grid = project(normalize(images, mean, std))
    tokens = keras.layers.Reshape((-1, dim), name="patches")(grid)
    tokens = _learned(tokens, (image_size // patch) ** 2, seed) if learned else _sincos(tokens, grid, seed)
    for index in range(depth):
        tokens = _block(tokens, heads, f"blocks_{index}", seed)
    return keras.Model(images, _norm(tokens[:, 0], "norm"), name=name)


def check(*, patch, dim, depth, heads, positions, image_size):
    """Raise InputError for sizes that no network has."""
    for key, size in {"patch": patch, "dim": dim, "depth": depth, "heads": heads}.items():
        if not isinstance(size, int) or size < 1:
            raise InputError(f"backbone.{key}: {size!r} is no size; give a whole number, 1 or more")
    if positions not in POSITIONS:
        raise InputError(f"backbone.positions: {positions!r} is unknown; give one of {', '.join(POSITIONS)}")
    if dim % heads or (positions == "sincos" and dim % 4):
        raise InputError(f"backbone.dim: {dim} for {heads} heads; give a multiple of them, with sincos positions of 4")
    if image_size is None and positions == "learned":
        raise InputError("image_size: None, but learned positions are those of one size; give it in pixels")
    if image_size is not None and image_size % patch:
        raise InputError(f"data.image_size: {image_size} px are no whole patches of {patch} px; give a multiple")


@keras.saving.register_keras_serializable(package="simsiam_tf")
class PatchProjection(keras.layers.Conv2D):
    """A convolution of patches that do not overlap, (n, h, w, 3) -> (n, h / patch, w / patch, d).

    Args:
        side: what h and w have to be; None: any multiples of the patch.
        **kwargs: those of keras.layers.Conv2D.

    Raises:
        InputError: `call` with images of another size, whose rest a convolution would leave out.
    """

    def __init__(self, filters, kernel_size, strides, side=None, **kwargs):
        super().__init__(filters, kernel_size, strides, **kwargs)
        self.side = side

    def call(self, inputs):
        patch = self.kernel_size[0]
        for found in inputs.shape[1:3]:
            if found is not None and (found % patch if self.side is None else found != self.side):
                wanted = f"multiples of {patch}" if self.side is None else f"the {self.side} of the learned positions"
                raise InputError(f"data.image_size: the images are of {found} px; give {wanted}")
        return super().call(inputs)

    def get_config(self):
        return super().get_config() | {"side": self.side}


def _sincos(tokens, grid, seed):
    """The patches with their positions, behind the class token, whose position is zero."""
    ones = keras.ops.ones_like(grid[:1, :, :, :1], dtype=full_precision())
    rows, columns = (keras.ops.cumsum(ones, axis) - 1 for axis in (1, 2))
    ops = keras.ops
    table = sincos(rows, columns, grid.shape[-1], ops.sin, ops.cos, ops.concatenate)
    table = keras.layers.Reshape((-1, grid.shape[-1]), name="pos_embed", dtype=full_precision())(table)
    tokens = keras.layers.Add(name="positioned", dtype=full_precision())([tokens, table])
    dense = keras.layers.Dense(tokens.shape[-1], use_bias=False, **_class_token(seed))
    first = dense(keras.ops.ones_like(tokens[:, :1, :1]))
    return keras.layers.Concatenate(1, name="tokens", dtype=full_precision())([first, tokens])


def _learned(tokens, patches, seed):
    """Class token and patches with their positions: those are the layer's bias, (1 + patches, d)."""
    dim = tokens.shape[-1]
    first = keras.ops.ones_like(tokens[:1, 0, :1], dtype=full_precision())
    first = keras.layers.Reshape((1, 1), dtype=full_precision(), name="one")(first)
    first = keras.layers.ZeroPadding1D((0, patches), dtype=full_precision(), name="first")(first)
    added = keras.layers.EinsumDense(
        "nlk,kd->nld",
        (1 + patches, dim),
        bias_axes="ld",
        bias_initializer=keras.initializers.RandomNormal(0, 0.02, layer_seed(seed, "pos_embed")),
        **_class_token(seed),
    )
    tokens = keras.layers.ZeroPadding1D((1, 0), name="behind_first", dtype=full_precision())(tokens)
    return keras.layers.Add(name="tokens", dtype=full_precision())([tokens, added(first)])


def _class_token(seed):
    initializer = keras.initializers.RandomNormal(0, 1e-6, layer_seed(seed, "cls_token"))
    return {"kernel_initializer": initializer, "dtype": full_precision(), "name": "cls_token"}


def _block(tokens, heads, name, seed):
    """Attention, then an MLP, each on normalised tokens and added to them."""
    dim = tokens.shape[-1]
    qkv = _dense(_norm(tokens, f"{name}_norm1"), 3 * dim, f"{name}_attn_qkv", seed, out=dim)
    qkv = keras.layers.Reshape((-1, 3, heads, dim // heads), name=f"{name}_attn_heads")(qkv)
    # A float64 scalar: a Python float would be rounded to float32 on its way.
    scale = np.float64(1 / math.sqrt(dim // heads))
    mixed = keras.ops.dot_product_attention(qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2], scale=scale)
    mixed = keras.layers.Reshape((-1, dim), name=f"{name}_attn_join")(mixed)
    tokens = _add(tokens, _dense(mixed, dim, f"{name}_attn_proj", seed), f"{name}_attn_add")
    hidden = _dense(_norm(tokens, f"{name}_norm2"), MLP_RATIO * dim, f"{name}_mlp_fc1", seed, activation="gelu")
    return _add(tokens, _dense(hidden, dim, f"{name}_mlp_fc2", seed), f"{name}_mlp_add")


def _norm(tokens, name):
    return keras.layers.LayerNormalization(epsilon=EPSILON, dtype=full_precision(), name=name)(tokens)


def _add(tokens, change, name):
    return keras.layers.Add(name=name, dtype=full_precision())([tokens, change])


def _dense(tokens, units, name, seed, out=None, activation=None):
    """Xavier's uniform weights; `out` of each of query, key and value, which are drawn as three layers."""
    initializer = _uniform(tokens.shape[-1] + (out or units), seed, name)
    return keras.layers.Dense(units, activation, kernel_initializer=initializer, name=name)(tokens)


def _uniform(fans, seed, name):
    limit = math.sqrt(6 / fans)
    return keras.initializers.RandomUniform(-limit, limit, layer_seed(seed, name))
