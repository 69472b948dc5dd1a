"""What can be said of SwAV."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from simsiam_tf.settings.methods.base import HybridSettings
from simsiam_tf.settings.types import Count, Natural, Positive, Range


@dataclass(frozen=True)
class SwAVSettings(HybridSettings):
    """SwAV (Caron et al. 2020), and the variants of the SimSiam paper's section 6.2.

    Args:
        projector_layers: Fully connected layers of the projector; 3 in the SimSiam paper's improved reproduction.
        projector_hidden: Hidden width of the projector.
        projection_dim: Width d of the projections.
        prototypes: Number of clusters.
        temperature: What the predicted scores are divided by.
        epsilon: What the scores are divided by before they are balanced.
        iterations: Of the Sinkhorn-Knopp transform.
        freeze_prototypes: Steps at the beginning in which the prototypes stay as they are, without gradient and decay.
        stop_gradient: False: the assignments get a gradient, too, and it diverges.
        num_views: The first two assign and are predicted, the others are predicted only (multi-crop); give their kinds
            in augmentation.views.
    """

    name: Literal["swav"] = "swav"
    projector_layers: Literal[2, 3] = 2
    projector_hidden: Count = 2048
    projection_dim: Count = 128
    prototypes: Count = 3000
    temperature: Positive = 0.1
    epsilon: Positive = 0.05
    iterations: Count = 3
    freeze_prototypes: Natural = 0
    stop_gradient: bool = True
    num_views: Annotated[int, Range(2)] = 2
