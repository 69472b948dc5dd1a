"""What all methods have."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import ClassVar, Literal

from simsiam_tf.settings.types import BelowOne, Count, NonNegative, Section

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
    can_collapse: ClassVar[bool] = True  # else its targets, or classes, stand still: nothing looks for a collapse
    name: str = ""
    weight_average: BelowOne = 0.0

    def arguments(self) -> dict:
        """Those of the method's class."""
        return {key: value for key, value in asdict(self).items() if key != "name"}

    def check_batch(self, size: int) -> None:
        """Refuse a batch of so many images that the method cannot take.

        Raises:
            InputError: it cannot.
        """

    @classmethod
    def of_heads(cls, projector: dict | None, predictor: dict | None) -> dict:
        """Settings of the heads that were found in a file of weights, as far as they tell; see `interop.torch_state`.

        Args:
            projector, predictor: {"layers": int, "hidden": int, "output": int, "output_norm": str}; None where the file
                does not tell, and {} for a predictor that the whole network does not have.
        """
        return {}


@dataclass(frozen=True)
class HybridSettings(MethodSettings):
    """What relatives have of SimSiam's predictor (its section 6.2).

    Args:
        predictor: none, or mlp for the hybrid.
        predictor_hidden: Width of the predictor's bottleneck.
        predictor_ratio: Learning rate of the predictor over that of the encoder.
        predictor_schedule: constant, or cosine as the encoder's.
    """

    predictor: Literal["none", "mlp"] = "none"
    predictor_hidden: Count = 512
    predictor_ratio: NonNegative = 1.0
    predictor_schedule: Schedule = "constant"
