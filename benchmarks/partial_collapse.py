"""What tells a partial collapse: each label-free figure at the end of a run.

    python benchmarks/partial_collapse.py          puts its table into docs/collapse.md

The runs are those of fates.py that have label-free figures. A figure is judged by the area under its ROC curve: the
chance that it is worse in a failing run than in a healthy one of the same data. 0.5 is no better than a coin, and below
it the figure is worse in healthy runs.
"""

import forecast
from fates import COLLAPSE, NAMES, PARTIAL, told_by_accuracy
from sklearn.metrics import roc_auc_score
from verdicts import PAGE, table, write

from simsiam_tf.evaluation.forecast import FIGURES, PARTS, changes
from simsiam_tf.evaluation.verdict import HEALTHY

# Whether more of a figure is worse.
WORSE = dict.fromkeys(FIGURES, -1) | {"spectrum_auc": 1, "uniformity": 1, "alignment": 1}


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


if __name__ == "__main__":
    contents = {"partial at the end": at_the_end(told_by_accuracy())}
    PAGE.write_text(write(PAGE.read_text(), contents))
