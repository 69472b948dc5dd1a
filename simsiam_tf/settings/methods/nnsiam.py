"""What can be said of NNSiam."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from simsiam_tf.errors import InputError
from simsiam_tf.settings.methods.simsiam import HeadSettings
from simsiam_tf.settings.types import Count


@dataclass(frozen=True)
class NNSiamSettings(HeadSettings):
    """NNSiam (Li et al. 2022, supplement, section 3.2).

    Args:
        queue: Projections of earlier batches among which each target's nearest neighbour is looked for; a multiple of
            the batch.
    """

    stop_gradient: ClassVar[bool] = True
    symmetric: ClassVar[bool] = True
    name: Literal["nnsiam"] = "nnsiam"
    queue: Count = 25600

    def check_batch(self, size):
        if self.queue % size:
            raise InputError(f"method.queue: {self.queue} is no multiple of a batch of {size}; give a multiple of it")
