"""What can be said of each optimizer: one frozen dataclass each, found by `optimizer.name`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from simsiam_tf.errors import InputError
from simsiam_tf.settings.types import BelowOne, Count, Natural, NonNegative, Positive, Section


@dataclass(frozen=True)
class OptimizerSettings(Section):
    """What all optimizers have; learning rate = learning_rate x batch_size / 256, along a cosine over the epochs.

    Args:
        name: Name of the optimizer.
        learning_rate: Base learning rate, per 256 images.
        batch_size: Images per step.
        epochs: Passes over the training images; the cosine ends there.
        warmup_epochs: Epochs of linear warm-up.
        weight_decay: Weight decay.
    """

    prefix: ClassVar[str] = "optimizer."
    name: str = ""
    learning_rate: Positive = 0.03
    batch_size: Count = 512
    epochs: Count = 800
    warmup_epochs: Natural = 0
    weight_decay: NonNegative = 5e-4

    def __post_init__(self):
        super().__post_init__()
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


@dataclass(frozen=True)
class LARSSettings(OptimizerSettings):
    """LARS in the form of BYOL's official code, for large batches.

    Args:
        momentum: Momentum.
        weight_decay: Added to the gradient before it is scaled.
        trust: Trust coefficient: the step on a weight is this share of its size, times the learning rate.
        exclude_vectors: Biases and BatchNorm's scales and offsets are neither decayed nor scaled.
    """

    name: Literal["lars"] = "lars"
    learning_rate: Positive = 0.2
    weight_decay: NonNegative = 1.5e-6
    momentum: BelowOne = 0.9
    trust: Positive = 1e-3
    exclude_vectors: bool = True


@dataclass(frozen=True)
class AdamWSettings(OptimizerSettings):
    """AdamW (Loshchilov & Hutter 2019), Keras's.

    Args:
        weight_decay: Decoupled from the gradient, times the learning rate, on every variable.
        beta_1: Decay of the mean of the gradients.
        beta_2: Decay of the mean of their squares.
        epsilon: Added to the root of the latter before that is corrected for its start at 0; PyTorch's is added after
            it, which is this over sqrt(1 - beta_2^step).
    """

    name: Literal["adamw"] = "adamw"
    learning_rate: Positive = 1.5e-4
    weight_decay: NonNegative = 0.1
    beta_1: BelowOne = 0.9
    beta_2: BelowOne = 0.999
    epsilon: Positive = 1e-8


OPTIMIZERS = {each.name: each for each in (SGDSettings, LARSSettings, AdamWSettings)}
