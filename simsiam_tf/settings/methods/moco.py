"""What can be said of MoCo v2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from simsiam_tf.settings.methods.base import MethodSettings
from simsiam_tf.settings.types import Count, Positive, Share


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
