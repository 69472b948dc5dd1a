"""The training step of the PyTorch twin: the tests' oracle, on the same views, weights and optimizer as ours."""

import shutil
import sys
from pathlib import Path

import numpy as np
import torch

sys.path.append(str(Path(__file__).parents[1] / "tests"))

import oracle

VARIANTS = ("torch_eager", "torch_channels_last", "torch_compile")
CUDA = torch.cuda.is_available()


def missing(variant, on_gpu):
    """Why a variant cannot be compared here, or None."""
    if on_gpu and not CUDA:
        return "TensorFlow has the GPU, and this torch is built for CPUs"
    if variant == "torch_compile" and not CUDA and not shutil.which("g++"):
        return "torch.compile needs g++ on a CPU"
    return None


def step(model, name, stem, width, views, variant, precision, threads):
    """A function of no arguments that does one step and returns the loss; it starts from `model`'s weights.

    Args:
        model: the Keras SimSiam, with its normalization layer as the backbone's second.
        name, stem, width: of its backbone.
        views: two arrays (n, h, w, 3) in [0, 255].
        variant: of `VARIANTS`; "torch_compile" has channels last, too.
        precision: "float32", or "bfloat16" by autocast.
        threads: of torch on the CPU.
    """
    torch.set_num_threads(threads)
    device = "cuda" if CUDA else "cpu"
    s = model.settings
    twin = oracle.SimSiam(name, stem, width, s.projector_layers, s.projector_hidden, s.projection_dim)
    networks = (model.backbone, model.projector, model.predictor)
    twin = oracle.to_torch(oracle.keras_arrays([v for network in networks for v in network.variables]), twin)
    layout = torch.contiguous_format if variant == "torch_eager" else torch.channels_last
    twin = twin.to(device, memory_format=layout)
    normalization = model.backbone.get_layer("normalization")
    x1, x2 = (
        torch.tensor(np.transpose(normalization(view), (0, 3, 1, 2)), device=device).contiguous(memory_format=layout)
        for view in views
    )
    sgd = oracle.optimizer(twin, rate=0.03 * len(x1) / 256)
    if precision == "bfloat16":
        twin.forward = torch.autocast(device, torch.bfloat16)(twin.forward)
    stepped = torch.compile(twin) if variant == "torch_compile" else twin
    return lambda: oracle.train_step(stepped, sgd, x1, x2)


def synchronize():
    if CUDA:
        torch.cuda.synchronize()
