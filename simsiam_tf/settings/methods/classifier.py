"""What can be said of a classifier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from simsiam_tf.settings.methods.base import MethodSettings
from simsiam_tf.settings.types import BelowOne, Count, Natural, NonNegative, PositiveShare, Range


@dataclass(frozen=True)
class LabelSettings(MethodSettings):
    """What a run that learns from labels has; a script's `fit` learns from all that it is given.

    Args:
        labels: Share of the training images whose labels are used, the same of every class; or, from 2 on, about how
            many. At least one of each class.
        subset: Which draw of them; the probes of the evaluation have the same.
        held_out: Share of these labels that is not trained on: the epoch that does best on them is kept. None is held
            out of a class that has too few; where no class has enough, the last epoch is kept.
        patience: Epochs without a better one that end the training.
    """

    can_collapse: ClassVar[bool] = False
    labels: Annotated[int, Range(2)] | PositiveShare = 1.0
    subset: Natural = 0
    held_out: BelowOne = 0.1
    patience: Count = 10


@dataclass(frozen=True)
class ClassifierSettings(LabelSettings):
    """A linear classifier, with the encoder or on it as it is.

    Args:
        encoder_ratio: Learning rate of the encoder over that of the classifier; 0: it is frozen, with the statistics of
            its BatchNorm.
        label_smoothing: Share of each target that is spread over all classes.
    """

    num_views: ClassVar[int] = 1
    name: Literal["classifier"] = "classifier"
    encoder_ratio: NonNegative = 1.0
    label_smoothing: BelowOne = 0.0
