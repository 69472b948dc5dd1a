"""The tables of a study: mean and deviation over seeds, what is as good as the best, differences from the first row."""

from __future__ import annotations

import math
from dataclasses import dataclass

from simsiam_tf.experiments.results import Results, figure
from simsiam_tf.experiments.statistics import Sample, bonferroni, difference, highlighted, welch
from simsiam_tf.experiments.study import Cell, Study

TITLES = {
    "knn_accuracy": "kNN",
    "linear_accuracy": "linear",
    "relative_std": "spread",
    "correlation_strength": "correlation",
    "effective_rank": "rank",
    "label_free.encoder.rankme": "RankMe",
    "spectrum_auc": "AUC",
    "supervised_accuracy": "supervised",
    "seconds": "s",
}


BASELINES = {"raw": "raw pixels", "untrained": "untrained encoder"}


@dataclass(frozen=True)
class Line:
    """What is known of one row.

    Args:
        samples: {column: Sample, or None where no run has that figure}.
        best: Columns in which nothing is significantly better.
        outcomes: Such as "3 finished" or "2 collapsed, 1 missing".
    """

    name: str
    samples: dict[str, Sample | None]
    paper: dict[str, str]
    best: set[str]
    outcomes: str


def lines(study: Study, cells: list[Cell], results: Results) -> list[Line]:
    """A line per row of the study; runs without a result are counted as missing.

    Raw pixels and the untrained encoder, where the runs of the first row were judged beside them, are lines, too.
    """
    found = {row.name: [results.find(cell.config) for cell in cells if cell.row == row.name] for row in study.rows}
    samples = {
        name: {column: _sample([figure(run, column) for run in runs if run]) for column in study.columns}
        for name, runs in found.items()
    }
    for key, name in BASELINES.items():
        samples[name] = {
            column: _sample([figure(run, f"{key}/{column}") for run in next(iter(found.values())) if run])
            for column in filter(_is_accuracy, study.columns)
        }
        found[name] = []
    best = {name: set() for name in found}
    for column in filter(_is_accuracy, study.columns):
        known = {name: each[column] for name, each in samples.items() if each.get(column) is not None}
        tested = any(sample.sd is not None for sample in known.values())  # single runs say nothing of chance
        for name, bold in zip(
            known, highlighted(list(known.values())) if tested else [False] * len(known), strict=True
        ):
            best[name] |= {column} if bold else set()
    papers = {row.name: row.paper for row in study.rows}
    return [
        Line(name, samples[name], papers.get(name, {}), best[name], _outcomes(runs))
        for name, runs in found.items()
        if name in papers or any(samples[name].values())
    ]


def table(study: Study, rows: list[Line]) -> tuple[list[str], list[list[str]]]:
    """Titles and text cells; what is as good as the best stands between ** and **."""
    papers = [column for column in study.columns if any(column in row.paper for row in rows)]
    header = ["", *map(title, study.columns), *(f"paper: {title(column)}" for column in papers), "runs"]
    body = [
        [
            row.name,
            *(_text(column, row.samples.get(column), column in row.best) for column in study.columns),
            *(row.paper.get(column, "") for column in papers),
            row.outcomes,
        ]
        for row in rows
    ]
    return header, body


def differences(study: Study, rows: list[Line]) -> tuple[list[str], list[list[str]]]:
    """Each row against the first, in the first column of accuracies: titles and text cells; none of single runs.

    The interval is Welch's at 95 %; p is one-sided, for the better of the two being better, times the number of rows
    (Bonferroni).
    """
    column = next(filter(_is_accuracy, study.columns), None)
    first, *others = [row for row in rows if column and row.samples.get(column) is not None] or [None]
    pairs = [(row.samples[column], first.samples[column]) for row in others]
    if all(one.sd is None or other.sd is None for one, other in pairs):
        return [], []
    p_values = [welch(*sorted(pair, key=lambda sample: -sample.mean)) for pair in pairs]
    adjusted = bonferroni(p_values)
    header = [f"{title(column)} against {first.name}", "difference", "95 % interval", f"p x {len(pairs)}", ""]
    body = []
    for row, pair, p in zip(others, pairs, adjusted.p_values, strict=True):
        found = difference(*pair)
        interval = "" if math.isnan(found.low) else f"{100 * found.low:+.1f} to {100 * found.high:+.1f}"
        p_text = "" if math.isnan(p) else f"{p:.2g}"
        body.append([row.name, f"{100 * found.mean:+.1f}", interval, p_text, found.verdict])
    return header, body


def markdown(study: Study, cells: list[Cell], results: Results) -> str:
    """Both tables, as the pages of the documentation have them."""
    rows = lines(study, cells, results)
    return "\n".join(_markdown(*each) for each in (table(study, rows), differences(study, rows)) if each[0])


def title(column: str) -> str:
    """A column's heading: accuracies name the share of the labels, if not all."""
    row, _, name = column.rpartition("/")
    name, _, fraction = name.partition("@")
    text = TITLES.get(name, name.rsplit(".", 1)[-1])
    text += f" {100 * float(fraction):g} %" if fraction else ""
    return f"{text} ({row})" if row and not name.startswith(row) else text


def _sample(values):
    finite = [value for value in values if value is not None and math.isfinite(value)]
    return Sample.of(finite) if finite else None


def _is_accuracy(column):
    return column.partition("@")[0].endswith("accuracy")


def _text(column, sample, bold):
    if sample is None:
        return "-"
    scale, digits = (100, 1) if _is_accuracy(column) else (1, 1 if sample.mean >= 10 else 2)
    text = f"{scale * sample.mean:.{digits}f}"
    text += "" if sample.sd is None else f" ± {scale * sample.sd:.{digits}f}"
    return f"**{text}**" if bold else text


def _outcomes(runs):
    kinds = [run["outcome"] if run else "missing" for run in runs]
    return ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))


def _markdown(header, body):
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [header, rule, *body]) + "\n"
