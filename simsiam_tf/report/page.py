"""The page: one HTML file that needs no network."""

from __future__ import annotations

from markupsafe import Markup

from simsiam_tf.evaluation.energy import used
from simsiam_tf.pages import page
from simsiam_tf.report import finetuned, plots, registry
from simsiam_tf.report.bars import bars, of_classifiers
from simsiam_tf.report.compared import Compared, of_groups
from simsiam_tf.report.grouping import differences, groups
from simsiam_tf.report.records import Record
from simsiam_tf.report.words import summary

MOST_SUMMARIES = 12


def html(title: str, records: list[Record], studies: list[Compared], details, intensity=None) -> str:
    """The page.

    Args:
        details: (title, `pictures.Details`) of each run that was looked at.
        intensity: g of CO2 for a kWh; None: what the runs themselves say.
    """
    found, (header, rows) = groups(records), registry.table(records)
    links = {name: f"details-{i}" for i, (name, _) in enumerate(details, 1)}
    shown, colours = found[: len(plots.PALETTE)], plots.colours(found)
    tuned = finetuned.compared(found)
    compared = [*studies, *of_groups([group for group in found if group.records[0].row is None]), *tuned]
    labels = [(each.title, list(bars(each, colours).values())) for each in of_groups(shown)]
    return page(
        "report.html",
        title=title,
        records=records,
        header=header,
        texts=registry.TEXTS,
        rows=[(links.get(row[0]), row) for row in rows],
        summaries=[(group, summary(group.records)) for group in found[:MOST_SUMMARIES]],
        left_out=max(0, len(found) - MOST_SUMMARIES),
        compared=[(each, each.tables()) for each in compared],
        curves=list(plots.curves(shown).values()),
        labels=[(title, charts) for title, charts in labels if charts],
        monitored=plots.monitored(shown),
        groups=shown,
        drawn=f"The first {len(shown)} of {len(found)} configurations." if len(found) > len(shown) else None,
        differences=differences(shown) if len(found) > 1 else [],
        finetuned=of_classifiers(tuned),
        details=details,
        markup=Markup,
        palette=plots.PALETTE,
        energy=used([record.figures for record in records], intensity),
    )
