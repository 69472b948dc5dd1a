"""What can be said of SimSiam."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from simsiam_tf.errors import InputError
from simsiam_tf.settings.methods.base import MethodSettings, Placement, Schedule
from simsiam_tf.settings.types import Count, NonNegative, Range


@dataclass(frozen=True)
class HeadSettings(MethodSettings):
    """SimSiam's projector, predictor and similarity, and their ablations.

    Args:
        projector_layers: Fully connected layers of the projector: 2 for CIFAR-10 (appendix D), 3 for ImageNet.
        projector_hidden: Hidden width of the projector; null means the feature dimension, as in the official code.
        projection_dim: Width d of the projections z and the predictions p.
        predictor: mlp, or none for the ablation that collapses (table 1a).
        predictor_hidden: Width of the predictor's bottleneck.
        predictor_ratio: Learning rate of the predictor over that of the encoder; 0: as it is initialised (table 1b).
        predictor_schedule: constant (the papers' choice, section 4.2) or cosine, as the encoder's.
        predictor_weight_decay: Weight decay of the predictor; null: the optimizer's, as in the papers.
        head_norm: BatchNorm in the heads (table 3): none, hidden (in the hidden layers), default (on the projector's
            output, too), or all (on the predictor's output, too).
        projector_output_affine: Scale and offset of the BatchNorm on the projector's output (section 4.4).
        similarity: cosine (equation 1), or cross_entropy of softmaxes (section 4.5).
    """

    projector_layers: Literal[2, 3] = 2
    projector_hidden: Count | None = None
    projection_dim: Count = 2048
    predictor: Literal["mlp", "none"] = "mlp"
    predictor_hidden: Count = 512
    predictor_ratio: NonNegative = 1.0
    predictor_schedule: Schedule = "constant"
    predictor_weight_decay: NonNegative | None = None
    head_norm: Placement = "default"
    projector_output_affine: bool = False
    similarity: Literal["cosine", "cross_entropy"] = "cosine"

    @classmethod
    def of_heads(cls, projector, predictor):
        found = {}
        if projector:
            found |= {"projector_layers": projector["layers"], "projector_hidden": projector["hidden"]}
            found |= {"projection_dim": projector["output"]}
            found |= {"head_norm": "hidden" if projector["output_norm"] == "none" else "default"}
            found |= {"projector_output_affine": projector["output_norm"] == "affine"}
        if predictor is not None:
            found |= (
                {"predictor": "mlp", "predictor_hidden": predictor["hidden"]} if predictor else {"predictor": "none"}
            )
        return found


@dataclass(frozen=True)
class SimSiamSettings(HeadSettings):
    """SimSiam (Chen & He 2021), its ablations, and FastSiam (Pototzky et al. 2022).

    Args:
        stop_gradient: False for the ablation that collapses (figure 2).
        symmetric: False: views in pairs, the first of each predicts the second (section 4.6); 4 views are "2x".
        num_views: Views of each image in a step; above 2, each prediction meets the mean of the others (FastSiam).
    """

    name: Literal["simsiam"] = "simsiam"
    stop_gradient: bool = True
    symmetric: bool = True
    num_views: Annotated[int, Range(2)] = 2

    def __post_init__(self):
        super().__post_init__()
        if self.num_views % 2 and not self.symmetric:
            raise InputError(f"method.num_views: {self.num_views} are no pairs; give an even number, or symmetric true")
