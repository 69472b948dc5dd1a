"""The page: one HTML file that needs no network."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from simsiam_tf.evaluation.energy import used
from simsiam_tf.experiments import tables
from simsiam_tf.experiments.results import figure, shown_outcome
from simsiam_tf.experiments.study import Study
from simsiam_tf.pages import page
from simsiam_tf.report import plots
from simsiam_tf.report.records import Record, differences, groups
from simsiam_tf.report.words import summary

MOST_SUMMARIES, MOST_COMPARED = 12, 12
# Figures of a run in the table of all runs: key, heading, how it is written.
COLUMNS = {
    "knn_accuracy": ("kNN", lambda value: f"{100 * value:.1f} %"),
    "linear_accuracy": ("linear", lambda value: f"{100 * value:.1f} %"),
    "classifier.test_accuracy": ("classifier", lambda value: f"{100 * value:.1f} %"),
    "classifier.labels": ("labels", "{:.0f}".format),
    "loss": ("loss", "{:.3f}".format),
    "correlation_strength": ("correlation", "{:.2f}".format),
    "effective_rank": ("rank", "{:.1f}".format),
    "epochs": ("epochs", "{:.0f}".format),
    "seconds": ("seconds", "{:.0f}".format),
    "energy_kwh": ("kWh", "{:.3g}".format),
}


@dataclass(frozen=True)
class StudyTables:
    """A study, and what is known of its rows."""

    study: Study
    lines: list[tables.Line]

    def tables(self) -> list[tuple[list[str], list[list[str]]]]:
        """(header, body) of its table and of the differences from its first row."""
        both = tables.table(self.study, self.lines), tables.differences(self.study, self.lines)
        return [table for table in both if table[0]]


def html(title: str, records: list[Record], studies: list[StudyTables], details, intensity=None) -> str:
    """The page.

    Args:
        details: (name, `pictures.Details`) of each run that was looked at.
        intensity: g of CO2 for a kWh; None: what the runs themselves say.
    """
    found = groups(records)
    drawn, bars = plots.curves(found), plots.fractions(found)
    return page(
        "report.html",
        title=title,
        records=records,
        header=run_header(records),
        rows=[(record, run_row(record, records)) for record in records],
        summaries=[(group, summary(group.records)) for group in found[:MOST_SUMMARIES]],
        left_out=max(0, len(found) - MOST_SUMMARIES),
        studies=[(each.study, each.tables()) for each in studies],
        curves={key: Markup(each) for key, each in drawn.items()},
        bars={key: Markup(each) for key, each in bars.items()},
        groups=found[:MOST_COMPARED],
        differences=differences(found[:MOST_COMPARED]) if len(found) > 1 else [],
        details=details,
        markup=Markup,
        palette=plots.PALETTE,
        energy=used([record.figures for record in records], intensity),
    )


def run_header(records: list[Record]) -> list[str]:
    """Headings of the table of runs: those figures that any run has."""
    return ["run", "method", "seed", "outcome", *(COLUMNS[key][0] for key in _columns(records))]


def run_row(record: Record, records: list[Record]) -> list[str]:
    """A run's line of that table."""
    method = record.result["configuration"].get("method.name", "")
    known = [(key, figure(record.result, key)) for key in _columns(records)]
    values = ["" if value is None else COLUMNS[key][1](value) for key, value in known]
    return [record.name, method, str(record.seed), shown_outcome(record.result), *values]


def _columns(records):
    return [key for key in COLUMNS if any(figure(record.result, key) is not None for record in records)]
