"""The results folder: one small JSON per finished run, named by its configuration, whichever study it was made for."""

from __future__ import annotations

import csv
import datetime
import hashlib
import json
import math
import platform
from pathlib import Path

from simsiam_tf.atomic import replacing
from simsiam_tf.errors import InputError
from simsiam_tf.evaluation.verdict import AT_RISK, HEALTHY, NOT_WATCHED, SO_FAR
from simsiam_tf.settings import files
from simsiam_tf.settings.data import PLACES
from simsiam_tf.settings.schema import Config
from simsiam_tf.settings.types import marked

MADE = ("devices", "precision", "git_revision", "teacher")  # of the environment, what is kept
DIGITS = 6  # of each figure that is kept
# Of an epoch, what is about the machine.
MACHINE = ("epoch_seconds", "images_per_second", "energy_kwh", "gpu_energy_kwh")


def identity(config: Config) -> dict:
    """{dotted key: value} of what decides the figures and is not as by default: a new setting changes no name."""
    own = {section: type(getattr(config, section))() for section in files.BY_NAME}
    fresh = files.flat(Config(**own)) | {"backbone.name": Config().backbone.name}
    free, now = marked(config, "free"), files.flat(config)
    named = {key: value for key, value in now.items() if key not in free and value != fresh[key]}
    if PLACES[config.data.source] and config.data.path:  # the images have no other name
        named["data.path"] = Path(config.data.path).name
    if teacher := getattr(config.method, "teacher", None):
        named["method.teacher"] = Path(teacher).name
    return named


def file_name(config: Config) -> str:
    """Such as simsiam-0123456789ab.json."""
    text = json.dumps([config.method.name, config.optimizer.name, identity(config)], sort_keys=True)
    return f"{config.method.name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}.json"


class Results:
    """A folder of results."""

    def __init__(self, path: Path):
        self.path = Path(path)

    def find(self, config: Config) -> dict | None:
        """The result of a run of this configuration, or None.

        One that was made under another default than today's is none.

        Raises:
            InputError: the file is damaged.
        """
        path = self.path / file_name(config)
        if not path.is_file():
            return None
        try:
            result = dict(json.loads(path.read_bytes()))
            then, now = dict(result["configuration"]), files.flat(config)
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(f"results: {path} is damaged ({error}); delete it, and its run is done again") from error
        free = marked(config, "free")
        return result if all(key in free or now.get(key, value) == value for key, value in then.items()) else None

    def keep(self, config: Config, folder: Path) -> dict:
        """Make the result of the run folder of a finished run.

        Raises:
            InputError: the run is not finished, or the results cannot be written.
        """
        result = result_of(config, folder)
        path = self.path / file_name(config)
        self.path.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            partial.write_text(json.dumps(result, indent=1) + "\n")
        return result


def result_of(config: Config, folder: Path) -> dict:
    """{configuration, outcome, figures, epochs, looks, made} of the run folder of a finished run.

    Raises:
        InputError: the run is not finished.
    """
    try:
        figures = dict(json.loads((folder / "result.json").read_bytes()))
        # A run that was imported and never trained has none.
        written = folder / "environment.json"
        environment = dict(json.loads(written.read_bytes())) if written.is_file() else {}
        packages, epochs = dict(environment.get("packages", {})), rows_of(folder / "metrics.csv")
        looks = rows_of(folder / "collapse.csv")
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"RUN: {folder} has no readable figures ({error}); delete it, or train it again") from error
    if "stopped" not in figures and figures.get("steps", 0) < figures.get("total_steps", 0):
        raise InputError(f"RUN: {folder} is at step {figures['steps']} of {figures['total_steps']}; finish it")
    free = marked(config, "free")
    for key in ("evaluation", "class_names", "forecast"):  # the last one follows from label_free
        figures.pop(key, None)
    return {
        "configuration": {key: value for key, value in files.flat(config).items() if key not in free},
        "outcome": outcome(figures),
        "figures": _rounded(figures),
        "epochs": epochs,
        "looks": looks,
        "made": {
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "processor": _processor(),
            **{key: environment[key] for key in MADE if key in environment},
            "packages": {name: packages.get(name) for name in ("simsiam-tf", "tensorflow", "keras")},
        },
    }


def outcome(figures: dict) -> str:
    """healthy, collapsed, diverged, not converging, oscillating or not watched, from the figures of result.json."""
    return figures.get("outcome") or figures.get("stopped") or (HEALTHY if "verdict" in figures else NOT_WATCHED)


def shown_outcome(result: dict) -> str:
    """The outcome as tables have it: of what is healthy, some is at risk, or healthy so far."""
    said = result["figures"].get("verdict", "") if result["outcome"] == HEALTHY else ""
    return next((kind for kind in (AT_RISK, SO_FAR) if said.startswith(kind)), result["outcome"])


def figure(result: dict, key: str) -> float | None:
    """A figure of a result, or None where it has none.

    Args:
        key: knn_accuracy; knn_accuracy@0.1, at that share of the labels; untrained/knn_accuracy, of that row of the
            evaluation's; label_free.encoder.rankme, with a dot for each step inwards; relative_std, the spread as a
            share of 1/sqrt(d); seconds_per_epoch.
    """
    figures = result["figures"]
    if key == "relative_std":
        spread, width = figures.get("feature_std"), result["configuration"].get("method.projection_dim")
        return None if spread is None or width is None else spread * math.sqrt(width)
    if key == "seconds_per_epoch":
        return figures["seconds"] / figures["epochs"] if figures.get("epochs") else None
    row, _, name = key.rpartition("/")
    if row or "@" in name:
        name, _, fraction = name.partition("@")
        rows = figures.get("by_fraction", {}).get(row or "encoder", [])
        share = float(fraction or 1)
        return next((each.get(name) for each in rows if math.isclose(each["fraction"], share, rel_tol=1e-5)), None)
    for part in name.split("."):
        figures = figures.get(part) if isinstance(figures, dict) else None
    return figures


def _rounded(value):
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, list) else value


def rows_of(path: Path) -> list[dict]:
    """The rows of a run's CSV file, without what is about the machine."""
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        rows = [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]
    return [_rounded({key: v for key, v in row.items() if key not in MACHINE}) for row in rows]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
