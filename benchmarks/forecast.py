"""Fits the forecast of the linear probe's accuracy to the committed runs, and tries it on what it never saw.

    python benchmarks/forecast.py          writes simsiam_tf/evaluation/forecast.json, docs/images/forecast.png, and its
                                           tables into docs/collapse.md

Ridge regression (scikit-learn) of the accuracy on the changes of the label-free figures, each data set weighing as much
as the others. For each data set, and for each method, a model is fitted to all other runs and tried on these. Its
penalty is chosen, and its interval is made, by leaving out one data set after the other among those of the fit. Methods
whose targets stand still, for which the commands give no forecast, are in no fit, and tried.
"""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt
from scipy.stats import spearmanr
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from verdicts import table, write

from simsiam_tf.evaluation.forecast import FIGURES, PARTS, SHIPPED, Model, changes, level
from simsiam_tf.evaluation.verdict import HEALTHY
from simsiam_tf.settings.methods import METHODS

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "cells"
PAGE = ROOT / "docs" / "collapse.md"
DATA = {"cifar10": "CIFAR-10", "digits": "digits", "folder": "photographs"}
PENALTIES = (1.0, 10.0, 100.0, 1000.0)
COVERAGE = 0.9
FEWEST = 4  # runs of a method that is held out


@dataclass(frozen=True)
class Run:
    """`inputs` are what the accuracy is forecast from, (k,)."""

    data: str
    method: str
    accuracy: float
    label_free: dict
    inputs: np.ndarray
    healthy: bool = True


def read():
    """All committed runs that have a linear probe with all labels, and every figure.

    Of a training that was evaluated in several ways, that of the longest probe.
    """
    found = {}
    for path in sorted(RESULTS.glob("*.json")):
        result = json.loads(path.read_bytes())
        c, figures = result["configuration"], result["figures"]
        known = figures.get("label_free", {})
        if "linear_accuracy" in figures and all(name in known.get(part, {}) for part in PARTS for name in FIGURES):
            data, probe = DATA[c["data.name"] or c["data.source"]], c["evaluation.linear_epochs"]
            healthy = result["outcome"] == HEALTHY
            run = Run(data, c["method.name"], figures["linear_accuracy"], known, changes(known), healthy)
            found.setdefault(json.dumps(known), {})[probe] = run
    return [by_probe[max(by_probe)] for by_probe in found.values()]


def single(name):
    """Makes of a run one that is forecast from this figure alone: that of its encoder, and how it has changed."""
    place = FIGURES.index(name)
    return lambda run: replace(
        run, inputs=np.array([level(name, run.label_free["encoder"][name]), changes(run.label_free)[place]])
    )


# What else could be said: always the same, or by one figure.
OTHERS = {"a constant": lambda run: replace(run, inputs=np.zeros(1))} | {f"`{name}`": single(name) for name in FIGURES}


def fit(runs):
    """The model of these runs, less those that are taught."""
    runs = [run for run in runs if untaught(run)]
    penalty = min(PENALTIES, key=lambda each: left_out(runs, each)[0])
    mean_error, half_width = left_out(runs, penalty)
    slopes, intercept = regression(runs, penalty)
    x = np.array([run.inputs for run in runs])
    return Model(
        weights=tuple(slopes.tolist()),
        intercept=intercept,
        lowest=tuple(x.min(axis=0).tolist()),
        highest=tuple(x.max(axis=0).tolist()),
        half_width=half_width,
        mean_error=mean_error,
        runs=len(runs),
    )


def untaught(run):
    """Whether the commands have a forecast for its method."""
    return METHODS[run.method].can_collapse


def regression(runs, penalty):
    """Slopes (k,) of the inputs as they are, and the intercept."""
    scaler, ridge = pipeline = make_pipeline(StandardScaler(), Ridge(penalty))
    shares = weights(runs)
    x, y = np.array([run.inputs for run in runs]), np.array([run.accuracy for run in runs])
    pipeline.fit(x, y, standardscaler__sample_weight=shares, ridge__sample_weight=shares)
    slopes = ridge.coef_ / scaler.scale_
    return slopes, float(ridge.intercept_ - slopes @ scaler.mean_)


def left_out(runs, penalty):
    """Mean absolute error on each data set of a regression to the others, and what 90 % of these errors are below.

    Of runs on one data set alone each method is left out instead.
    """
    errors = np.zeros(len(runs))
    key = "data" if len({run.data for run in runs}) > 1 else "method"
    for name in {getattr(run, key) for run in runs}:
        slopes, intercept = regression([run for run in runs if getattr(run, key) != name], penalty)
        for i, run in enumerate(runs):
            if getattr(run, key) == name:
                errors[i] = abs(intercept + slopes @ run.inputs - run.accuracy)
    shares, order = weights(runs), np.argsort(errors)
    reached = np.searchsorted(np.cumsum(shares[order]) / len(runs), COVERAGE)
    return float(np.mean(shares * errors)), float(errors[order[min(reached, len(runs) - 1)]])


def weights(runs):
    """Each data set has as much of them as any other; their mean is 1."""
    names = [run.data for run in runs]
    return np.array([len(runs) / (len(set(names)) * names.count(name)) for name in names])


@dataclass(frozen=True)
class Trial:
    """What a model, fitted without them, says of some runs: accuracies forecast, measured, and in the interval."""

    name: str
    runs: list[Run]
    found: np.ndarray
    half_width: float
    inside: np.ndarray

    @property
    def measured(self):
        return np.array([run.accuracy for run in self.runs])

    @property
    def errors(self):
        return np.abs(self.found - self.measured)

    @property
    def error(self):
        return float(np.mean(self.errors))

    def order(self, some=slice(None)):
        """Spearman's rank correlation of forecasts and accuracies, of some of the runs; NaN where it is none."""
        found, measured = self.found[some], self.measured[some]
        return float(spearmanr(found, measured)[0]) if len(found) > 2 and np.ptp(found) > 0 else float("nan")


def trials(runs, key):
    """Each group of runs with the same `key`, data or method, held out."""
    for name in dict.fromkeys(getattr(run, key) for run in runs):
        some = [run for run in runs if getattr(run, key) == name and (key == "method" or untaught(run))]
        if len(some) < FEWEST:
            continue
        model = fit([run for run in runs if getattr(run, key) != name])
        x = np.array([run.inputs for run in some])
        inside = ((model.lowest <= x) & (x <= model.highest)).all(axis=1)
        found = np.clip(model.intercept + x @ model.weights, 0, 1)
        yield Trial(name, some, found, model.half_width, inside)


def errors_table(runs, key):
    """Errors in points of the forecast, and of what else could be said, on each group that is held out."""
    found = list(trials(runs, key))
    header = ["held out", *(f"{each.name} ({len(each.runs)} runs)" for each in found)]
    body = [["**forecast**", *(f"**{cell(each)}**" for each in found)]]
    for name, reduced in OTHERS.items():
        body.append([name, *map(cell, trials([reduced(run) for run in runs], key))])
    if key == "method":
        body.append(["median of the others on the same data", *(of_the_data(runs, each) for each in found)])
    orders = [(each, [run.healthy for run in each.runs]) for each in found]
    orders = [each.order(some) for each, some in orders]
    body.append(["its correlation, healthy runs alone", *("-" if np.isnan(each) else f"{each:.2f}" for each in orders)])
    body.append(["within the range of the fit", *(f"{each.inside.sum()} runs" for each in found)])
    body.append(["error of the forecast there", *(f"{100 * each.errors[each.inside].mean():.1f}" for each in found)])
    body.append(["their 90 % intervals", *(f"± {100 * each.half_width:.0f} points" for each in found)])
    body.append(["which held the accuracy of", *(covered(each, each.half_width) for each in found)])
    if key == "data":
        width = fit(runs).half_width
        title = f"the shipped interval, ± {100 * width:.0f} points, would have held"
        body.append([title, *(covered(each, width) for each in found)])
    return table(header, body)


def of_the_data(runs, trial):
    """Mean error of the median accuracy of all other methods' runs on a run's data, which a forecast has to beat."""
    known = {
        data: [run.accuracy for run in runs if run.data == data and run.method != trial.name]
        for data in {run.data for run in trial.runs}
    }
    if not all(known.values()):
        return "-"
    return f"{100 * np.mean([abs(np.median(known[run.data]) - run.accuracy) for run in trial.runs]):.1f}"


def cell(trial):
    return f"{100 * trial.error:.1f}" + ("" if np.isnan(trial.order()) else f" ({trial.order():.2f})")


def covered(trial, half_width):
    """The share of the runs for which there is a forecast that such an interval holds."""
    held = trial.errors[trial.inside] <= half_width
    return f"{100 * held.mean():.0f} %" if len(held) else "-"


def draw(runs, path):
    """Forecast and measured accuracy of every run, its data set or its method held out; hollow: out of the range."""
    figure, axes = plt.subplots(1, 2, figsize=(12, 5.5), sharex=True, sharey=True, layout="constrained")
    for axis, key in zip(axes, ("data", "method"), strict=True):
        marks = {}
        for index, trial in enumerate(trials(runs, key)):
            colour = marks[trial.name] = f"C{index}"
            for within in (True, False):
                rows = trial.inside == within
                fill = {"color": colour} if within else {"facecolors": "none", "edgecolors": colour}
                axis.scatter(100 * trial.measured[rows], 100 * trial.found[rows], s=14, alpha=0.6, **fill)
        axis.plot([0, 100], [0, 100], color="black", linewidth=1)
        axis.set(title=f"{key if key == 'method' else 'data set'} held out of the fit", xlabel="measured, %")
        axis.grid(alpha=0.25)
        shown = {name: {"color": colour} for name, colour in marks.items()}
        shown["out of the fit's range"] = {"color": "black", "markerfacecolor": "none"}
        handles = [plt.Line2D([], [], marker="o", linestyle="", **each) for each in shown.values()]
        axis.legend(handles, shown, loc="lower right", fontsize="small")
    axes[0].set_ylabel("forecast linear accuracy, %")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    everything = read()
    fitted = fit(everything)
    contents = {f"forecast by {key}": errors_table(everything, key) for key in ("data", "method")}
    SHIPPED.write_text(json.dumps({"model": asdict(fitted), "figures": FIGURES, "tables": contents}, indent=1) + "\n")
    PAGE.write_text(write(PAGE.read_text(), contents))
    draw(everything, PAGE.parent / "images" / "forecast.png")
