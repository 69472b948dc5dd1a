"""What tells a partial collapse: each label-free figure at the end of a run, and the spectra on the way.

    python benchmarks/partial_collapse.py          puts its tables into docs/collapse.md

The runs at the end are those of fates.py that have label-free figures. Those on the way were trained for it, with
spectra after each epoch:

    simsiam-tf sweep --config verdicts_digits --monitor.spectrum_epochs 1 --results benchmarks/results/spectra
    simsiam-tf sweep --config partial_collapse_small --data.path FOLDER_WITH_TFDS --results benchmarks/results/spectra

A figure is judged by the area under its ROC curve: the chance that it is worse in a failing run than in a healthy one
of the same data. 0.5 is no better than a coin, and below it the figure is worse in healthy runs. As a rule, its limit
is the worst that a healthy run of seed 0 has after any epoch, and the other seeds are warned of, or not.
"""

import early_warning
import forecast
import numpy as np
from fates import COLLAPSE, NAMES, PARTIAL, told_by_accuracy
from sklearn.metrics import roc_auc_score
from verdicts import PAGE, RESULTS, table, write

from simsiam_tf.evaluation.forecast import FIGURES, PARTS, changes
from simsiam_tf.evaluation.verdict import HEALTHY

SPECTRA = RESULTS.parent / "spectra"
# Whether more of a figure is worse.
WORSE = dict.fromkeys(FIGURES, -1) | {"spectrum_auc": 1, "uniformity": 1, "alignment": 1}
# Of each figure after an epoch, its name on the page, and the same.
ON_THE_WAY = {
    "features_auc": ("features: AUC of the spectrum", 1),
    "features_rank": ("features: effective rank", -1),
    "features_rankme": ("features: RankMe", -1),
    "features_nesum": ("features: NESum", -1),
    "features_uniformity": ("features: uniformity", 1),
    "features_alignment": ("features: alignment of two views", 1),
    "features_lidar": ("features: LiDAR", -1),
    "projections_auc": ("projections: AUC of the spectrum", 1),
    "feature_std": ("the monitor's spread", -1),
    "effective_rank": ("the monitor's effective rank", -1),
    "correlation_strength": ("the monitor's correlation", 1),
}
TIMES = (0.1, 0.2, 0.4, 0.6, 1.0)


def area(scores, runs, truth):
    """Area under the ROC curve of `scores`, worse is higher, of runs that became `truth` beside healthy ones."""
    pairs = [
        (run.truth == truth, score) for run, score in zip(runs, scores, strict=True) if run.truth in (truth, HEALTHY)
    ]
    failing = [each for each, _ in pairs]
    return f"{roc_auc_score(failing, [score for _, score in pairs]):.2f}" if 0 < sum(failing) < len(failing) else "-"


def by_data(runs):
    """{name of the data: its runs}"""
    return {name: [run for run in runs if run.data == name] for name in NAMES.values()}


def counted(runs, truth):
    return sum(run.truth == truth for run in runs)


def columns(groups):
    """Of each data set collapses and partial ones: their titles, and [(runs, truth)]."""
    found = [(name, some, truth) for name, some in groups.items() for truth in (COLLAPSE, PARTIAL)]
    titles = [
        f"{name}: {counted(some, truth)} {truth}s of {counted(some, truth) + counted(some, HEALTHY)}"
        for name, some, truth in found
    ]
    return titles, [(some, truth) for _, some, truth in found]


def at_the_end(runs):
    """Table: each label-free figure at the end, and the forecast, of models fitted without the data."""
    known = [run for run in runs if all(name in run.label_free.get(part, {}) for part in PARTS for name in FIGURES)]
    groups, fitted = by_data(known), forecast.read()
    models = {name: forecast.fit([run for run in fitted if run.data != name]) for name in groups}
    titles, cells = columns(groups)
    body = []
    for name in FIGURES:
        body.append(
            [
                f"`{name}`",
                *(
                    area([WORSE[name] * run.label_free["encoder"][name] for run in some], some, truth)
                    for some, truth in cells
                ),
            ]
        )
    falls = {name: [-(changes(run.label_free) @ models[name].weights) for run in some] for name, some in groups.items()}
    body.append(["the forecast", *(area(falls[some[0].data], some, truth) for some, truth in cells)])
    return table(["at the end", *titles], body)


def on_the_way(runs):
    """Table: the figures after an epoch, as far as this into the run."""
    groups = by_data([run for run in runs if all(name in run.epochs[-1] for name in ON_THE_WAY)])
    titles, cells = columns(groups)
    body = []
    for title, (some, truth) in zip(titles, cells, strict=True):
        body.append([f"**{title}**", *[""] * len(TIMES)])
        for name, (words, sign) in ON_THE_WAY.items():
            looks = [[at(run, time) for run in some] for time in TIMES]
            body.append([words, *(area_of(name, sign, each, some, truth) for each in looks)])
    return table(["after", *(f"{100 * time:.0f} %" for time in TIMES)], body)


def at(run, time):
    """The newest epoch within this share of the run; None before the first has ended."""
    return next((each for each in reversed(run.epochs) if each["epoch"] <= time * run.epochs[-1]["epoch"]), None)


def area_of(name, sign, epochs, runs, truth):
    return "-" if None in epochs else area([sign * epoch[name] for epoch in epochs], runs, truth)


def rules(runs):
    """Table: when a figure passes a limit that no healthy run of seed 0 passes on the same data, in the other seeds."""
    known = by_data([run for run in runs if all(name in run.epochs[-1] for name in ON_THE_WAY)])
    groups = {name: ([r for r in some if r.seed == 0], [r for r in some if r.seed]) for name, some in known.items()}
    body = [["healthy runs of the limits"]]
    for chosen, _ in groups.values():
        body[0] += ["", "", counted(chosen, HEALTHY)]
    for figure, (words, sign) in ON_THE_WAY.items():
        body.append([words])
        for chosen, others in groups.values():
            bad = max(max(worse(run, figure, sign)) for run in chosen if run.truth == HEALTHY)
            first = max(1 / len(run.epochs) for run in others)
            body[-1] += told(others, passing(figure, sign, bad), first)
    body.append(["the monitor: at risk, on runs that its limits were not chosen on"])
    for _, others in groups.values():
        body[-1] += told(early_warning.unseen(others), early_warning.monitor(1))
    titles = [f"{name}: {what}" for name in groups for what in ("collapses", "partial collapses", "healthy runs")]
    return table(["warned of within " + ", ".join(f"{100 * time:.0f}" for time in TIMES) + " %", *titles], body)


def passing(figure, sign, limit):
    """The rule that a figure of an epoch is beyond a limit."""

    def rule(run):
        shares = np.array([epoch["epoch"] for epoch in run.epochs]) / run.epochs[-1]["epoch"]
        return early_warning.first(shares, worse(run, figure, sign) > limit)

    return rule


def worse(run, figure, sign):
    """(epochs,): a figure, higher is worse."""
    return np.array([sign * epoch[figure] for epoch in run.epochs])


def told(runs, rule, first=0.0):
    """How many runs of each fate a rule warns of within `TIMES`, as text; "-" before what it looks at `first`."""
    texts = []
    for truth in (COLLAPSE, PARTIAL, HEALTHY):
        found, n = early_warning.warned(runs, rule, truth, TIMES)
        counts = [str(count) if time >= first else "-" for time, count in zip(TIMES, found, strict=True)]
        texts.append(f"{', '.join(counts)} of {n}")
    return texts


if __name__ == "__main__":
    contents = {
        "partial at the end": at_the_end(told_by_accuracy()),
        "partial on the way": on_the_way(told_by_accuracy(SPECTRA)),
        "partial rules": rules(told_by_accuracy(SPECTRA)),
    }
    PAGE.write_text(write(PAGE.read_text(), contents))
