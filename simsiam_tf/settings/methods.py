"""What can be said of each method: one frozen dataclass a method, found by `method.name`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, ClassVar, Literal

from simsiam_tf.settings.types import BelowOne, Count, NonNegative, Positive, Range, Section, Share

Placement = Literal["none", "hidden", "default", "all"]
Schedule = Literal["constant", "cosine"]


@dataclass(frozen=True)
class MethodSettings(Section):
    """What all methods have.

    A method `NAMESettings` whose name is "name" is the class `NAME` of the module `simsiam_tf.methods.name`.

    Args:
        name: Name of the method.
        weight_average: Evaluate and keep a moving average of the encoder's weights, which keeps this share of itself at
            each step; 0: the weights themselves. Training does not know of it.
    """

    prefix: ClassVar[str] = "method."
    num_views: ClassVar[int] = 2  # a field where it can be chosen
    name: str = ""
    weight_average: BelowOne = 0.0

    def arguments(self) -> dict:
        """Those of the method's class."""
        return {key: value for key, value in asdict(self).items() if key != "name"}

    @classmethod
    def of_heads(cls, projector: dict | None, predictor: dict | None) -> dict:
        """Settings of the heads that were found in a file of weights, as far as they tell; see `interop.torch_state`.

        Args:
            projector, predictor: {"layers": int, "hidden": int, "output": int, "output_norm": str}; None where the file
                does not tell, and {} for a predictor that the whole network does not have.
        """
        return {}


@dataclass(frozen=True)
class SimSiamSettings(MethodSettings):
    """SimSiam (Chen & He 2021), its ablations, and FastSiam (Pototzky et al. 2022).

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
        stop_gradient: False for the ablation that collapses (figure 2).
        num_views: Views of each image in a step; above 2, each prediction meets the mean of the others (FastSiam).
    """

    name: Literal["simsiam"] = "simsiam"
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
    stop_gradient: bool = True
    num_views: Annotated[int, Range(2)] = 2

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
class BYOLSettings(MethodSettings):
    """BYOL (Grill et al. 2020).

    Args:
        projector_hidden: Hidden width of the projector.
        projection_dim: Width d of projections and predictions.
        predictor_hidden: Hidden width of the predictor.
        predictor_ratio: Learning rate of the predictor over that of the encoder.
        predictor_schedule: constant, or cosine as the encoder's.
        momentum: Share of itself that the target keeps at the first step; it grows to 1 along a cosine.
    """

    name: Literal["byol"] = "byol"
    projector_hidden: Count = 4096
    projection_dim: Count = 256
    predictor_hidden: Count = 4096
    predictor_ratio: NonNegative = 1.0
    predictor_schedule: Schedule = "cosine"
    momentum: Share = 0.996

    @classmethod
    def of_heads(cls, projector, predictor):
        found = {"projector_hidden": projector["hidden"], "projection_dim": projector["output"]} if projector else {}
        return found | ({"predictor_hidden": predictor["hidden"]} if predictor else {})


@dataclass(frozen=True)
class MoCoSettings(MethodSettings):
    """MoCo v2 (He et al. 2020; Chen et al. 2020), and its symmetric form that the SimSiam paper compares with.

    Args:
        projector_hidden: Hidden width of the projector; null means the feature dimension, as in the official code.
        projection_dim: Width d of queries and keys.
        momentum: Share of itself that the keys' encoder keeps at each step.
        queue: Keys of earlier batches that each query is told from.
        temperature: What cosines are divided by.
        symmetric: Both views ask and answer (SimSiam's table 4); False: the first asks, the second answers.
        shuffle: Shuffle the keys' images over the devices, for training.sync_batch_norm false; one device has no use
            for it.
    """

    name: Literal["moco"] = "moco"
    projector_hidden: Count | None = None
    projection_dim: Count = 128
    momentum: Share = 0.999
    queue: Count = 65536
    temperature: Positive = 0.2
    symmetric: bool = False
    shuffle: bool = False

    @classmethod
    def of_heads(cls, projector, predictor):
        return {"projector_hidden": projector["hidden"], "projection_dim": projector["output"]} if projector else {}


METHODS = {each.name: each for each in (SimSiamSettings, BYOLSettings, MoCoSettings)}
