"""Weights from a Keras SimSiam to the oracle and back into comparable arrays, by the place of each layer."""

import re

import numpy as np
import torch

SUFFIX = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


def torch_name(path):
    """The oracle's name of a Keras variable: layer1_0_conv1/kernel -> encoder.layer1.0.conv1.weight."""
    *owner, layer, variable = path.split("/")
    if owner and owner[-1] in ("projector", "predictor"):
        kind, number = re.fullmatch(r"(dense|bn)(\d+)", layer).groups()
        # Linear, BatchNorm, ReLU, Linear, ...: three places to a layer.
        place = 3 * (int(number) - 1) + (kind == "bn")
        prefix = "encoder.fc" if owner[-1] == "projector" else "predictor"
        return f"{prefix}.{place}.{SUFFIX[variable]}"
    layer = re.sub(r"^layer(\d)_(\d+)_", r"layer\1.\2.", layer)
    layer = layer.replace("downsample_conv", "downsample.0").replace("downsample_bn", "downsample.1")
    return f"encoder.{layer}.{SUFFIX[variable]}"


def keras_arrays(variables, values=None):
    """{oracle name: array in torch's layout} of Keras variables, or of `values` (gradients, say) in their place."""
    values = variables if values is None else values
    arrays = {torch_name(v.path): np.asarray(value) for v, value in zip(variables, values, strict=True)}
    axes = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}  # kernels are (h, w, in, out) in Keras, (out, in, h, w) in torch
    return {name: array.transpose(axes[array.ndim]) for name, array in arrays.items()}


def to_torch(arrays, model):
    """Load `keras_arrays` of the networks' variables into the oracle; nothing may be missing or left over."""
    state = {name: torch.tensor(array.copy()) for name, array in arrays.items()}
    counters = {name: value for name, value in model.state_dict().items() if name.endswith("num_batches_tracked")}
    model.load_state_dict(state | counters)
    return model
