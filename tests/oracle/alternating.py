"""SimSiam as the alternation that its section 5 takes it for: several steps to a target, and a bank of targets."""

import torch
from torch.nn import functional as F

from oracle.simsiam import SimSiam


class Alternating(SimSiam):
    """SimSiam's networks, `encoder` and `predictor`, with the two sub-problems apart. Arguments are `SimSiam`'s.

    A batch is a list of views (n, 3, h, w) of the same images: two, which predictions are made from, and perhaps more,
    which are targets only.
    """

    @torch.no_grad()
    def targets(self, views):
        """Sub-problem (8) of a batch: the targets (n, dim) of view 1's prediction and of view 2's.

        Two views are each other's target (equation 10). With more, equation 9 is estimated by the mean over views 3, 4,
        ... of their l2-normalised projections, the target of both predictions (footnote 6).

        BatchNorm takes the batch's statistics, as in SimSiam, but its running ones are left as they were.
        """
        self.encoder.train()
        saved = {name: buffer.clone() for name, buffer in self.encoder.named_buffers()}
        z = [self.encoder(view) for view in views[2:] or views]
        for name, buffer in self.encoder.named_buffers():
            buffer.copy_(saved[name])
        if len(views) == 2:
            return z[1], z[0]
        eta = torch.stack([F.normalize(each, dim=1) for each in z]).mean(dim=0)
        return eta, eta

    def forward(self, view1, view2, eta1, eta2):
        """The loss of sub-problem (7), symmetrised: prediction 1 with target eta1, prediction 2 with eta2 (n, dim)."""
        p1 = self.predictor(self.encoder(view1))
        p2 = self.predictor(self.encoder(view2))
        return (distance(p1, eta1) + distance(p2, eta2)) / 2


def distance(p, eta):
    """Equation 1, the mean over the batch."""
    return -F.cosine_similarity(p, eta, dim=1).mean()


def alternate(model, optimizer, batches, set_rate=None):
    """One multi-step alternation (section 5.2): k updates on k batches, of which all targets are taken before.

    Returns the k losses, each before its update. `set_rate(optimizer, i)` is called before update i, from 0.
    """
    model.train()
    cache = [model.targets(views) for views in batches]
    losses = []
    for i, (views, (eta1, eta2)) in enumerate(zip(batches, cache, strict=True)):
        if set_rate is not None:
            set_rate(optimizer, i)
        optimizer.zero_grad()
        value = model(views[0], views[1], eta1, eta2)
        value.backward()
        optimizer.step()
        losses.append(value.item())
    return losses


def bank_step(model, optimizer, bank, seen, rows, view1, *others, momentum=0.8):
    """One update with moving-average targets and without predictor (section 5.2); the loss before it.

    The other view enters the average, or the mean of several as in `targets`, and view 1 is drawn to what comes out:
    the present view is in its target. An image's first visit assigns, instead of averaging with nothing. The gradient
    runs through view 1 only; the others pass after it, through the same network, and all count for the running
    statistics.

    Args:
        bank: a row of length 1 for each image (n_images, dim), changed in place; what it holds at first is not used.
        seen: whether an image has been visited (n_images,), changed in place; all False at first.
        rows: the index in the bank of each image of the batch (n,), none twice.
    """
    model.train()
    optimizer.zero_grad()
    z1 = model.encoder(view1)
    with torch.no_grad():
        z = torch.stack([F.normalize(model.encoder(view), dim=1) for view in others]).mean(dim=0)
        average = momentum * bank[rows] + (1 - momentum) * z
        eta = F.normalize(torch.where(seen[rows, None], average, z), dim=1)
        bank[rows] = eta
        seen[rows] = True
    value = distance(z1, eta)
    value.backward()
    optimizer.step()
    return value.item()
