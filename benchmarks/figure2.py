"""Draws SimSiam's figure 2 from the results of its small twin: loss, spread and kNN with and without stop-gradient.

simsiam-tf sweep --config stop_gradient_small --data.path FOLDER_WITH_TFDS --jobs 2 --results benchmarks/results/cells
python benchmarks/figure2.py docs/images/stop_gradient.png
"""

import math
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from simsiam_tf.cli.sweep import parser
from simsiam_tf.experiments.results import Results
from simsiam_tf.experiments.study import Study
from simsiam_tf.settings import yaml_files

RESULTS = Path(__file__).parent / "results" / "cells"
PANELS = {"loss": "loss", "feature_std": "std of z/|z|", "knn_accuracy": "kNN accuracy on test images"}
COLORS = {"with stop-gradient": "tab:blue", "without stop-gradient": "tab:red"}


def curves(study, results):
    """{row: {figure: (seeds, epochs)}} of the runs that there are; the width d of the projections."""
    found, width = {}, None
    for cell in study.cells(parser, [])[1]:
        run = results.find(cell.config)
        width = cell.config.method.projection_dim
        for key in PANELS if run else ():
            values = [row.get(key, math.nan) for row in run["epochs"]]
            found.setdefault(cell.row, {}).setdefault(key, []).append(values)
    return {row: {key: np.array(values) for key, values in each.items()} for row, each in found.items()}, width


def draw(found, width, path):
    """One panel a figure, saved; lines are means over seeds, bands one standard deviation."""
    figure = Figure(figsize=(11, 3.2), layout="constrained")
    axes = figure.subplots(1, len(PANELS))
    for axis, (key, title) in zip(axes, PANELS.items(), strict=True):
        for row, each in found.items():
            values = each[key]
            epochs, mean, sd = np.arange(1, values.shape[1] + 1), values.mean(axis=0), values.std(axis=0, ddof=1)
            axis.plot(epochs, mean, marker=".", color=COLORS[row], label=f"{row}, {len(values)} seeds")
            axis.fill_between(epochs, mean - sd, mean + sd, color=COLORS[row], alpha=0.2, linewidth=0)
        if key == "feature_std":
            axis.axhline(1 / math.sqrt(width), color="gray", linestyle=":", label="1/sqrt(d)")
        axis.set(title=title, xlabel="epoch")
        axis.grid(alpha=0.3)
    axes[1].legend(frameon=False)
    figure.savefig(path, dpi=110)
    return figure


if __name__ == "__main__":
    draw(*curves(Study.read(yaml_files.find("stop_gradient_small", "studies")), Results(RESULTS)), sys.argv[1])
