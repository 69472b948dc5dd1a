"""BYOL (Grill et al. 2020, "Bootstrap your own latent", section 3.1) in PyTorch, and its training step."""

import copy
import math

import torch
from torch import nn
from torch.nn import functional as F

from oracle.heads import mlp
from oracle.resnet import ResNet


class BYOL(nn.Module):
    """Online network (`encoder` with its projector in `fc`, and `predictor`) and `target`, a copy of the encoder.

    Projector and predictor are alike: Linear without bias, BatchNorm, ReLU, Linear with bias (the paper's
    implementation details). The target gets no gradient. It is a module of its own, so its BatchNorms keep running
    statistics of what the target sees.

    Args:
        name, stem, width: the backbone's, see `ResNet`.
        hidden, dim: widths of the projector's hidden layer and of its output.
        predictor_hidden: width of the predictor's hidden layer; its output has `dim` again.
    """

    def __init__(self, name="resnet18", stem="cifar", width=64, hidden=4096, dim=256, predictor_hidden=4096):
        super().__init__()
        self.encoder = ResNet(name, stem, width)
        self.encoder.fc = mlp(self.encoder.feature_dim, hidden, dim)
        self.predictor = mlp(dim, predictor_hidden, dim)
        self.target = copy.deepcopy(self.encoder).requires_grad_(False)

    def forward(self, view1, view2):
        """The loss, a scalar, of two batches of views (n, 3, h, w).

        The order of the passes matters to the running statistics only: view 1 before view 2 in either network.
        """
        q1 = self.predictor(self.encoder(view1))
        q2 = self.predictor(self.encoder(view2))
        with torch.no_grad():
            z1 = self.target(view1)
            z2 = self.target(view2)
        return loss(q1, q2, z1, z2)


def loss(q1, q2, z1, z2):
    """Equation 2 and the same with the views swapped, added up; predictions q and target projections z are (n, dim)."""
    q1, q2, z1, z2 = (F.normalize(each, dim=1) for each in (q1, q2, z1, z2))
    one = ((q1 - z2) ** 2).sum(dim=1)
    other = ((q2 - z1) ** 2).sum(dim=1)
    return (one + other).mean()


def loss_by_loop(q1, q2, z1, z2):
    """What `loss` gives, of numpy arrays (n, dim), number by number."""
    total = 0.0
    for prediction, projection in ((q1, z2), (q2, z1)):
        for q, z in zip(prediction, projection, strict=True):
            q_length = math.sqrt(sum(float(a) ** 2 for a in q))
            z_length = math.sqrt(sum(float(b) ** 2 for b in z))
            for a, b in zip(q, z, strict=True):
                total += (float(a) / q_length - float(b) / z_length) ** 2
    return total / len(q1)


def tau(step, total_steps, base_momentum):
    """The target's momentum (implementation details): from the base at step 0 up to 1 at step `total_steps`."""
    return 1 - (1 - base_momentum) * (math.cos(math.pi * step / total_steps) + 1) / 2


@torch.no_grad()
def update_target(model, momentum):
    """Equation 4, xi = tau xi + (1 - tau) theta: parameters only, never running statistics."""
    for xi, theta in zip(model.target.parameters(), model.encoder.parameters(), strict=True):
        xi.copy_(momentum * xi + (1 - momentum) * theta)


def train_step(model, optimizer, view1, view2, step, total_steps, base_momentum):
    """Update number `step`, from 0; the loss before it. The target moves towards the parameters after the update."""
    model.train()
    optimizer.zero_grad()
    value = model(view1, view2)
    value.backward()
    optimizer.step()
    update_target(model, tau(step, total_steps, base_momentum))
    return value.item()
