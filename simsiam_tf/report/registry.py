"""The table of all runs: what each is, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass

from simsiam_tf.experiments.results import figure, shown_outcome
from simsiam_tf.report.grouping import titles
from simsiam_tf.report.records import Record


def _percent(value):
    return f"{100 * value:.1f} %"


# Figures of a run: key, heading, how it is written.
COLUMNS = {
    "knn_accuracy": ("kNN", _percent),
    "linear_accuracy": ("linear", _percent),
    "classifier.test_accuracy": ("classifier", _percent),
    "classifier.labels": ("labels", "{:.0f}".format),
    "loss": ("loss", "{:.3f}".format),
    "relative_std": ("spread", "{:.2f}".format),
    "correlation_strength": ("correlation", "{:.2f}".format),
    "effective_rank": ("rank", "{:.1f}".format),
    "label_free.encoder.rankme": ("RankMe", "{:.1f}".format),
    "epochs": ("epochs", "{:.0f}".format),
    "seconds": ("seconds", "{:.0f}".format),
    "energy_kwh": ("kWh", "{:.3g}".format),
}


TEXTS = ("data", "backbone", "method", "outcome", "date", "folder")  # columns of words beside the first


@dataclass(frozen=True)
class Column:
    """A column of the table: of each run the value and what is shown of it."""

    key: str
    heading: str
    values: list
    texts: list[str]


def columns(records: list[Record]) -> list[Column]:
    """Those in which any run has something."""
    settings = [record.result["configuration"] for record in records]
    found = [
        _facts("run", titles(records)),
        _facts("data", [record.data for record in records]),
        _facts("backbone", [each.get("backbone.name", "") for each in settings]),
        _facts("method", [each.get("method.name", "") for each in settings]),
        _facts("seed", [record.seed for record in records]),
        _facts("outcome", [shown_outcome(record.result) for record in records]),
        *(_figures(key, heading, write, records) for key, (heading, write) in COLUMNS.items()),
        _facts("date", [record.result["made"].get("date", "") for record in records]),
        _facts("folder", [str(record.folder or "") for record in records]),
    ]
    return [column for column in found if any(column.texts)]


def table(records: list[Record]) -> tuple[list[str], list[list[str]]]:
    """(header, body) as it is shown."""
    found = columns(records)
    return [each.heading for each in found], [list(row) for row in zip(*(each.texts for each in found), strict=True)]


def _facts(key, values):
    return Column(key, key, values, [str(value) for value in values])


def _figures(key, heading, write, records):
    values = [figure(record.result, key) for record in records]
    return Column(key, heading, values, ["" if value is None else write(value) for value in values])
