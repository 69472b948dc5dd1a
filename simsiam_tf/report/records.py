"""What a report is about: runs, from their folders or from the results of studies, in one form."""

from __future__ import annotations

import datetime
import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from simsiam_tf.errors import InputError
from simsiam_tf.experiments.results import Results, result_of, rows_of
from simsiam_tf.experiments.study import Study
from simsiam_tf.settings import files
from simsiam_tf.settings.paths import BEGAN_WITH
from simsiam_tf.settings.types import marked

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


def began_with(record: Record) -> Path | None:
    """The folder of the run whose encoder this one began with."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return (record.folder / json.loads((record.folder / BEGAN_WITH).read_bytes())["run"]).resolve()


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
