"""Weights by name in Keras networks: out of a PyTorch checkpoint, and into one.

Names are those of `torch_state`: torchvision's for the ResNet, fc.N for the projector, predictor.N.
"""

from __future__ import annotations

import re

import numpy as np

from simsiam_tf.errors import InputError
from simsiam_tf.interop.torch_state import COUNTER, State

SUFFIXES = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
# Kernels are (h, w, in, out) and (in, out) in Keras, (out, in, h, w) and (out, in) in PyTorch.
TO_TORCH = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}
TO_KERAS = {4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}


def variables(backbone, projector=None, predictor=None) -> dict:
    """{name: Keras variable} of the networks that are given."""
    layers = {_torch_layer(layer.name): layer for layer in backbone.layers}
    for prefix, head in (("fc", projector), ("predictor", predictor)):
        if head is not None:
            layers |= {f"{prefix}.{place}": stage for place, stage in enumerate(head.stages)}
    return {f"{name}.{SUFFIXES[v.name]}": v for name, layer in layers.items() for v in layer.variables}


def _torch_layer(name):
    """layer1_0_downsample_bn -> layer1.0.downsample.1"""
    name = re.sub(r"^(layer\d)_(\d+)_", r"\1.\2.", name)
    return name.replace("downsample_conv", "downsample.0").replace("downsample_bn", "downsample.1")


def _idle_bias(projector):
    """The official release keeps a bias before the projector's last BatchNorm, never trained; ours has none."""
    return f"fc.{len(projector.stages) - 2}.bias" if projector is not None and projector.output_norm else None


def assign(state: State, backbone, projector=None, predictor=None) -> list[str]:
    """Give networks the weights of a file, all or none.

    Args:
        backbone, projector, predictor: Networks of this package. A head that the file lacks stays as it is.

    Returns:
        Which of the three the file had.

    Raises:
        InputError: names the first key that does not fit, is left over, or is missing.
    """
    projector = projector if state.has("fc.") else None
    predictor = predictor if state.has("predictor.") else None
    wanted = variables(backbone, projector, predictor)
    shapes = {name: _to_torch(variable).shape for name, variable in wanted.items()}
    if bias := _idle_bias(projector):
        shapes[bias] = shapes[bias.replace("bias", "weight")][:1]
    arrays = {name: a.astype("float32") for name, a in state.arrays.items() if not name.endswith(f".{COUNTER}")}
    _check(state, arrays, shapes, bias, backbone.name)
    if bias in arrays:  # BatchNorm subtracts its mean from what the bias was added to
        mean = f"fc.{len(projector.stages) - 1}.running_mean"
        arrays[mean] = arrays[mean] - arrays.pop(bias)
    for name, variable in wanted.items():
        variable.assign(arrays[name].transpose(TO_KERAS[arrays[name].ndim]))
    return ["backbone"] + [head.name for head in (projector, predictor) if head is not None]


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


def state_dict(backbone, projector=None, predictor=None, batches: int = 0) -> dict[str, np.ndarray]:
    """The networks' weights by name, in PyTorch's layout.

    Args:
        batches: What the BatchNorms' counters say; PyTorch reads it only where momentum is None.
    """
    arrays = {}
    bias = _idle_bias(projector)
    for name, variable in variables(backbone, projector, predictor).items():
        arrays[name] = _to_torch(variable)
        if name.endswith("running_var"):
            arrays[name.replace("running_var", COUNTER)] = np.array(batches, "int64")
        if bias == name.replace("weight", "bias"):
            arrays[bias] = np.zeros(arrays[name].shape[0], "float32")
    return arrays


def official(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same under the official release's names."""
    return {f"module.{'' if name.startswith('predictor.') else 'encoder.'}{name}": a for name, a in arrays.items()}


def _to_torch(variable):
    array = np.asarray(variable.numpy(), "float32")
    return array.transpose(TO_TORCH[array.ndim])
