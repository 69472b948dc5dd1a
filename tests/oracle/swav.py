"""SwAV (Caron et al. 2020, section 3) in PyTorch as SimSiam's section 6.2 recasts it, and its training step."""

import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from oracle.heads import mlp
from oracle.resnet import ResNet


class SwAV(nn.Module):
    """`encoder` with its projector in `fc`, `prototypes`, and `predictor`, which the method does without (identity).

    A view's scores are the cosines of its projection with the prototypes. The prototypes' length is divided out within
    the gradient (SimSiam, footnote 9), where the official code resets it before each step. They count as the encoder's
    last layer (there, (i)), so a predictor acts on the scores. There is no queue of earlier projections.

    Args:
        name, stem, width: the backbone's, see `ResNet`.
        hidden: width of the projector's hidden layers; the feature dimension by default.
        dim: width of the projections.
        prototypes: their number, K.
        layers: of the projector, 2 (the official code) or 3 (SimSiam's reproduction).
        predictor_hidden: width of the hidden layer of a predictor that ends in K again; None leaves it out.
    """

    def __init__(
        self,
        name="resnet18",
        stem="cifar",
        width=64,
        hidden=None,
        dim=128,
        prototypes=3000,
        layers=2,
        predictor_hidden=None,
    ):
        super().__init__()
        self.encoder = ResNet(name, stem, width)
        inputs = self.encoder.feature_dim
        self.encoder.fc = mlp(inputs, hidden or inputs, dim, layers)
        self.prototypes = nn.Linear(dim, prototypes, bias=False)
        self.predictor = mlp(prototypes, predictor_hidden, prototypes) if predictor_hidden else nn.Identity()

    def forward(self, views, temperature=0.1, epsilon=0.05, iterations=3, stop_gradient=True):
        """The loss, a scalar, of two or more batches of views (n, 3, h, w), which may differ in size.

        Each of the first two views is assigned to the prototypes, and every other view predicts its assignment. Without
        `stop_gradient` the gradient flows through the assignments too. Each view passes by itself, in the list's order.
        """
        prototypes = F.normalize(self.prototypes.weight, dim=1)
        scores = [F.normalize(self.encoder(view), dim=1) @ prototypes.T for view in views]
        predictions = [self.predictor(each) for each in scores]
        terms = []
        for i in (0, 1):
            q = sinkhorn(scores[i].detach() if stop_gradient else scores[i], epsilon, iterations)
            terms += [loss(predictions[v], q, temperature) for v in range(len(views)) if v != i]
        return sum(terms) / len(terms)


def loss(prediction, q, temperature):
    """Equation 2, the mean over the batch; prediction (unscaled) and assignment q are (n, K)."""
    return -(q * F.log_softmax(prediction / temperature, dim=1)).sum(dim=1).mean()


def loss_by_loop(prediction, q, temperature):
    """What `loss` gives, of numpy arrays, number by number."""
    total = 0.0
    for row, share in zip(prediction, q, strict=True):
        logits = [float(each) / temperature for each in row]
        highest = max(logits)  # taken out of the sum so that no exponential overflows
        log_sum = highest + math.log(sum(math.exp(each - highest) for each in logits))
        total += sum(float(a) * (log_sum - each) for a, each in zip(share, logits, strict=True))
    return total / len(q)


def sinkhorn(scores, epsilon, iterations):
    """Assignments (n, K) from scores (n, K): equation 3's balanced ones, after `iterations` of Sinkhorn and Knopp.

    A sample's assignment sums to 1, exactly; a prototype gets n / K samples, the nearer the more iterations.
    """
    q = torch.exp(scores / epsilon).T
    q = q / q.sum()
    n_prototypes, n = q.shape
    for _ in range(iterations):
        q = q / q.sum(dim=1, keepdim=True) / n_prototypes
        q = q / q.sum(dim=0, keepdim=True) / n
    return (q * n).T


def sinkhorn_by_loop(scores, epsilon, iterations):
    """What `sinkhorn` gives, of a numpy array, number by number; the samples stay in rows."""
    n, n_prototypes = scores.shape
    q = [[math.exp(float(each) / epsilon) for each in row] for row in scores]
    total = sum(sum(row) for row in q)
    q = [[each / total for each in row] for row in q]
    for _ in range(iterations):
        for k in range(n_prototypes):
            weight = sum(q[i][k] for i in range(n))
            for i in range(n):
                q[i][k] /= weight * n_prototypes
        for i in range(n):
            weight = sum(q[i])
            for k in range(n_prototypes):
                q[i][k] /= weight * n
    return np.array([[each * n for each in row] for row in q])


def train_step(model, optimizer, views, freeze_prototypes=False, **options):
    """One update; the loss before it. Options are `forward`'s.

    `freeze_prototypes` drops the prototypes' gradient, as the official code does for the first epoch. torch's
    optimizers leave a parameter without gradient alone: it is not decayed, and its momentum neither moves it nor fades.
    """
    model.train()
    optimizer.zero_grad()
    value = model(views, **options)
    value.backward()
    if freeze_prototypes:
        model.prototypes.weight.grad = None
    optimizer.step()
    return value.item()
