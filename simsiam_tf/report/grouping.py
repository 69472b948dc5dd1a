"""Runs that belong together: the seeds of one configuration, under a name of their own, and what tells them apart."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass

from simsiam_tf.report.records import Record, began_with
from simsiam_tf.settings.types import shown


@dataclass(frozen=True)
class Group:
    """Runs that differ in their seed alone: one line of a chart."""

    name: str
    records: tuple[Record, ...]

    @property
    def images(self) -> str:
        """The same for groups that were trained and tested on the same images."""
        first = self.records[0]
        settings = {key: value for key, value in first.result["configuration"].items() if key.startswith("data.")}
        return json.dumps([first.data, settings], sort_keys=True)


def groups(records: Iterable[Record]) -> list[Group]:
    """Seeds of one row, or of one configuration, together, in order of appearance; each under a name of its own.

    Runs that began with seeds of one group are seeds of one, too. Those that began with weights from elsewhere are
    seeds of nothing: what they began with is not in their settings.
    """
    records, found = list(records), {}
    of_folder = {record.folder.resolve(): record for record in records if record.folder}

    def identity(record):
        parent = of_folder.get(began_with(record))
        return record.row or [record.data, _settings(record), parent and identity(parent)]

    for index, record in enumerate(records):
        key = json.dumps(identity(record), sort_keys=True)
        imported = record.folder is not None and (record.folder / "imported.pth.tar").is_file()
        imported = imported and began_with(record) not in of_folder
        if imported or not record.result["configuration"] or record.seed in {each.seed for each in found.get(key, ())}:
            key = str(index)
        found.setdefault(key, []).append(record)
    names = [_of_seeds(each) for each in found.values()]
    places = _places([each[0] for each in found.values()])
    names = [
        name if names.count(name) == 1 else each[0].row or place or name
        for name, place, each in zip(names, places, found.values(), strict=True)
    ]
    return [
        Group(f"{name} ({len(each)} seeds)" if len(each) > 1 and not each[0].row else name, tuple(each))
        for name, each in zip(names, found.values(), strict=True)
    ]


def titles(records: list[Record]) -> list[str]:
    """A name for each: where names repeat, with the seed and if need be the study, or as a folder."""
    names = [record.name for record in records]
    seeds = [
        f"{record.name}, seed {record.seed}" if record.row else name
        for record, name in zip(records, names, strict=True)
    ]
    longest = [
        f"{record.row}, seed {record.seed}" if record.row else place or record.name
        for record, place in zip(records, _places(records), strict=True)
    ]
    return [
        next((name for name, all_names in ((one, names), (two, seeds)) if all_names.count(name) == 1), three)
        for one, two, three in zip(names, seeds, longest, strict=True)
    ]


def _of_seeds(records):
    """What the names of seeds have in common: before "-seed0", if they are so named."""
    common = {re.sub(r"[-_]?seed\d+(-[0-9a-f]{6})?$", "", record.name) for record in records}
    return common.pop() if len(records) > 1 and len(common) == 1 and all(common) else records[0].name


def _places(records):
    """Of each record its folder, from the folder on that all have in common; "" where there is none."""
    folders = [record.folder.resolve() for record in records if record.folder]
    above = os.path.commonpath([folder.parent for folder in folders]) if folders else ""
    return [str(record.folder.resolve().relative_to(above)) if record.folder else "" for record in records]


def differences(found: list[Group]) -> list[tuple[str, list[str]]]:
    """(setting, its value in each group) of every setting that is not the same in all that have it.

    A result that is older than a setting has none of it, and was made as by its default.
    """
    settings = [_settings(group.records[0]) for group in found]
    keys = dict.fromkeys(key for each in settings for key in each)
    rows = [(key, [shown(each[key]) if key in each else "" for each in settings]) for key in keys]
    return [(key, values) for key, values in rows if len(set(values) - {""}) > 1]


def _settings(record):
    """All but the seed, and what is only looked at."""
    own = ("seed", "monitor.", "evaluation.baselines")
    return {key: value for key, value in record.result["configuration"].items() if not key.startswith(own)}
