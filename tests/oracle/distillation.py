"""Distillation of a frozen teacher (Li et al. 2022, supplement, section 2): a student that predicts its features."""

import torch
from torch import nn

from oracle.resnet import ResNet


class Distillation(nn.Module):
    """Student `encoder`, whose `fc` predicts features, the frozen `teacher` that gives them, and their statistics.

    `fc` is one Linear with bias from the student's feature dimension to the teacher's, and is dropped afterwards. The
    teacher is a backbone without head, always in inference mode: its BatchNorms use their running statistics and leave
    them alone. It is part of the state dict, under `teacher.`.

    `mean` and `std` (teacher_dim,) are exponential moving averages of each batch's mean and standard deviation per
    dimension. The published code takes torch's default standard deviation, the unbiased one with n - 1 below the sum,
    about the batch's own mean; it averages standard deviations and not variances. `std` has 1e-6 added where it
    divides. They start at 0 and 1 and are left out of the state dict, so that this holds networks only.

    Args:
        teacher: maps normalised images (n, 3, h, w) to features (n, teacher_dim), a `ResNet` whose `fc` is not set.
        teacher_dim: what the teacher returns; its `feature_dim` by default.
        name, stem, width: the student's backbone's, see `ResNet`.
        alpha: weight of the new batch in the moving averages.
    """

    def __init__(self, teacher, name="resnet18", stem="cifar", width=64, teacher_dim=None, alpha=0.05):
        super().__init__()
        self.encoder = ResNet(name, stem, width)
        dim = teacher_dim or teacher.feature_dim
        self.encoder.fc = nn.Linear(self.encoder.feature_dim, dim)
        self.teacher = teacher.requires_grad_(False).eval()
        self.alpha = alpha
        self.register_buffer("mean", torch.zeros(dim), persistent=False)
        self.register_buffer("std", torch.ones(dim), persistent=False)

    def train(self, mode=True):
        """The student's mode; the teacher stays in inference mode."""
        super().train(mode)
        self.teacher.eval()
        return self

    @torch.no_grad()
    def targets(self, view):
        """(targets, features), both (n, teacher_dim): the features normalised by the statistics as they are."""
        features = self.teacher(view)
        return (features - self.mean) / (self.std + 1e-6), features

    @torch.no_grad()
    def update_statistics(self, features):
        """Move mean and std to those of a batch of teacher features (n, teacher_dim); n is 2 at least."""
        mean = features.mean(dim=0)
        std = (((features - mean) ** 2).sum(dim=0) / (len(features) - 1)).sqrt()
        self.mean.copy_(self.alpha * mean + (1 - self.alpha) * self.mean)
        self.std.copy_(self.alpha * std + (1 - self.alpha) * self.std)

    def forward(self, view):
        """(loss, teacher's features (n, teacher_dim)) of one batch of views (n, 3, h, w); nothing is moved.

        The same view goes through both networks. The loss is the squared error's mean over batch and dimensions.
        """
        targets, features = self.targets(view)
        return ((self.encoder(view) - targets) ** 2).mean(), features


def optimizer(model, rate, momentum=0.9, weight_decay=1e-4):
    """torch's SGD over the student, fc included, in one group; everything decays."""
    return torch.optim.SGD(model.encoder.parameters(), lr=rate, momentum=momentum, weight_decay=weight_decay)


def train_step(model, sgd, view):
    """One update; the loss before it. The statistics take the batch in after its targets are made."""
    model.train()
    sgd.zero_grad()
    value, features = model(view)
    model.update_statistics(features)
    value.backward()
    sgd.step()
    return value.item()
