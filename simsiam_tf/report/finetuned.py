"""Classifiers that began with a run's encoder, beside what the run's own evaluation says with as many labels."""

from __future__ import annotations

import json
from contextlib import suppress
from statistics import fmean

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from simsiam_tf.experiments.study import CLASSIFIERS
from simsiam_tf.report.plots import PALETTE, STYLE, svg
from simsiam_tf.report.records import Group
from simsiam_tf.settings.data import IN_EPOCHS
from simsiam_tf.settings.paths import BEGAN_WITH

OWN = ("seed", "method.labels", "method.subset")  # of a classifier, what its bars are means over, or stand by
NOT_THE_IMAGES = tuple(f"data.{key}" for key in IN_EPOCHS)


def charts(groups: list[Group]) -> list[str]:
    """For each group with encoders that others began with, on the same images: test accuracy by labels, as SVG."""
    records = [record for group in groups for record in group.records]
    found = []
    for group in groups:
        begun = {each.folder.resolve() for each in group.records if each.folder}
        learned = [each for each in records if "test_accuracy" in each.figures.get("classifier", {})]
        learned = [each for each in learned if _parent(each) in begun and _images(each) == _images(group.records[0])]
        if learned:
            found.append(_chart(f"encoder of {group.name}", _classifiers(learned) | _evaluated(group)))
    return found


def _parent(record):
    """The folder of the run that a run began with, or None."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return (record.folder / json.loads((record.folder / BEGAN_WITH).read_bytes())["run"]).resolve()


def _images(record):
    known = {key: value for key, value in record.result["configuration"].items() if key not in NOT_THE_IMAGES}
    return {key: value for key, value in known.items() if key.startswith("data.") or key == "evaluation.split"}


def _classifiers(records):
    """{name: {labels: accuracy}}, means over seeds and subsets; other settings make another line."""
    values: dict[str, dict[float, list[float]]] = {}
    names: dict[str, str] = {}
    for record in records:
        configuration = record.result["configuration"]
        key = json.dumps([pair for pair in sorted(configuration.items()) if pair[0] not in OWN])
        kind = "finetuned" if configuration.get("method.encoder_ratio", 1) else "frozen, linear"
        name = names.setdefault(key, record.name if kind in names.values() else kind)
        labels = float(configuration.get("method.labels", 1))
        values.setdefault(name, {}).setdefault(labels, []).append(record.figures["classifier"]["test_accuracy"])
    return _means(values)


def _evaluated(group):
    """The same of the evaluation: classifiers on the encoder, and the supervised network."""
    values: dict[str, dict[float, list[float]]] = {}
    for tables in (record.figures.get("by_fraction", {}) for record in group.records):
        for line in (*tables.get("encoder", []), *tables.get("supervised", [])):
            for key in CLASSIFIERS.keys() & line.keys():
                values.setdefault(CLASSIFIERS[key], {}).setdefault(line["fraction"], []).append(line[key])
    return {name: means for name in CLASSIFIERS.values() if (means := _means(values).get(name))}


def _means(values):
    return {name: {labels: fmean(each) for labels, each in by.items()} for name, by in values.items()}


def _labels(labels):
    return f"{100 * labels:g} %" if labels <= 1 else f"{labels:g} labels"


def _chart(title, rows):
    places = sorted({labels for values in rows.values() for labels in values}, key=lambda each: (each > 1, -each))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5.2, 1.2 + 0.14 * len(rows) * len(places) + 0.09 * len(rows)), layout="constrained")
        axis, width = figure.subplots(), 0.85 / len(rows)
        for index, (name, values) in enumerate(rows.items()):
            at = [places.index(labels) + (index + 0.5) * width for labels in values]
            axis.barh(at, list(values.values()), width, label=name, color=PALETTE[index % len(PALETTE)])
        axis.set_yticks([place + 0.42 for place in range(len(places))], [_labels(each) for each in places])
        axis.invert_yaxis()
        axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axis.set(title=title, xlabel="test accuracy", ylabel="of the labels")
        figure.legend(loc="outside lower center", ncols=3, fontsize=7)
        said = "; ".join(
            f"{name} {', '.join(f'{100 * values[each]:.1f} % with {_labels(each)}' for each in values)}"
            for name, values in rows.items()
        )
        return svg(figure, f"{title}: test accuracy by labels: {said}")
