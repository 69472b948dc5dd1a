"""A study: rows of settings over a base configuration, times seeds. Each cell of it is an ordinary run."""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from simsiam_tf.errors import InputError
from simsiam_tf.experiments.results import file_name
from simsiam_tf.settings import files, yaml_files
from simsiam_tf.settings.schema import Config
from simsiam_tf.settings.types import shown

COLUMNS = ("knn_accuracy", "linear_accuracy", "relative_std", "correlation_strength", "effective_rank")
KEYS = {"title": str, "base": str, "set": dict, "grid": dict}
KEYS |= dict.fromkeys(("seeds", "rows", "studies", "columns", "compared"), list)
ROW_KEYS = {"name": str, "set": dict, "paper": dict}
PLACED = {"seed", "name", "output"}  # of each cell: the sweep's
CLASSIFIERS = {"knn_accuracy": "kNN", "linear_accuracy": "linear probe", "supervised_accuracy": "end to end"}
BASELINES = {"raw": "raw pixels", "untrained": "untrained encoder"}  # rows that evaluations bring with them


@dataclass(frozen=True)
class Row:
    """A row of the study's table.

    Args:
        name: As the table shows it.
        overrides: {dotted key: value}, over the study's base.
        paper: {column: the paper's figure, as text}.
    """

    name: str
    overrides: dict
    paper: dict


@dataclass(frozen=True)
class Cell:
    """One run of a study."""

    row: str
    seed: int
    config: Config


@dataclass(frozen=True)
class Study:
    """What a study's YAML file says; see `read`."""

    name: str
    title: str
    base: str
    seeds: tuple[int, ...]
    rows: tuple[Row, ...]
    columns: tuple[str, ...]
    compared: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> Study:
        """The study of a YAML file with the keys

        - title: what it asks, and of which table or figure;
        - base: the configuration that all cells begin with, a shipped name or a file beside this one;
        - seeds: whole numbers;
        - set: {dotted key: value} over the base, in all rows;
        - rows: a list of {name, set, paper}, `paper` being the paper's figures by column; and, or,
        - grid: {dotted key: [values]}, of which every combination is a row, of each of `rows` if there are any;
        - studies: further studies on the same base, by name or files beside this one, whose rows follow, each under
          the name of its study; a row that differs from one there only in what looks on, monitor and evaluation, is not
          taken;
        - columns: figures to show, such as knn_accuracy, linear_accuracy@0.1 (of 10 % of the labels) or
          label_free.encoder.rankme;
        - compared: the columns of accuracies in which every row is tested against the first; default the first of them.

        Raises:
            InputError: a key is missing or unknown, or not of its type.
        """
        content = yaml_files.content(path)
        _check(content, KEYS, path.name)
        rows = [_row(each, content.get("set", {})) for each in content.get("rows", [{"name": ""}])]
        rows = [row for each in rows for row in _crossed(each, content.get("grid", {}))]
        base, columns = content.get("base"), tuple(content.get("columns", COLUMNS))
        if base is None or not rows or not rows[0].name:
            raise InputError(f"{path.name}: {sorted(content)} is no study; give base, and rows or a grid")
        beside = path.parent / base
        base = str(beside) if beside.is_file() else base
        for other in content.get("studies", []):
            rows += _further(rows, cls.read(_place(path, other)), base, columns)
        seeds = content.get("seeds", [0])
        _check_rows(rows, seeds, path.name)
        _check_columns(columns, content.get("compared", []), rows, path.name)
        accuracies = [column for column in columns if column.partition("@")[0].endswith("accuracy")]
        return cls(
            name=path.stem,
            title=content.get("title", path.stem),
            base=base,
            seeds=tuple(seeds),
            rows=tuple(rows),
            columns=columns,
            compared=tuple(content.get("compared", accuracies[:1])),
        )

    def cells(self, parser, arguments: list[str]):
        """The study's cells, all rows of the first seed before those of the next, and the options of `parser`.

        Args:
            parser: Of the options beside the settings.
            arguments: Options and further settings of all cells, over those of the base.

        Raises:
            InputError: a setting is unknown or out of its range, or the arguments set what the study sets.
        """
        configs = []
        for key in ("seed", "name"):
            if any(argument.split("=")[0] == f"--{key}" for argument in arguments):
                raise InputError(f"{key}: it is the study's to set; give seeds in its file")
        for row in self.rows:
            for key in row.overrides:
                if any(argument.split("=")[0] == f"--{key}" for argument in arguments):
                    raise InputError(f"{key}: it is what the study sets; give another study")
            settings = [f"--{key}={_text(value)}" for key, value in row.overrides.items()]
            options, config = files.parse(parser(), ["--config", self.base, *settings, *arguments])
            configs.append((row, config))
        return options, [
            Cell(row.name, seed, self._placed(config, row, seed)) for seed in self.seeds for row, config in configs
        ]

    def _placed(self, config, row, seed):
        """The run of a row and seed. Its folder's name holds that of its result, so that a changed study finds room."""
        config = dataclasses.replace(config, seed=seed)
        mark = file_name(config).rsplit("-", 1)[1].removesuffix(".json")[:6]
        name = re.sub(r"[^a-z0-9.]+", "-", row.name.lower()).strip("-.")
        return dataclasses.replace(
            config, name=f"{name}-seed{seed}-{mark}", output=str(Path(config.output) / self.name)
        )


def _check_rows(rows, seeds, where):
    names = [row.name for row in rows]
    if not all(names) or len(set(names)) < len(names) or set(names) & set(BASELINES.values()):
        raise InputError(f"{where}.rows: {names} are no names of rows; give each row its own")
    if not seeds or len(set(seeds)) < len(seeds) or not all(type(seed) is int for seed in seeds):
        raise InputError(f"{where}.seeds: {seeds} are no seeds; give different whole numbers")
    for row in rows:
        for key in PLACED & set(row.overrides):
            raise InputError(f"{where}.{key}: it is the sweep's to set; leave it out, and give seeds")


def _check_columns(columns, compared, rows, where):
    for key, names in [("compared", compared), *((f"rows.{row.name}.paper", row.paper) for row in rows)]:
        if missing := [name for name in names if name not in columns]:
            raise InputError(f"{where}.{key}: {missing[0]} is no column; give one of {', '.join(columns)}")


def _row(content, common):
    _check(content, ROW_KEYS, "rows")
    paper = {key: str(value) for key, value in content.get("paper", {}).items()}
    return Row(str(content.get("name", "")), common | content.get("set", {}), paper)


def _place(path, name):
    beside = path.with_name(str(name))
    return beside if beside.is_file() else yaml_files.find(str(name), "studies")


def _further(rows, other, base, columns):
    """Rows of another study whose settings are not those of one that is there."""
    if other.base != base:
        raise InputError(f"studies: {other.name} begins with {other.base}, not with {base}; give studies on one base")
    known = [_settings(row) for row in rows]
    about = other.name.removesuffix("_small").replace("_", " ")
    for row in other.rows:
        if _settings(row) not in known:
            known.append(_settings(row))
            paper = {column: figure for column, figure in row.paper.items() if column in columns}
            yield Row(f"{about}: {row.name}", row.overrides, paper)


def _settings(row):
    """What decides the encoder, not what looks on."""
    return {key: value for key, value in row.overrides.items() if not key.startswith(("monitor.", "evaluation."))}


def _crossed(row, grid):
    """The row with every combination of the grid's values."""
    for key, values in grid.items():
        if not isinstance(values, list):
            raise InputError(f"grid.{key}: {shown(values)} is no value of it; give a list")
    for values in product(*grid.values()):
        named = [f"{key.rsplit('.', 1)[-1]} {_text(value)}" for key, value in zip(grid, values, strict=True)]
        overrides = row.overrides | dict(zip(grid, values, strict=True))
        yield Row(", ".join([row.name, *named] if row.name else named), overrides, row.paper)


def _check(content, known, where):
    if not isinstance(content, dict):
        raise InputError(f"{where}: {shown(content)} is no value of it; give one of {', '.join(known)}, each: value")
    for key, value in content.items():
        if key not in known:
            raise InputError(f"{where}.{key}: unknown; give one of {', '.join(known)}")
        if not isinstance(value, known[key]):
            raise InputError(f"{where}.{key}: {shown(value)} is no value of it; give a {known[key].__name__}")


def _text(value) -> str:
    return value if isinstance(value, str) else json.dumps(value)
