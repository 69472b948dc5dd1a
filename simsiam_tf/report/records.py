"""What a report is about: runs, from their folders or from the results of studies, in one form."""

from __future__ import annotations

import datetime
import json
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from simsiam_tf.errors import InputError
from simsiam_tf.experiments.results import Results, result_of, rows_of
from simsiam_tf.experiments.study import Study
from simsiam_tf.settings import files
from simsiam_tf.settings.types import marked, shown

DEPTH = 3  # folders that are looked into for runs: runs/STUDY/CELL


@dataclass(frozen=True)
class Record:
    """A run.

    Args:
        name: As the report calls it.
        result: As `experiments.results` keeps it: configuration, outcome, figures, epochs, looks, made. Of a run that
            is not finished there are no figures, and its outcome says so.
        folder: Its folder, if it is at hand.
        row: Of the study that it is of, which seeds share; None: of no study.
        data: Name of its images.
    """

    name: str
    result: dict
    folder: Path | None = None
    row: str | None = None
    data: str = ""

    @property
    def figures(self) -> dict:
        return self.result["figures"]

    @property
    def seed(self) -> int:
        return self.result["configuration"].get("seed", 0)


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


def of_folders(path: Path) -> list[Record]:
    """The run in this folder, or all runs below it.

    Raises:
        InputError: there is none.
    """
    found = [path] if (path / "config.yaml").is_file() else sorted(_below(path, DEPTH))
    if not found:
        raise InputError(f"RUN_OR_STUDY: {path} holds no run; give a run folder, a folder of runs, or a study")
    return [_of_folder(folder) for folder in found]


def of_study(study: Study, cells: list, results: Results) -> list[Record]:
    """The finished cells of a study."""
    found = [(cell, results.find(cell.config)) for cell in cells]
    return [
        Record(cell.row, result, _if_there(cell.config.folder), f"{study.name}/{cell.row}", _images(cell.config.data))
        for cell, result in found
        if result
    ]


def _if_there(folder):
    return folder if folder.is_dir() else None


def _images(data):
    if data.source == "tfds":
        return data.name
    return Path(data.path).name if data.path else data.source


def groups(records: Iterable[Record]) -> list[Group]:
    """Seeds of one row, or of one configuration, together, in order of appearance; each under a name of its own.

    Runs that began with weights from elsewhere are seeds of nothing: what they began with is not in their settings.
    """
    found: dict[str, list[Record]] = {}
    for index, record in enumerate(records):
        key = record.row or json.dumps([record.data, _settings(record)], sort_keys=True)
        imported = record.folder is not None and (record.folder / "imported.pth.tar").is_file()
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


def _below(path, depth):
    """Run folders below a folder; none within another."""
    for folder in path.iterdir() if path.is_dir() else ():
        if (folder / "config.yaml").is_file():
            yield folder
        elif depth > 1 and folder.is_dir():
            yield from _below(folder, depth - 1)


def _of_folder(folder):
    """The run, whatever state it is in: one bad folder is no reason to say nothing of the others."""
    unread = {"configuration": {}, "outcome": "unreadable", "figures": {}, "epochs": [], "looks": [], "made": {}}
    try:
        config = files.read(folder / "config.yaml")
    except InputError:
        return Record(folder.name, unread, folder)
    images, made = _images(config.data), {"date": _date(folder)}
    with suppress(InputError):
        result = result_of(config, folder)
        return Record(config.name, result | {"made": result["made"] | made}, folder, data=images)
    unread["made"] = made
    free = marked(config, "free")
    unread["configuration"] = {key: value for key, value in files.flat(config).items() if key not in free}
    with suppress(OSError, ValueError, TypeError, KeyError):
        figures = json.loads((folder / "result.json").read_bytes()) if (folder / "result.json").is_file() else {}
        epochs, looks = rows_of(folder / "metrics.csv"), rows_of(folder / "collapse.csv")
        done = f"{int(epochs[-1]['epoch']) if epochs else 0} of {config.optimizer.epochs} epochs"
        known = {"outcome": done, "figures": figures, "epochs": epochs, "looks": looks}
        return Record(config.name, unread | known, folder, data=images)
    return Record(config.name, unread, folder, data=images)


def _date(folder):
    """When the run was finished, or else begun."""
    file = next(path for name in ("result.json", "config.yaml") if (path := folder / name).is_file())
    return datetime.datetime.fromtimestamp(file.stat().st_mtime, datetime.UTC).date().isoformat()
