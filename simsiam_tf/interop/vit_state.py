"""What a file says of a Vision Transformer, and timm's names for the layers of ours.

MoCo v3's checkpoints put `module.base_encoder.` before timm's names, have their projector as `head.N`, and hold another
encoder and a predictor beside it. The number of heads stands in no weight; files of this package say it.
"""

from __future__ import annotations

import math
import re

import numpy as np

from simsiam_tf.errors import InputError
from simsiam_tf.positions import sincos
from simsiam_tf.settings.backbones import MLP_RATIO

FIRST = "patch_embed.proj.weight"
TOKENS = {"cls_token.weight": "cls_token", "cls_token.bias": "pos_embed"}  # (1, n, d) in files, (n, d) here
TIMM_HEAD = 64  # tokens' width that each of timm's heads has


def torch_layer(name: str) -> str:
    """blocks_0_attn_qkv -> blocks.0.attn.qkv"""
    name = re.sub(r"^blocks_(\d+)_(?:(attn|mlp)_)?", lambda m: f"blocks.{m[1]}.{m[2] + '.' if m[2] else ''}", name)
    return name.replace("patch_embed_proj", "patch_embed.proj")


def encoder_alone(keys: dict[str, str]) -> dict[str, str]:
    """{timm's name: key of the file} without classifier and projector."""
    return {name: key for name, key in keys.items() if not name.startswith("head.")} if FIRST in keys else keys


def without_fixed(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A file's arrays without positions that are the fixed ones, which a network here computes."""
    found = arrays.get("pos_embed")
    if found is None or found.ndim != 3 or found.shape[-1] % 4:
        return arrays
    table = fixed_positions(math.isqrt(max(0, found.shape[1] - 1)), found.shape[-1])
    same = table.shape == found.shape and np.allclose(table, found, rtol=0, atol=1e-3)
    return {name: array for name, array in arrays.items() if name != "pos_embed"} if same else arrays


def fixed_positions(side: int, dim: int) -> np.ndarray:
    """The sine-cosine positions of side x side patches behind a class token's, which is zero: (1, 1 + side^2, dim)."""
    rows, columns = np.indices((side, side)).reshape(2, -1, 1).astype("float64")
    table = sincos(rows, columns, dim)
    return np.concatenate([np.zeros((1, dim)), table]).astype("float32")[None]


def architecture(state, check_shape) -> dict:
    """The settings {"backbone.dim": 384, ...} of the ViT that fits.

    Args:
        state: `torch_state.State`.
        check_shape: Of an array: (state, name, shape) -> None, or raises InputError.

    Raises:
        InputError: the file's sizes are those of no ViT.
    """
    arrays = state.arrays
    dim, _, patch, _ = arrays[FIRST].shape
    check_shape(state, FIRST, (dim, 3, patch, patch))
    depth = len({name.split(".")[1] for name in arrays if re.fullmatch(r"blocks\.\d+\.attn\.qkv\.weight", name)})
    for index in range(depth):
        check_shape(state, f"blocks.{index}.attn.qkv.weight", (3 * dim, dim))
    check_shape(state, "blocks.0.mlp.fc1.weight", (MLP_RATIO * dim, dim))
    settings = {"backbone.name": "vit_small", "backbone.patch": patch, "backbone.dim": dim, "backbone.depth": depth}
    settings["backbone.positions"] = "learned" if "pos_embed" in arrays else "sincos"
    if heads := _heads(state, dim):
        settings["backbone.heads"] = heads
    if "pos_embed" in arrays:
        tokens = arrays["pos_embed"].shape[1] if arrays["pos_embed"].ndim == 3 else 0
        side = math.isqrt(max(0, tokens - 1))
        if side < 1:
            raise InputError(f"FILE: {state.key('pos_embed')} has no positions of patches; give another file")
        check_shape(state, "pos_embed", (1, 1 + side**2, dim))
        settings["data.image_size"] = side * patch
    return settings


def _heads(state, dim):
    """What the file says, or what timm's have where positions are learned; 0: the settings' default, MoCo v3's."""
    if "heads" in state.about:
        return state.about["heads"]
    return dim // TIMM_HEAD if "pos_embed" in state.arrays and dim % TIMM_HEAD == 0 else 0
