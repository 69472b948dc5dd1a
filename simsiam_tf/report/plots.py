"""The report's charts, as SVG that takes the colour of the page's text."""

from __future__ import annotations

import io
import itertools
import math
import re

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter, PercentFormatter

from simsiam_tf.callbacks.knn import NEIGHBORS, TEMPERATURE
from simsiam_tf.report.grouping import Group
from simsiam_tf.runs.curves import LOOKS

INK = "#123456"  # stands for the colour of the text until the SVG is written
# Seen on white and on black, and none of them gray: that is for what is not trained.
PALETTE = ["#4c86c6", "#e08a2e", "#4ca64c", "#d0554f", "#9a76c4", "#a5765f"]
PALETTE += ["#d585bd", "#a6a639", "#3fb0bd", "#b83280", "#2a9178", "#5b5bd6"]
STYLE = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    **dict.fromkeys(
        ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color", "grid.color"), INK
    ),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.15,
    "legend.frameon": False,
    "axes.prop_cycle": mpl.cycler(color=PALETTE),
}
# Key of an epoch or a look: title, axis, the limits "at risk" and "collapsed".
CURVES = {
    "loss": ("loss", "", None),
    "knn_accuracy": ("kNN of the monitor", "accuracy on test images", None),
    "val_accuracy": ("accuracy on held-out labels", "", None),
    **LOOKS,
}
LEAST = {"loss": -np.inf, "effective_rank": 1.0}  # no band goes below what a figure can be; else below 0
MONITOR = {"evaluation.neighbors": NEIGHBORS, "evaluation.temperature": TEMPERATURE}  # where the setting is auto
MOST_CLASSES = 40
_marks = itertools.count()


def colours(groups: list[Group]) -> dict[str, str]:
    """{name: colour}, the same in all charts; of no more groups than there are colours."""
    return {group.name: colour for group, colour in zip(groups, PALETTE, strict=False)}


def curves(groups: list[Group]) -> dict[str, str]:
    """{key: SVG} of what changes while runs are trained: the mean over seeds, and a band of one deviation."""
    of_group = colours(groups)
    found = {}
    for key, (title, axis, limits) in CURVES.items():
        lines = [(group.name, *_over_seeds(group, key)) for group in groups[: len(PALETTE)]]
        lines = [line for line in lines if len(line[1])]
        if lines:
            axis = axis.format(channels=_channels(groups))
            found[key] = _curve(key, title, axis, limits, lines, of_group)
    return found


def monitored(groups: list[Group]) -> str | None:
    """How the kNN accuracies over epochs were measured, which may be another way than that of the tables."""
    found = [
        record.result["configuration"]
        for group in groups
        for record in group.records
        if any("knn_accuracy" in row for row in record.result["epochs"])
    ]
    if not found:
        return None
    k, t = (
        " or ".join(dict.fromkeys(f"{own if each.get(key, 'auto') == 'auto' else each[key]:g}" for each in found))
        for key, own in MONITOR.items()
    )
    banks = " or ".join(dict.fromkeys(f"{each['monitor.knn_bank']:,}" for each in found if "monitor.knn_bank" in each))
    text = f"The monitor's kNN has k = {k}, T = {t}" + (f" and at most {banks} training images" if banks else "")
    auto = any("auto" in (each.get(key, "auto") for key in MONITOR) for each in found)
    return f"{text}; that of the tables chooses k and T and has all of them." if auto else f"{text}."


def _channels(groups):
    """Of the projections; nothing where groups differ."""
    looks = [look for group in groups for record in group.records for look in record.result.get("looks", ())[:1]]
    counts = {f"{look['channels']:g}" for look in looks if "channels" in look}
    return counts.pop() if len(counts) == 1 else "the"


def _over_seeds(group, key):
    """(x, mean, sd or None) of the seeds, at the points that all of them have; x in epochs."""
    points = [_points(record.result, key) for record in group.records]
    shared = sorted(set.intersection(*(set(each) for each in points))) if points else []
    values = np.array([[each[x] for x in shared] for each in points])
    deviation = values.std(axis=0, ddof=1) if len(values) > 1 else None
    return np.array(shared), values.mean(axis=0) if shared else values, deviation


def _points(result, key):
    epochs = result["epochs"]
    if key not in LOOKS or not epochs:
        return {row["epoch"]: row[key] for row in epochs if key in row}
    steps = epochs[-1]["step"] / epochs[-1]["epoch"]
    return {look["step"] / steps: look[key] for look in result.get("looks", ()) if key in look}


def _curve(key, title, label, limits, lines, of_group):
    with mpl.rc_context(STYLE):
        figure, axis = empty(5.2, 3.0 + 0.09 * len(lines))
        for name, x, mean, deviation in lines:
            (line,) = axis.plot(x, mean, marker="." if len(x) <= 20 else None, label=name, color=of_group[name])
            if deviation is not None:
                low = np.maximum(mean - deviation, LEAST.get(key, 0.0))
                axis.fill_between(x, low, mean + deviation, color=line.get_color(), alpha=0.2, linewidth=0)
        for limit, color, name in zip(limits or (), ("#e08a2e", "#d0554f"), ("at risk", "collapsed"), strict=False):
            axis.axhline(limit, color=color, linestyle="--", linewidth=1)
            axis.annotate(name, (1, limit), xycoords=("axes fraction", "data"), ha="right", va="bottom", color=color)
        if key == "effective_rank":
            axis.set_yscale("log")
            axis.yaxis.set_major_formatter("{x:g}")
            axis.yaxis.set_minor_formatter(NullFormatter())
        if key.endswith("accuracy"):
            axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axis.set(title=title, xlabel="epoch", ylabel=label)
        axis.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        if len(lines) > 1:
            legend(figure, [line[0] for line in lines])
        ends = "; ".join(f"{name} ends at {mean[-1]:.3g}" for name, _, mean, _ in lines)
        return svg(figure, f"{title} over epochs: {ends}")


def legend(figure: Figure, names: list[str]) -> None:
    """Below the chart."""
    columns = 2 if max(map(len, names)) > 24 else 3
    figure.legend(loc="outside lower center", ncols=columns, fontsize=7)


def spectrum(values: dict[str, np.ndarray]) -> str:
    """Singular values of the features, as shares of the largest, by their rank."""
    with mpl.rc_context(STYLE):
        figure, axis = empty(5.2, 3.0)
        for name, each in values.items():
            shares = np.maximum(np.asarray(each) / max(each[0], 1e-300), 1e-8)
            axis.plot(np.arange(1, len(shares) + 1), shares, label=name)
        axis.set(
            xscale="log", yscale="log", title="singular values of features", xlabel="rank", ylabel="share of largest"
        )
        axis.legend(fontsize=7)
        return svg(figure, f"singular values of the features of {' and '.join(values)}, by rank")


def confusion(counts: np.ndarray, names: list[str], by: str = "kNN") -> str:
    """Counts (k, k): rows are true classes, columns those that kNN, or whatever `by` is, gives."""
    with mpl.rc_context(STYLE):
        few = len(names) <= MOST_CLASSES
        side = 1.6 + 0.34 * min(len(names), 20)
        figure, axis = empty(side, side)
        axis.grid(False)
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        axis.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="none")
        if len(names) <= 20:
            for row, column in np.ndindex(counts.shape):
                colour = "white" if shares[row, column] > 0.5 else "black"
                axis.text(column, row, counts[row, column], ha="center", va="center", color=colour, fontsize=7)
        axis.set_xticks(range(len(names)) if few else [], names if few else [], rotation=90)
        axis.set_yticks(range(len(names)) if few else [], names if few else [])
        axis.set(xlabel=f"{by} says", ylabel="is")
        right = np.trace(counts) / max(1, counts.sum())
        return svg(figure, f"confusion matrix of {by} over {len(names)} classes, {100 * right:.1f} % right")


def empty(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure with one chart, of so many inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def svg(figure: Figure, said: str) -> str:
    """The figure as an SVG element whose ids are its own, with what it shows in words."""
    with mpl.rc_context({"svg.hashsalt": f"figure {next(_marks)}"}):
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    element = text.getvalue()
    element = element[element.index("<svg") :].replace(INK, "currentColor")
    element = re.sub(r"<metadata>.*?</metadata>", "", element, flags=re.DOTALL)
    element = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", element, count=1)
    widest = f'style="max-width:{math.ceil(figure.get_figwidth() * 96)}px"'
    element = re.sub(r'(<svg[^>]*?) width="[^"]*"', rf"\1 {widest}", element, count=1)
    said = said.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return element.replace("<svg", f'<svg role="img" aria-label="{said}"', 1)
