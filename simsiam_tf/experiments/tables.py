"""The tables of a study: mean and deviation over seeds, what is as good as the best, differences from the first row."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from simsiam_tf.experiments.results import Results, figure, shown_outcome
from simsiam_tf.experiments.statistics import Sample, bonferroni, difference, highlighted, welch
from simsiam_tf.experiments.study import BASELINES, Cell, Study

TITLES = {
    "knn_accuracy": "kNN",
    "relative_std": "spread",
    "correlation_strength": "correlation",
    "effective_rank": "rank",
    "label_free.encoder.rankme": "RankMe",
    "label_free.encoder.spectrum_auc": "AUC",
    "seconds": "s",
    "seconds_per_epoch": "s per epoch",
}


@dataclass(frozen=True)
class Line:
    """What is known of one row.

    Args:
        samples: {column: Sample, or None where no run has that figure}.
        best: Columns in which nothing is significantly better.
        outcomes: Such as "3 healthy", "2 collapsed, 1 missing", "not measured"; "at risk" are healthy ones whose last
            verdict says so.
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
        name: {column: sample(figure(run, column) for run in runs if run) for column in study.columns}
        for name, runs in found.items()
    }
    for key, name in BASELINES.items():
        samples[name] = {
            column: sample(figure(run, f"{key}/{column}") for run in next(iter(found.values())) if run)
            for column in filter(_is_accuracy, study.columns)
        }
        found[name] = []
    best = {name: set() for name in found}
    for column in filter(_is_accuracy, study.columns):
        known = {name: each[column] for name, each in samples.items() if each.get(column) is not None}
        known = {name: sample for name, sample in known.items() if sample.sd is not None}  # a single run is no test
        for name, bold in zip(known, highlighted(list(known.values())) if known else [], strict=True):
            best[name] |= {column} if bold else set()
    papers = {row.name: row.paper for row in study.rows}
    return [
        Line(name, samples[name], papers.get(name, {}), best[name], outcomes(runs))
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
    """Each row against the first in the study's columns to compare: titles and text cells; none where nothing varies.

    Intervals and p-values are Welch's, two-sided, and hold for all m comparisons together (Bonferroni): intervals of
    1 - 0.05 / m, p times m.
    """
    first, *others = rows
    pairs = [
        (row.name, column, row.samples.get(column), first.samples.get(column))
        for row in others
        for column in study.compared
    ]
    pairs = [pair for pair in pairs if all(sample is not None and sample.sd is not None for sample in pair[2:])]
    if not pairs:
        return [], []
    m, body = len(pairs), []
    p_values = [min(1.0, 2 * welch(*sorted(pair[2:], key=lambda sample: -sample.mean))) for pair in pairs]
    for (name, column, *pair), p in zip(pairs, bonferroni(p_values).p_values, strict=True):
        found = difference(*pair, confidence=1 - 0.05 / m)
        interval = f"{100 * found.low:+.1f} to {100 * found.high:+.1f}"
        body.append([name, title(column), f"{100 * found.mean:+.1f}", interval, f"{p:.2g}", found.verdict])
    return [f"against {first.name}", "", "difference", "95 % interval", f"p x {m}", ""], body


def markdown(study: Study, cells: list[Cell], results: Results) -> str:
    """Both tables, as the pages of the documentation have them."""
    rows = lines(study, cells, results)
    return "\n".join(_markdown(*each) for each in (table(study, rows), differences(study, rows)) if each[0])


def title(column: str) -> str:
    """A column's heading: accuracies name the share of the labels, if not all."""
    row, _, name = column.rpartition("/")
    name, _, fraction = name.partition("@")
    text = TITLES.get(name, name.rsplit(".", 1)[-1].removesuffix("_accuracy"))
    text += f" {100 * float(fraction):g} %" if fraction else ""
    return f"{text} ({row})" if row and not name.startswith(row) else text


def sample(values: Iterable[float | None]) -> Sample | None:
    """Of those that are known and finite."""
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


def outcomes(runs: list[dict | None]) -> str:
    """How many results of each kind, such as "2 healthy, 1 collapsed"; None is one that is missing."""
    if runs and not any(runs):
        return "not measured"
    kinds = [shown_outcome(run) if run else "missing" for run in runs]
    return ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))


def _markdown(header, body):
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [header, rule, *body]) + "\n"
