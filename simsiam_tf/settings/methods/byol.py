"""What can be said of BYOL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from simsiam_tf.settings.methods.base import MethodSettings, Schedule
from simsiam_tf.settings.types import Count, NonNegative, Share


@dataclass(frozen=True)
class BYOLSettings(MethodSettings):
    """BYOL (Grill et al. 2020).

    Args:
        projector_hidden: Hidden width of the projector.
        projection_dim: Width d of projections and predictions.
        predictor_hidden: Hidden width of the predictor.
        predictor_ratio: Learning rate of the predictor over that of the encoder.
        predictor_schedule: constant, or cosine as the encoder's.
        momentum: Share of itself that the target keeps at the first step; 0: no momentum encoder (SimSiam, footnote 3).
        momentum_schedule: cosine (it grows to 1) or constant.
    """

    name: Literal["byol"] = "byol"
    projector_hidden: Count = 4096
    projection_dim: Count = 256
    predictor_hidden: Count = 4096
    predictor_ratio: NonNegative = 1.0
    predictor_schedule: Schedule = "cosine"
    momentum: Share = 0.996
    momentum_schedule: Schedule = "cosine"

    @classmethod
    def of_heads(cls, projector, predictor):
        found = {"projector_hidden": projector["hidden"], "projection_dim": projector["output"]} if projector else {}
        return found | ({"predictor_hidden": predictor["hidden"]} if predictor else {})
