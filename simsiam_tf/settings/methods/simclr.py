"""What can be said of SimCLR."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from simsiam_tf.settings.methods.base import MethodSettings, Schedule
from simsiam_tf.settings.types import Count, NonNegative, Positive


@dataclass(frozen=True)
class SimCLRSettings(MethodSettings):
    """SimCLR (Chen et al. 2020), and the hybrids with SimSiam of that paper's section 6.2.

    Args:
        projector_layers: Fully connected layers of the projector; 3 in the SimSiam paper's improved reproduction.
        projector_hidden: Hidden width of the projector; null means the feature dimension, as in the official code.
        projection_dim: Width d of the projections.
        temperature: What cosines are divided by.
        predictor: none, or mlp for the hybrid: predictions ask, projections answer.
        predictor_hidden: Width of the predictor's bottleneck.
        predictor_ratio: Learning rate of the predictor over that of the encoder.
        predictor_schedule: constant, or cosine as the encoder's.
        stop_gradient: The projections that answer get no gradient.
    """

    name: Literal["simclr"] = "simclr"
    projector_layers: Literal[2, 3] = 2
    projector_hidden: Count | None = None
    projection_dim: Count = 128
    temperature: Positive = 0.5
    predictor: Literal["none", "mlp"] = "none"
    predictor_hidden: Count = 512
    predictor_ratio: NonNegative = 1.0
    predictor_schedule: Schedule = "constant"
    stop_gradient: bool = False
