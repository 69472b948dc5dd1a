"""The linear probe's accuracy, forecast without labels from how training has changed the label-free figures.

Li, Efros & Pathak 2022 report that their measure forecasts accuracy; neither their regression nor its coefficients are
published. This one is our own: ridge regression on this project's runs, made by `benchmarks/forecast.py`, which also
measures its errors on data sets and methods that it never saw: docs/collapse.md.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

# Of `label_free_figures`; those that count something by their logarithm.
COUNTS = ("rankme", "effective_rank", "nesum", "lidar")
FIGURES = (*COUNTS, "spectrum_auc", "uniformity", "alignment")
PARTS = ("encoder", "untrained")
SHIPPED = Path(__file__).with_name("forecast.json")


@dataclass(frozen=True)
class Model:
    """A linear model of the changes of `FIGURES`, (k,), and what it is known to be good for.

    Args:
        weights: (k,), for each change as it is.
        intercept: Of the accuracy.
        lowest, highest: (k,), the changes of the runs that it was fitted to.
        half_width: Of the interval that held 90 % of the runs of data sets left out of the fit.
        mean_error: The mean absolute error there.
        runs: How many it was fitted to.
    """

    weights: tuple[float, ...]
    intercept: float
    lowest: tuple[float, ...]
    highest: tuple[float, ...]
    half_width: float
    mean_error: float
    runs: int

    def forecast(self, label_free: dict) -> dict:
        """What the accuracy will be, in [0, 1].

        Args:
            label_free: {"encoder", "untrained": figures}, as `runs.label_free` has them.

        Returns:
            {"linear_accuracy", "low", "high", "mean_error"}, low and high of an interval meant for 90 %; or, where the
            fit knows nothing of the like, {"outside": which figure, and the range that is known}.
        """
        missing = [name for name in FIGURES if not all(name in label_free.get(part, {}) for part in PARTS)]
        if missing:
            return {"outside": f"{missing[0]} is not known"}
        found = changes(label_free)
        for name, value, low, high in zip(FIGURES, found, self.lowest, self.highest, strict=True):
            if not low <= value <= high:
                kind = "log " if name in COUNTS else ""
                words = f"{kind}{name} has changed by {value:+.3g}, in the runs of the fit by {low:+.3g} to {high:+.3g}"
                return {"outside": words}
        accuracy = _share(self.intercept + float(np.dot(self.weights, found)))
        low, high = accuracy - self.half_width, accuracy + self.half_width
        return {"linear_accuracy": accuracy, "low": _share(low), "high": _share(high), "mean_error": self.mean_error}


def changes(label_free: dict) -> np.ndarray:
    """(k,): each of `FIGURES` of the trained encoder minus that of the untrained one, see `level`."""
    rows = [[level(name, label_free[part][name]) for name in FIGURES] for part in PARTS]
    return np.subtract(*np.array(rows, np.float64))


def level(name, value):
    """A figure as it is compared: of a count the logarithm, below 1, where nothing varies, that of 1."""
    return np.log(max(value, 1.0)) if name in COUNTS else value


@cache
def shipped() -> Model:
    """The model that comes with the package."""
    content = json.loads(SHIPPED.read_bytes())["model"]
    return Model(**{key: tuple(value) if isinstance(value, list) else value for key, value in content.items()})


def sentence(found: dict) -> str:
    """A forecast in words."""
    if "outside" in found:
        return f"no forecast of the linear probe: {found['outside']}"
    accuracy, low, high, error = (100 * found[key] for key in ("linear_accuracy", "low", "high", "mean_error"))
    return (
        f"forecast of the linear probe, without labels: {accuracy:.0f} % ({low:.0f} to {high:.0f} % is meant to hold "
        f"in 9 of 10 cases; on pictures that it never saw it was off by {error:.0f} points on average)"
    )


def _share(value):
    return float(min(max(value, 0.0), 1.0))
