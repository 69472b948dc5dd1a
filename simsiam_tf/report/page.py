"""The page: one HTML file that needs no network."""

from __future__ import annotations

from markupsafe import Markup

from simsiam_tf.evaluation.energy import used
from simsiam_tf.experiments.results import figure, shown_outcome
from simsiam_tf.pages import page
from simsiam_tf.report import plots
from simsiam_tf.report.bars import bars
from simsiam_tf.report.compared import Compared, of_groups
from simsiam_tf.report.records import Record, differences, groups
from simsiam_tf.report.words import summary

MOST_SUMMARIES = 12
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


def html(title: str, records: list[Record], studies: list[Compared], details, intensity=None) -> str:
    """The page.

    Args:
        details: (name, `pictures.Details`) of each run that was looked at.
        intensity: g of CO2 for a kWh; None: what the runs themselves say.
    """
    found = groups(records)
    shown, colours = found[: len(plots.PALETTE)], plots.colours(found)
    compared = [*studies, *of_groups([group for group in found if group.records[0].row is None])]
    labels = [(each.title, list(bars(each, colours).values())) for each in of_groups(shown)]
    return page(
        "report.html",
        title=title,
        records=records,
        header=run_header(records),
        rows=[(record, run_row(record, records)) for record in records],
        summaries=[(group, summary(group.records)) for group in found[:MOST_SUMMARIES]],
        left_out=max(0, len(found) - MOST_SUMMARIES),
        compared=[(each, each.tables()) for each in compared],
        curves=list(plots.curves(shown).values()),
        labels=[(title, charts) for title, charts in labels if charts],
        monitored=plots.monitored(shown),
        groups=shown,
        drawn=f"The first {len(shown)} of {len(found)} configurations." if len(found) > len(shown) else None,
        differences=differences(shown) if len(found) > 1 else [],
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
