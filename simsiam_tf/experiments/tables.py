"""The tables of a study: mean and deviation over seeds, what is as good as the best, differences from the first row."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from simsiam_tf.experiments.results import Results, figure, shown_outcome
from simsiam_tf.experiments.statistics import Difference, Sample, bonferroni, difference, highlighted, welch
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
        name: {column: sample_of([figure(run, column) for run in runs if run]) for column in study.columns}
        for name, runs in found.items()
    }
    first = [run for run in found[study.rows[0].name] if run]
    for key, name in BASELINES.items():
        samples[name] = {
            column: sample_of([_of_baseline(run, key, column) for run in first]) for column in study.columns
        }
        found[name] = []
    papers = {row.name: row.paper for row in study.rows}
    rows = [
        Line(name, samples[name], papers.get(name, {}), set(), outcomes(runs))
        for name, runs in found.items()
        if name in papers or any(samples[name][column] for column in filter(is_accuracy, study.columns))
    ]
    return with_best(study.columns, rows)


def _of_baseline(run: dict, key: str, column: str) -> float | None:
    """A figure of what a run was judged beside: an accuracy, or one that needs no labels."""
    if is_accuracy(column):
        return figure(run, f"{key}/{column}")
    part, _, name = column.removeprefix("label_free.").partition(".")
    return figure(run, f"label_free.{key}.{name}") if part == "encoder" else None


def with_best(columns: Sequence[str], rows: list[Line]) -> list[Line]:
    """The same lines, told in which columns of accuracies nothing is significantly better; a single run is no test."""
    best: list[set[str]] = [set() for _ in rows]
    for column in filter(is_accuracy, columns):
        known = {
            i: sample for i, row in enumerate(rows) if (sample := row.samples.get(column)) and sample.sd is not None
        }
        for i, bold in zip(known, highlighted(list(known.values())) if known else [], strict=True):
            best[i] |= {column} if bold else set()
    return [dataclasses.replace(row, best=each) for row, each in zip(rows, best, strict=True)]


def table(columns: Sequence[str], rows: list[Line]) -> tuple[list[str], list[list[str]]]:
    """Titles and text cells; what is as good as the best stands between ** and **."""
    papers = [column for column in columns if any(column in row.paper for row in rows)]
    header = ["", *map(title, columns), *(f"paper: {title(column)}" for column in papers), "runs"]
    body = [
        [
            row.name,
            *(_text(column, row.samples.get(column), column in row.best) for column in columns),
            *(row.paper.get(column, "") for column in papers),
            row.outcomes,
        ]
        for row in rows
    ]
    return header, body


@dataclass(frozen=True)
class Comparison:
    """A row against the first, in one column; interval and p-value hold for all comparisons together."""

    name: str
    column: str
    found: Difference
    p_value: float


def comparisons(compared: Sequence[str], rows: list[Line]) -> list[Comparison]:
    """Each row against the first in the columns to compare; none where nothing varies.

    Intervals and p-values are Welch's, two-sided, and hold for all m comparisons together (Bonferroni): intervals of
    1 - 0.05 / m, p times m.
    """
    first, *others = rows
    pairs = [
        (row.name, column, row.samples.get(column), first.samples.get(column)) for row in others for column in compared
    ]
    pairs = [pair for pair in pairs if all(sample is not None and sample.sd is not None for sample in pair[2:])]
    p_values = [min(1.0, 2 * welch(*sorted(pair[2:], key=lambda sample: -sample.mean))) for pair in pairs]
    return [
        Comparison(name, column, difference(*pair, confidence=1 - 0.05 / len(pairs)), p)
        for (name, column, *pair), p in zip(pairs, bonferroni(p_values).p_values, strict=True)
    ]


def differences(compared: Sequence[str], rows: list[Line]) -> tuple[list[str], list[list[str]]]:
    """The comparisons as titles and text cells; both empty where there are none."""
    made, body = comparisons(compared, rows), []
    for each in made:
        mean, low, high = (f"{100 * value:+.1f}" for value in (each.found.mean, each.found.low, each.found.high))
        body.append(
            [each.name, title(each.column), mean, f"{low} to {high}", f"{each.p_value:.2g}", each.found.verdict]
        )
    header = [f"against {rows[0].name}", "", "difference", "95 % interval", f"p x {len(made)}", ""]
    return (header, body) if made else ([], [])


def markdown(study: Study, cells: list[Cell], results: Results) -> str:
    """Both tables, as the pages of the documentation have them."""
    rows = lines(study, cells, results)
    return "\n".join(
        _markdown(*each) for each in (table(study.columns, rows), differences(study.compared, rows)) if each[0]
    )


def title(column: str) -> str:
    """A column's heading: accuracies name the share of the labels, if not all."""
    row, _, name = column.rpartition("/")
    name, _, labels = name.partition("@")
    text = TITLES.get(name, name.rsplit(".", 1)[-1].removesuffix("_accuracy"))
    text += f" {shown_labels(float(labels))}" if labels else ""
    return f"{text} ({row})" if row and not name.startswith(row) else text


def column(name: str, labels: float) -> str:
    """The column of a figure at a share of the labels up to 1, or at a number of them from 2 on."""
    return name if labels == 1 else f"{name}@{labels:g}"


def labels_of(column: str) -> float:
    """The labels of a column."""
    return float(column.partition("@")[2] or 1)


def shown_labels(labels: float) -> str:
    return f"{100 * labels:g} %" if labels <= 1 else f"{labels:g} labels"


def sample_of(values: Iterable[float | None]) -> Sample | None:
    """Of the values that are there and finite; None where there are none."""
    finite = [value for value in values if value is not None and math.isfinite(value)]
    return Sample.of(finite) if finite else None


def is_accuracy(column: str) -> bool:
    """Whether it is shown in %, and more of it is better."""
    return column.partition("@")[0].endswith("accuracy")


def _text(column, sample, bold):
    if sample is None:
        return "-"
    scale, digits = (100, 1) if is_accuracy(column) else (1, 1 if sample.mean >= 10 else 2)
    text = f"{scale * sample.mean:.{digits}f}"
    text += "" if sample.sd is None else f" ± {scale * sample.sd:.{digits}f}"
    return f"**{text}**" if bold else text


def outcomes(runs: list[dict | None]) -> str:
    """Of results, such as "2 collapsed, 1 missing"."""
    if runs and not any(runs):
        return "not measured"
    kinds = [shown_outcome(run) if run else "missing" for run in runs]
    return ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))


def _markdown(header, body):
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [header, rule, *body]) + "\n"
