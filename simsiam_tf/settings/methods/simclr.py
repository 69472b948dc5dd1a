"""What can be said of SimCLR."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from simsiam_tf.settings.methods.base import HybridSettings
from simsiam_tf.settings.types import Count, Positive


@dataclass(frozen=True)
class SimCLRSettings(HybridSettings):
    """SimCLR (Chen et al. 2020), and the hybrids with SimSiam of that paper's section 6.2.

    Args:
        projector_layers: Fully connected layers of the projector; 3 in the SimSiam paper's improved reproduction.
        projector_hidden: Hidden width of the projector; null means the feature dimension, as in the official code.
        projection_dim: Width d of the projections.
        temperature: What cosines are divided by.
        stop_gradient: The projections that answer get no gradient.
    """

    name: Literal["simclr"] = "simclr"
    projector_layers: Literal[2, 3] = 2
    projector_hidden: Count | None = None
    projection_dim: Count = 128
    temperature: Positive = 0.5
    stop_gradient: bool = False
