"""MoCo (He et al. 2020, algorithm 1) with the MLP head of v2 (Chen et al. 2020, "Improved baselines") in PyTorch."""

import copy
import math

import torch
from torch import nn
from torch.nn import functional as F

from oracle.heads import mlp
from oracle.resnet import ResNet


class MoCo(nn.Module):
    """Query network (`encoder` with its head in `fc`), `key`, a copy of it without gradient, and the queue of keys.

    The head is Linear, ReLU, Linear, both with bias (v2, section 3). `queue` is (size, dim) with rows of length 1, at
    random to begin with, and `pointer` the row that the next key goes to. The queue is left out of the state dict, so
    that this holds nothing but weights and statistics. There is one device, hence no shuffling of batches between any.

    Args:
        name, stem, width: the backbone's, see `ResNet`.
        hidden: width of the head's hidden layer; the feature dimension by default.
        dim: width of the output.
        size: rows of the queue.
    """

    def __init__(self, name="resnet18", stem="cifar", width=64, hidden=None, dim=128, size=65536):
        super().__init__()
        self.encoder = ResNet(name, stem, width)
        inputs = self.encoder.feature_dim
        self.encoder.fc = mlp(inputs, hidden or inputs, dim, hidden_norm=False)
        self.key = copy.deepcopy(self.encoder).requires_grad_(False)
        self.register_buffer("queue", F.normalize(torch.randn(size, dim), dim=1), persistent=False)
        self.pointer = 0

    def forward(self, view1, view2, temperature, symmetric=False):
        """(loss, keys) of two batches of views (n, 3, h, w), against the queue as it is; the keys are to be queued.

        Queries come from view 1 and keys (n, dim) from view 2; or, symmetric, both from both, the loss is the mean of
        the two directions, and the keys (2n, dim) are those of view 1 followed by those of view 2.
        """
        if not symmetric:
            q = F.normalize(self.encoder(view1), dim=1)
            with torch.no_grad():
                k = F.normalize(self.key(view2), dim=1)
            return loss(q, k, self.queue, temperature), k
        q1 = F.normalize(self.encoder(view1), dim=1)
        q2 = F.normalize(self.encoder(view2), dim=1)
        with torch.no_grad():
            k1 = F.normalize(self.key(view1), dim=1)
            k2 = F.normalize(self.key(view2), dim=1)
        one = loss(q1, k2, self.queue, temperature)
        other = loss(q2, k1, self.queue, temperature)
        return (one + other) / 2, torch.cat([k1, k2])

    @torch.no_grad()
    def update_key(self, momentum):
        """Equation 2, theta_k = m theta_k + (1 - m) theta_q: parameters only, never running statistics."""
        for theta_k, theta_q in zip(self.key.parameters(), self.encoder.parameters(), strict=True):
            theta_k.copy_(momentum * theta_k + (1 - momentum) * theta_q)

    def enqueue(self, keys):
        """Write keys (n, dim) over the oldest rows; n divides the queue's size, so a batch never wraps around."""
        if len(self.queue) % len(keys):
            raise ValueError(f"{len(keys)} keys do not divide a queue of {len(self.queue)}")
        self.queue[self.pointer : self.pointer + len(keys)] = keys
        self.pointer = (self.pointer + len(keys)) % len(self.queue)


def loss(q, k, queue, temperature):
    """InfoNCE (equation 1), the mean over the batch; q and k are (n, dim), queue (size, dim), all rows of length 1."""
    positive = (q * k).sum(dim=1, keepdim=True)
    negative = q @ queue.T
    logits = torch.cat([positive, negative], dim=1) / temperature
    return F.cross_entropy(logits, torch.zeros(len(q), dtype=torch.long, device=q.device))


def loss_by_loop(q, k, queue, temperature):
    """What `loss` gives, of numpy arrays, number by number; their rows have length 1 already."""
    total = 0.0
    for query, key in zip(q, k, strict=True):
        logits = []
        for row in [key, *queue]:
            logits.append(sum(float(a) * float(b) for a, b in zip(query, row, strict=True)) / temperature)
        highest = max(logits)  # taken out of the sum so that no exponential overflows
        total += highest + math.log(sum(math.exp(each - highest) for each in logits)) - logits[0]
    return total / len(q)


def train_step(model, optimizer, view_q, view_k, momentum, temperature, symmetric=False):
    """One update; the loss before it.

    Algorithm 1 moves the key network after the optimizer; the official code, and this, before the next keys. The keys
    come out the same as long as both networks start equal, but the key network at the end of a step is one move behind.
    """
    model.train()
    optimizer.zero_grad()
    model.update_key(momentum)
    value, keys = model(view_q, view_k, temperature, symmetric)
    value.backward()
    optimizer.step()
    model.enqueue(keys)
    return value.item()
