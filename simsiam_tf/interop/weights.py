"""Weights by name in Keras networks: out of a PyTorch checkpoint, and into one.

Names are those of `torch_state`: torchvision's for the ResNet, timm's for the ViT, fc.N for the projector, ROLE.N for
other heads.
"""

from __future__ import annotations

import re

import numpy as np

from simsiam_tf.errors import InputError
from simsiam_tf.interop.torch_state import COUNTER, State
from simsiam_tf.interop.vit_state import TOKENS, torch_layer

SUFFIXES = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
PREFIXES = {"projector": "fc"}  # the ResNet's last layer, in the official release
# Kernels are (h, w, in, out) and (in, out) in Keras, (out, in, h, w) and (out, in) in PyTorch.
TO_TORCH = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}
TO_KERAS = {4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}


def variables(backbone, heads=None) -> dict:
    """{name: Keras variable} of a backbone and {role: MLP}."""
    layers = {_torch_layer(layer.name): layer for layer in backbone.layers}
    for role, head in (heads or {}).items():
        layers |= {f"{PREFIXES.get(role, role)}.{place}": stage for place, stage in enumerate(head.stages)}
    found = {f"{name}.{SUFFIXES[v.name]}": v for name, layer in layers.items() for v in layer.variables}
    return {TOKENS.get(name, name): variable for name, variable in found.items()}


def _torch_layer(name):
    """layer1_0_downsample_bn -> layer1.0.downsample.1"""
    name = torch_layer(re.sub(r"^(layer\d)_(\d+)_", r"\1.\2.", name))
    return name.replace("downsample_conv", "downsample.0").replace("downsample_bn", "downsample.1")


def _idle_bias(heads):
    """The official release keeps a bias before the projector's last BatchNorm, never trained; ours has none."""
    projector = (heads or {}).get("projector")
    return (
        f"fc.{len(projector.stages) - 2}.bias" if projector is not None and projector.output_norm == "plain" else None
    )


def assign(state: State, backbone, heads=None) -> list[str]:
    """Give networks the weights of a file, all or none.

    Args:
        backbone: Network of this package.
        heads: {role: MLP}. A head that the file lacks stays as it is.

    Returns:
        "backbone" and the roles that the file had.

    Raises:
        InputError: names the first key that does not fit, is left over, or is missing.
    """
    heads = {role: head for role, head in (heads or {}).items() if state.has(f"{PREFIXES.get(role, role)}.")}
    wanted = variables(backbone, heads)
    shapes = {name: _to_torch(name, variable).shape for name, variable in wanted.items()}
    if bias := _idle_bias(heads):
        shapes[bias] = shapes[bias.replace("bias", "weight")][:1]
    arrays = {name: a.astype("float32") for name, a in state.arrays.items() if not name.endswith(f".{COUNTER}")}
    _check(state, arrays, shapes, bias, backbone.name)
    if bias in arrays:  # BatchNorm subtracts its mean from what the bias was added to
        mean = f"fc.{len(heads['projector'].stages) - 1}.running_mean"
        arrays[mean] = arrays[mean] - arrays.pop(bias)
    for name, variable in wanted.items():
        array = arrays[name]
        variable.assign(array[0] if name in TOKENS.values() else array.transpose(TO_KERAS[array.ndim]))
    return ["backbone", *heads]


def _check(state, arrays, shapes, optional, network):
    for name, array in arrays.items():
        if name not in shapes:
            raise InputError(f"FILE: {state.key(name)} has no place in {network} and its heads; {WAY_OUT}")
        if array.shape != shapes[name]:
            raise InputError(f"FILE: {state.key(name)} is {array.shape} there, {shapes[name]} in {network}; {WAY_OUT}")
    for name in shapes:
        if name not in arrays and name != optional:
            raise InputError(f"FILE: {state.path} has no {state.key(name)}, which {network} needs; {WAY_OUT}")


WAY_OUT = "leave the settings of backbone and heads to the file, or give a file of a network that there is here"


def state_dict(backbone, heads=None, batches: int = 0) -> dict[str, np.ndarray]:
    """The networks' weights by name, in PyTorch's layout.

    Args:
        batches: What the BatchNorms' counters say; PyTorch reads it only where momentum is None.
    """
    arrays = {}
    bias = _idle_bias(heads)
    for name, variable in variables(backbone, heads).items():
        arrays[name] = _to_torch(name, variable)
        if name.endswith("running_var"):
            arrays[name.replace("running_var", COUNTER)] = np.array(batches, "int64")
        if bias == name.replace("weight", "bias"):
            arrays[bias] = np.zeros(arrays[name].shape[0], "float32")
    return arrays


def official(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same under the official release's names."""
    return {f"module.{'' if name.startswith('predictor.') else 'encoder.'}{name}": a for name, a in arrays.items()}


def _to_torch(name, variable):
    array = np.asarray(variable.numpy(), "float32")
    return array[None] if name in TOKENS.values() else array.transpose(TO_TORCH[array.ndim])
