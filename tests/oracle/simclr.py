"""SimCLR (Chen et al. 2020, section 2.1) in PyTorch, and the variant of it that SimSiam's section 6.2 trains."""

import math

import torch
from torch import nn
from torch.nn import functional as F

from oracle.heads import mlp
from oracle.resnet import ResNet


class ScaleNorm(nn.Module):
    """BatchNorm1d with a scale (`weight`) but no offset: the official code's `center=False`. (n, dim) -> (n, dim)."""

    def __init__(self, dim):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.register_buffer("running_mean", torch.zeros(dim))
        self.register_buffer("running_var", torch.ones(dim))

    def forward(self, x):
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, training=self.training)


class SimCLR(nn.Module):
    """`encoder` with its projector in `fc`, and `predictor`, which the method does without (identity).

    A hidden layer of the projector is Linear, BatchNorm, ReLU, its output Linear, BatchNorm without offset; no Linear
    has a bias (the official code; the paper's formula has two layers and no BatchNorm).

    Args:
        name, stem, width: the backbone's, see `ResNet`.
        hidden: width of the projector's hidden layers; the feature dimension by default.
        dim: width of the output.
        layers: of the projector, 2 (the paper) or 3 (SimSiam's reproduction).
        predictor_hidden: width of the hidden layer of a predictor that ends in `dim` again; None leaves it out.
    """

    def __init__(self, name="resnet18", stem="cifar", width=64, hidden=None, dim=128, layers=2, predictor_hidden=None):
        super().__init__()
        self.encoder = ResNet(name, stem, width)
        inputs = self.encoder.feature_dim
        self.encoder.fc = mlp(inputs, hidden or inputs, dim, layers, output_norm="plain")
        self.encoder.fc[-1] = ScaleNorm(dim)
        self.predictor = mlp(dim, predictor_hidden, dim) if predictor_hidden else nn.Identity()

    def forward(self, view1, view2, temperature, stop_gradient=False):
        """The loss, a scalar, of two batches of views (n, 3, h, w).

        Predictions are queries, projections are keys, and `stop_gradient` takes the gradient off all keys, negative
        ones and those of the query's own view among them. Without predictor a projection is its own prediction.
        """
        z1 = self.encoder(view1)
        z2 = self.encoder(view2)
        p1 = self.predictor(z1)
        p2 = self.predictor(z2)
        if stop_gradient:
            z1, z2 = z1.detach(), z2.detach()
        return nt_xent(p1, p2, z1, z2, temperature)


def nt_xent(p1, p2, z1, z2, temperature):
    """Equation 1, the mean over the 2n queries p of view 1 and view 2; p and z (n, dim) need not have length 1.

    Of the 2n keys z a query has one for positive, that of the other view of its image; that of its own view is left
    out, and the other 2n - 2 are negatives. With p = z this is the paper's loss.
    """
    p = F.normalize(torch.cat([p1, p2]), dim=1)
    z = F.normalize(torch.cat([z1, z2]), dim=1)
    itself = torch.eye(len(p), dtype=torch.bool, device=p.device)
    logits = (p @ z.T / temperature).masked_fill(itself, -math.inf)
    positive = torch.arange(len(p), device=p.device).roll(len(p1))  # n, ..., 2n - 1, 0, ..., n - 1
    return F.cross_entropy(logits, positive)


def nt_xent_by_loop(p1, p2, z1, z2, temperature):
    """What `nt_xent` gives, of numpy arrays (n, dim), number by number."""

    def cosine(a, b):
        dot = sum(float(x) * float(y) for x, y in zip(a, b, strict=True))
        return dot / math.sqrt(sum(float(x) ** 2 for x in a)) / math.sqrt(sum(float(y) ** 2 for y in b))

    total = 0.0
    for queries, own, other in ((p1, z1, z2), (p2, z2, z1)):
        for i, query in enumerate(queries):
            keys = [other[i]]
            for j in range(len(queries)):
                if j != i:
                    keys += [own[j], other[j]]
            logits = [cosine(query, key) / temperature for key in keys]
            highest = max(logits)  # taken out of the sum so that no exponential overflows
            total += highest + math.log(sum(math.exp(each - highest) for each in logits)) - logits[0]
    return total / (2 * len(p1))


def train_step(model, optimizer, view1, view2, temperature, stop_gradient=False):
    """One update; the loss before it."""
    model.train()
    optimizer.zero_grad()
    value = model(view1, view2, temperature, stop_gradient)
    value.backward()
    optimizer.step()
    return value.item()
