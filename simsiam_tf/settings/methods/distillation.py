"""What can be said of distillation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from simsiam_tf.settings.methods.base import MethodSettings
from simsiam_tf.settings.types import Share, setting


@dataclass(frozen=True)
class DistillationSettings(MethodSettings):
    """Distillation of a trained encoder into a smaller one (Li et al. 2022, supplement, section 2).

    Args:
        teacher: Folder of a finished run, also of `import-weights`, or .keras file of an encoder; the run keeps a copy.
            In a script, the Keras model itself.
        statistics_momentum: Share of themselves that mean and deviation of the teacher's features keep at each step.
    """

    num_views: ClassVar[int] = 1
    can_collapse: ClassVar[bool] = False
    name: Literal["distillation"] = "distillation"
    teacher: str | None = setting(None, free=True, own=True)
    statistics_momentum: Share = 0.95
