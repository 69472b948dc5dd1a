"""curves.png: a run at a glance, with the limits that its verdict goes by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from simsiam_tf.atomic import replacing
from simsiam_tf.evaluation.verdict import CORRELATION, EFFECTIVE_RANK, GRACE, RELATIVE_STD

AT_RISK, COLLAPSED = "tab:orange", "tab:red"
ACCURACIES = {"knn_accuracy": "kNN", "val_probe_accuracy": "linear probe", "val_accuracy": "classifier"}
# Title, axis and limits (at risk, collapsed) of the figures of each look.
LOOKS = {
    "relative_std": ("spread", "std of z/|z|, share of 1/√d", RELATIVE_STD),
    "correlation_strength": ("correlation of channels", "mean |correlation|", CORRELATION),
    "effective_rank": ("effective rank", "of {channels} channels", EFFECTIVE_RANK),
}


def draw_curves(path: Path, *args, **options) -> None:
    """Write the picture of `curves`."""
    with replacing(path) as partial:
        curves(*args, **options).savefig(partial, dpi=100)


def curves(rows: list[dict], looks: list[dict], steps_per_epoch: int, untrained: float | None = None) -> Figure:
    """Loss, accuracy and learning rate over epochs, and what the looks for collapse saw; without data, no panel.

    Args:
        rows: A dict of figures per epoch, as RunRecord holds them.
        looks: As CollapseMonitor holds them.
        untrained: kNN accuracy of the untrained encoder, of the same k, bank and queries as that of the rows.
    """
    training, looked = [], []
    if rows:
        training = [(_loss, rows, steps_per_epoch), (_rates, rows)]
    if any(key in row for row in rows for key in ACCURACIES):
        training.insert(1, (_accuracy, rows, steps_per_epoch, untrained))
    if looks:
        looked = [(_look, key, looks, steps_per_epoch) for key in LOOKS]
    bands = [panels for panels in (training, looked) if panels]
    figure = Figure(figsize=(12, 3.4 * len(bands)), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)
    end = max(row["step"] for row in [*rows[-1:], *looks[-1:]]) / steps_per_epoch
    for part, panels in zip(figure.subfigures(len(bands), 1, squeeze=False)[:, 0], bands, strict=True):
        for axis, (draw, *values) in zip(part.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            draw(axis, *values)
            axis.set_xlim(0, end * 1.02)
            axis.set_xlabel(f"epoch (of {steps_per_epoch} steps)")
            axis.xaxis.set_major_locator(MaxNLocator(8, integer=True, steps=[1, 2, 5, 10]))
            axis.grid(alpha=0.25)
            axis.spines[["top", "right"]].set_visible(False)
    return figure


def _line(axis: Axes, x, y, **options):
    axis.plot(x, y, marker="." if len(x) <= 50 else None, **options)


def _loss(axis: Axes, rows, steps_per_epoch):
    epochs = [row["step"] / steps_per_epoch for row in rows]
    loss, std = ([row.get(key, float("nan")) for row in rows] for key in ("loss", "loss_std"))
    _line(axis, epochs, loss)
    low, high = ([a + sign * b for a, b in zip(loss, std, strict=True)] for sign in (-1, 1))
    axis.fill_between(epochs, low, high, alpha=0.25, linewidth=0)
    axis.set(title="loss", ylabel="mean ± std over an epoch's steps")


def _rates(axis: Axes, rows):
    """Over epochs done when the rate was read: at the beginning of each."""
    keys = dict.fromkeys(key for row in rows for key in row if key.endswith("learning_rate"))
    for key in keys:
        points = [(row["epoch"] - 1, row[key]) for row in rows if key in row]
        _line(axis, *zip(*points, strict=True), label=key.removesuffix("learning_rate").strip("_") or "encoder")
    axis.set(title="learning rate", ylabel="at the epoch's beginning")
    axis.set_ylim(bottom=0)
    if len(keys) > 1:
        axis.legend(frameon=False)


def _accuracy(axis: Axes, rows, steps_per_epoch, untrained):
    for key, label in ACCURACIES.items():
        points = [(row["step"] / steps_per_epoch, row[key]) for row in rows if key in row]
        if points:
            _line(axis, *zip(*points, strict=True), label=label)
    if untrained is not None:
        axis.axhline(untrained, color="black", linestyle="--", label="kNN, untrained encoder")
    held_out = any("val_accuracy" in row for row in rows)
    axis.set(title=f"accuracy on {'held-out labels' if held_out else 'test images'}", ylabel="accuracy")
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.legend(frameon=False, fontsize="small")


def _look(axis: Axes, key, looks, steps_per_epoch):
    """One figure of all looks, and its limits: the zones beyond them are shaded from where looks count."""
    title, label, (at_risk, collapsed) = LOOKS[key]
    values = [look[key] for look in looks]
    _line(axis, [look["step"] / steps_per_epoch for look in looks], values)
    if key == "relative_std":
        axis.axhline(1, color="black", linestyle="--")
        axis.annotate("ideal", (1, 1), xycoords=("axes fraction", "data"), va="bottom", ha="right", fontsize="small")
    if key == "effective_rank":
        axis.set_yscale("log")
        axis.yaxis.set_major_formatter("{x:g}")
        axis.set_ylim(1, 1.5 * np.nanmax([10, *values]))
    else:
        axis.set_ylim(0, 1.1 * np.nanmax([1, *values]))
    low, high = axis.get_ylim()
    worst = high if collapsed > at_risk else low
    counted, last = GRACE / steps_per_epoch, 2 * looks[-1]["step"] / steps_per_epoch
    for start, end, color, name in [
        (at_risk, collapsed, AT_RISK, "at risk"),
        (collapsed, worst, COLLAPSED, "collapsed"),
    ]:
        axis.fill_between([counted, last], start, end, color=color, alpha=0.12, linewidth=0)
        axis.axhline(start, color=color, linewidth=1)
        middle = (start * end) ** 0.5 if axis.get_yscale() == "log" else (start + end) / 2
        options = {"xycoords": ("axes fraction", "data"), "ha": "right", "fontsize": "small"}
        axis.annotate(name, (1, middle), va="center", color=color, **options)
    axis.set(title=title, ylabel=label.format(channels=looks[-1]["channels"]))
