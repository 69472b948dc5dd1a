"""NNSiam (Li et al. 2022, supplement, section 3.2): SimSiam that predicts the target's nearest neighbour in a queue."""

import torch
from torch import nn
from torch.nn import functional as F

from oracle.alternating import distance
from oracle.simsiam import SimSiam


class NNSiam(SimSiam):
    """SimSiam's networks, `encoder` and `predictor`, with a queue of earlier projections.

    `queue` is (size, dim); it starts with random rows of length 1 and takes projections as they are, neither normalised
    nor with gradient. `place` is the row that the next one goes to. The queue is left out of the state dict, so that
    this holds nothing but weights and statistics.

    Args:
        size: rows of the queue; the published run has 25,600, 100 batches of 256.
        arguments: `SimSiam`'s.
    """

    def __init__(self, *arguments, size=25600, **named):
        super().__init__(*arguments, **named)
        dim = [layer for layer in self.encoder.fc if isinstance(layer, nn.Linear)][-1].out_features
        self.register_buffer("queue", F.normalize(torch.randn(size, dim), dim=1), persistent=False)
        self.place = 0

    def forward(self, view1, view2):
        """The loss of two batches of views (n, 3, h, w) against the queue as it is, which does not move."""
        return self.loss_and_projection(view1, view2)[0]

    def loss_and_projection(self, view1, view2):
        """(loss, z1): the loss as above, and view 1's projections (n, dim), without gradient, for the queue.

        The loss is SimSiam's symmetrised one with both targets replaced: p1 goes to the neighbour of z2, p2 to z1's.
        """
        z1, z2 = self.encoder(view1), self.encoder(view2)
        p1, p2 = self.predictor(z1), self.predictor(z2)
        queue = self.queue.detach()
        neighbour1, neighbour2 = queue[self.nearest(z1)], queue[self.nearest(z2)]
        return (distance(p1, neighbour2) + distance(p2, neighbour1)) / 2, z1.detach()

    @torch.no_grad()
    def nearest(self, z):
        """The row of the queue at the smallest squared L2 distance from each of z (n, dim): (n,), the first of equals.

        Neither side is normalised, so lengths matter. The queue does not hold the present batch, hence no image is its
        own neighbour by construction.
        """
        squares = ((z[:, None] - self.queue[None]) ** 2).sum(dim=2)  # by the definition, without the inner products
        return squares.argmin(dim=1)

    @torch.no_grad()
    def enqueue(self, z):
        """Write z (n, dim) over the oldest rows; n divides the queue's size, so a batch never wraps around."""
        if len(self.queue) % len(z):
            raise ValueError(f"{len(z)} projections do not divide a queue of {len(self.queue)}")
        self.queue[self.place : self.place + len(z)] = z
        self.place = (self.place + len(z)) % len(self.queue)


def train_step(model, optimizer, view1, view2):
    """One update; the loss before it. Neighbours are looked up first, then view 1's projections alone are queued."""
    model.train()
    optimizer.zero_grad()
    value, z1 = model.loss_and_projection(view1, view2)
    model.enqueue(z1)
    value.backward()
    optimizer.step()
    return value.item()
