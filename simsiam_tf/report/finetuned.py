"""Classifiers that began with a run's encoder, beside what the run's own evaluation says with as many labels."""

from __future__ import annotations

import json

from simsiam_tf.experiments import tables
from simsiam_tf.experiments.study import CLASSIFIERS
from simsiam_tf.report.compared import SUPERVISED, Compared, of_groups
from simsiam_tf.report.grouping import Group
from simsiam_tf.report.records import began_with
from simsiam_tf.settings.data import IN_EPOCHS

OWN = ("seed", "method.labels", "method.subset")  # of a classifier, what its samples are of, or stand by
NOT_THE_IMAGES = tuple(f"data.{key}" for key in IN_EPOCHS)
ACCURACY = "accuracy"


def compared(groups: list[Group]) -> list[Compared]:
    """For each group with encoders that others began with, on the same images: test accuracy by labels.

    The samples are over seeds, and draws of the labels.
    """
    records = [record for group in groups for record in group.records]
    found = []
    for group in groups:
        begun = {each.folder.resolve() for each in group.records if each.folder}
        learned = [each for each in records if "test_accuracy" in each.figures.get("classifier", {})]
        learned = [each for each in learned if began_with(each) in begun and _images(each) == _images(group.records[0])]
        if learned:
            found.append(_compared(f"finetuned-{len(found) + 1}", group, learned))
    return found


def _compared(name, group, learned):
    rows = _classifiers(learned) | _evaluated(group)
    labels = sorted({each for samples in rows.values() for each in samples}, key=lambda each: (each > 1, -each))
    columns = {each: tables.column(ACCURACY, each) for each in labels}
    lines = [
        tables.Line(row, {columns[each]: sample for each, sample in samples.items()}, {}, set(), "")
        for row, samples in rows.items()
    ]
    seeds = tuple(sorted({record.seed for record in [*group.records, *learned]}))
    every = tuple(columns.values())
    lines = tables.with_best(every, lines)
    return Compared(name, f"Classifiers that began with {group.name}", seeds, every, every, lines)


def _images(record):
    known = {key: value for key, value in record.result["configuration"].items() if key not in NOT_THE_IMAGES}
    return {key: value for key, value in known.items() if key.startswith("data.") or key == "evaluation.split"}


def _classifiers(records):
    """{name: {labels: Sample}}; other settings make another line."""
    values: dict[str, dict[float, list[float]]] = {}
    names: dict[str, str] = {}
    for record in records:
        configuration = record.result["configuration"]
        key = json.dumps([pair for pair in sorted(configuration.items()) if pair[0] not in OWN])
        kind = "finetuned" if configuration.get("method.encoder_ratio", 1) else "frozen, linear"
        name = names.setdefault(key, record.name if kind in names.values() else kind)
        labels = float(configuration.get("method.labels", 1))
        values.setdefault(name, {}).setdefault(labels, []).append(record.figures["classifier"]["test_accuracy"])
    return {name: {labels: tables.sample_of(each) for labels, each in by.items()} for name, by in values.items()}


def _evaluated(group):
    """The same of the evaluation: classifiers on the encoder, and the supervised network."""
    rows = {}
    for found in of_groups([group]):
        lines = {line.name: line.samples for line in found.lines}
        for key, name in CLASSIFIERS.items():
            samples = lines.get(SUPERVISED if key.startswith("supervised") else group.name, {})
            shares = {column: tables.labels_of(column) for column in found.columns if column.startswith(key)}
            rows[name] = {share: samples[column] for column, share in shares.items() if samples.get(column)}
    return {name: samples for name, samples in rows.items() if samples}
