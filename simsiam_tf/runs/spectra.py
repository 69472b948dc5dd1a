"""Pictures of singular spectra: of several encoders side by side, and of one over its training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from simsiam_tf.atomic import replacing
from simsiam_tf.callbacks.spectra import KINDS
from simsiam_tf.evaluation.spectrum import explained

LEAST = 1e-7  # of the largest singular value: below lies rounding


def draw_spectra(path: Path, lines: dict[str, list[tuple]]) -> None:
    """Write the picture of `spectra`."""
    with replacing(path) as partial:
        spectra(lines).savefig(partial, dpi=100, format="png")


def spectra(lines: dict[str, list[tuple]]) -> Figure:
    """A row for each kind of output: the singular values by rank, and the share that the first of them explain.

    Args:
        lines: {kind: [(label, singular values (d,), options of matplotlib's plot)]}; kinds without lines are left out.
    """
    kinds = {kind: drawn for kind, drawn in lines.items() if drawn}
    figure = Figure(figsize=(12, 4.2 * len(kinds)), layout="constrained")
    axes = figure.subplots(len(kinds), 2, squeeze=False)
    for (left, right), (kind, drawn) in zip(axes, kinds.items(), strict=True):
        for label, values, options in drawn:
            ranks, shares = np.arange(1, len(values) + 1), explained(values)
            left.plot(ranks, _relative(values), **options)
            right.plot(ranks / len(values), shares, label=f"{label}: AUC {shares.mean():.3f}", **options)
        right.plot([0, 1], [0, 1], color="black", linestyle=":", linewidth=1, label="flat spectrum: AUC 0.5")
        left.set(title=f"singular values of {kind}", xlabel="rank", ylabel="share of the largest", yscale="log")
        right.set(title=f"explained by the first of them, {kind}", xlabel="rank, share of d", ylabel="share of the sum")
        right.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        right.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        right.legend(frameon=False, fontsize="small", loc="lower right", bbox_to_anchor=(1, 0.04))
        for axis in (left, right):
            axis.grid(alpha=0.25)
            axis.spines[["top", "right"]].set_visible(False)
    return figure


def _relative(values):
    """Of the largest; nothing is drawn of what is zero but for rounding."""
    return np.where(values > LEAST * values[0], values / max(values[0], 1e-300), np.nan)


def of_diagnoses(diagnoses) -> dict[str, list[tuple]]:
    """The lines of several encoders, a colour each, the later the thinner, so that those beneath are seen.

    Dashed are those of the encoders as they began: a gray one, where all began as the same.
    """
    lines, widths = {kind: [] for kind in KINDS}, np.linspace(3, 1.2, len(diagnoses))
    for kind in KINDS:
        key = "untrained" if kind == "features" else f"untrained {kind}"
        began = [each.parts[key].singular_values for each in diagnoses if key in each.parts]
        alike = len(began) > 1 and all(np.array_equal(began[0], each) for each in began)
        if alike:
            lines[kind].append(("untrained", began[0], {"color": "gray", "linestyle": "--"}))
        for index, each in enumerate(diagnoses):
            colour = {"color": f"C{index % 10}"}
            if kind in each.parts:
                lines[kind].append((each.name, each.parts[kind].singular_values, colour | {"linewidth": widths[index]}))
            if key in each.parts and not alike:
                dashed = colour | {"linestyle": "--", "linewidth": 1}
                lines[kind].append((f"{each.name}, untrained", each.parts[key].singular_values, dashed))
    return lines


def over_training(looks: list[dict]) -> dict[str, list[tuple]]:
    """The lines of one run, from dark to bright, at most ten of its looks, as SpectrumMonitor holds them."""
    some = [looks[i] for i in np.unique(np.linspace(0, len(looks) - 1, 10).astype(int))]
    coloured = list(zip(some, colormaps["viridis"](np.linspace(0, 0.9, len(some))), strict=True))
    return {
        kind: [(f"step {look['step']}", look[kind], {"color": colour}) for look, colour in coloured] for kind in KINDS
    }
