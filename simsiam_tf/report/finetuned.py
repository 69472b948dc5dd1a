"""Classifiers that began with a run's encoder, beside what the run's own evaluation says with as many labels."""

from __future__ import annotations

import itertools
import json
from contextlib import suppress
from statistics import fmean

from simsiam_tf.experiments.study import CLASSIFIERS
from simsiam_tf.report.bars import by_share, chart
from simsiam_tf.report.compared import SUPERVISED, of_groups
from simsiam_tf.report.plots import PALETTE
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
            rows = _classifiers(learned) | _evaluated(group)
            found.append(chart(f"encoder of {group.name}", rows, dict(zip(rows, itertools.cycle(PALETTE)))))
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
    return {name: {labels: fmean(each) for labels, each in by.items()} for name, by in values.items()}


def _evaluated(group):
    """The same of the evaluation: classifiers on the encoder, and the supervised network."""
    found = of_groups([group])
    rows = {name: by_share(found[0], key) if found else {} for key, name in CLASSIFIERS.items()}
    rows = {name: each.get(group.name) or each.get(SUPERVISED) for name, each in rows.items()}
    return {name: values for name, values in rows.items() if values}
