"""What can be said of SimSiam as alternating optimization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from simsiam_tf.settings.methods.simsiam import HeadSettings
from simsiam_tf.settings.types import Count, Natural, Share


@dataclass(frozen=True)
class AlternatingSettings(HeadSettings):
    """SimSiam as alternating optimization over the network and each image's target eta (section 5).

    Args:
        target: snapshot (what the network made of the other view, `every` steps ago at most) or bank (a moving average
            for each image; of one view, asymmetric).
        every: Steps towards the same snapshot; 1 is SimSiam, null an epoch.
        target_samples: Further views of each image whose mean is eta (equation 9); 0: one other view.
        bank_momentum: Share of itself that an image's eta keeps at each visit.
        bank_dtype: float32, or float16 for half of the memory.
    """

    name: Literal["alternating"] = "alternating"
    target: Literal["snapshot", "bank"] = "snapshot"
    every: Count | None = 1
    target_samples: Natural = 0
    bank_momentum: Share = 0.8
    bank_dtype: Literal["float32", "float16"] = "float32"

    @property
    def num_views(self):
        """Those that are predicted, then those that are targets only."""
        return 2 + self.target_samples if self.target == "snapshot" else 1 + max(1, self.target_samples)
