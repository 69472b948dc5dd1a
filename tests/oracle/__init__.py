"""SimSiam in PyTorch, written from the papers and torch's documentation: what the Keras code is held against.

It shares no code with the package. Modules are named as in the official release: `encoder` is a torchvision-like ResNet
whose `fc` is the projector, `predictor` stands beside it.
"""

import torch

from oracle.carry import keras_arrays, to_torch
from oracle.resnet import ResNet
from oracle.simsiam import SimSiam, optimizer, set_rates, train_step

__all__ = ["ResNet", "SimSiam", "keras_arrays", "optimizer", "set_rates", "to_torch", "train_step"]

# Networks this small gain nothing from more threads, and torch's wait for each other in busy loops.
torch.set_num_threads(1)
