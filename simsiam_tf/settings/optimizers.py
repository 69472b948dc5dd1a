"""What can be said of each optimizer: one frozen dataclass each, found by `optimizer.name`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from simsiam_tf.errors import InputError
from simsiam_tf.settings.types import BelowOne, Count, Natural, NonNegative, Positive, check


@dataclass(frozen=True)
class OptimizerSettings:
    """What all optimizers have; learning rate = learning_rate x batch_size / 256, along a cosine over the epochs.

    Args:
        name: Name of the optimizer.
        learning_rate: Base learning rate, per 256 images.
        batch_size: Images per step.
        epochs: Passes over the training images; the cosine ends there.
        warmup_epochs: Epochs of linear warm-up.
        weight_decay: Weight decay.
    """

    name: str = ""
    learning_rate: Positive = 0.03
    batch_size: Count = 512
    epochs: Count = 800
    warmup_epochs: Natural = 0
    weight_decay: NonNegative = 5e-4

    def __post_init__(self):
        check(self, "optimizer.")
        if self.warmup_epochs >= self.epochs:
            raise InputError(
                f"optimizer.warmup_epochs: {self.warmup_epochs} of {self.epochs} epochs; "
                "give fewer than optimizer.epochs"
            )


@dataclass(frozen=True)
class SGDSettings(OptimizerSettings):
    """SGD in PyTorch's form: the papers' optimizer.

    Args:
        momentum: Momentum.
        weight_decay: On every variable, added to the gradient before the momentum.
    """

    name: Literal["sgd"] = "sgd"
    momentum: BelowOne = 0.9


OPTIMIZERS = {each.name: each for each in (SGDSettings,)}
