"""SimSiam (Chen & He 2021, algorithm 1) in PyTorch with the module names of the official release, and its SGD."""

import math

import torch
from torch import nn

from oracle.resnet import ResNet


class SimSiam(nn.Module):
    """Encoder (backbone and projector) and predictor.

    Args:
        name, stem, width: the backbone's, see `ResNet`.
        layers: of the projector, 2 (CIFAR-10) or 3 (ImageNet).
        hidden: width of the projector's hidden layers; the feature dimension by default.
        dim, predictor_hidden: widths of the output and of the predictor's bottleneck.
        head_norm: where a BatchNorm stands in the heads (table 3): "none", "hidden" (on the hidden layers of both),
            "default" (on the projector's output, too), "all" (on the predictor's output, too).
        affine: scale and offset of the BatchNorm on the projector's output (section 4.4).
        predictor: False leaves it out.
    """

    def __init__(
        self,
        name="resnet18",
        stem="cifar",
        width=64,
        layers=2,
        hidden=None,
        dim=2048,
        predictor_hidden=512,
        head_norm="default",
        affine=False,
        predictor=True,
    ):
        super().__init__()
        self.encoder = ResNet(name, stem, width)
        inputs = self.encoder.feature_dim
        hidden_norm = head_norm != "none"
        norm = nn.BatchNorm1d(dim, affine=affine) if head_norm in ("default", "all") else None
        self.encoder.fc = head(inputs, hidden or inputs, dim, layers, hidden_norm, norm)
        self.predictor = nn.Identity()
        if predictor:
            norm = nn.BatchNorm1d(dim) if head_norm == "all" else None
            self.predictor = head(dim, predictor_hidden, dim, 2, hidden_norm, norm)

    def forward(self, *views, stop_gradient=True):
        """The loss of batches of views (n, 3, h, w); above two, of each prediction with the other views' mean."""
        z = [self.encoder(view) for view in views]
        p = [self.predictor(each) for each in z]
        z = torch.stack([each.detach() for each in z] if stop_gradient else z)
        cosine = nn.CosineSimilarity(dim=1)
        similarity = 0
        for i in range(len(views)):
            others = [j for j in range(len(views)) if j != i]
            similarity = similarity + cosine(p[i], z[others].mean(dim=0)).mean()
        return -similarity / len(views)


def head(inputs, hidden, outputs, layers, hidden_norm, output_norm):
    """Linear, BatchNorm, ReLU, ..., Linear, and its BatchNorm if there is one; each stays at its place without others.

    A Linear before a BatchNorm needs no bias; on the last one the official release keeps one that is never trained.
    """
    modules = []
    for _ in range(layers - 1):
        norm = nn.BatchNorm1d(hidden) if hidden_norm else nn.Identity()
        modules += [nn.Linear(inputs, hidden, bias=not hidden_norm), norm, nn.ReLU()]
        inputs = hidden
    modules.append(nn.Linear(inputs, outputs, bias=output_norm is None))
    return nn.Sequential(*modules, *([] if output_norm is None else [output_norm]))


def optimizer(model, rate, momentum=0.9, weight_decay=5e-4, predictor_weight_decay=None):
    """torch's SGD over encoder and predictor, in two groups; everything decays."""
    groups = [{"params": model.encoder.parameters()}, {"params": list(model.predictor.parameters())}]
    groups[1]["weight_decay"] = weight_decay if predictor_weight_decay is None else predictor_weight_decay
    groups = groups if groups[1]["params"] else groups[:1]
    return torch.optim.SGD(groups, lr=rate, momentum=momentum, weight_decay=weight_decay)


def set_rates(sgd, step, rate, steps_per_epoch, epochs, warmup_epochs=0, ratio=1.0, predictor="constant"):
    """The rates of a step: cosine over the epoch index; the predictor's follows it or stays (sec. 4.2)."""
    cosine = 0.5 * (1 + math.cos(math.pi * (step // steps_per_epoch) / epochs))
    warmup = warmup_epochs * steps_per_epoch
    share = (step + 1) / warmup if step < warmup else cosine
    sgd.param_groups[0]["lr"] = rate * share
    if len(sgd.param_groups) > 1:
        sgd.param_groups[1]["lr"] = ratio * rate * (1.0 if predictor == "constant" else share)


def train_step(model, sgd, *views, stop_gradient=True):
    """One update; the loss before it."""
    model.train()
    sgd.zero_grad()
    loss = model(*views, stop_gradient=stop_gradient)
    loss.backward()
    sgd.step()
    return loss.item()
