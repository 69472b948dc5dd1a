"""YAML files: finding them by name, reading what a user wrote, writing what a run was."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from simsiam_tf.atomic import replacing
from simsiam_tf.errors import InputError


def shipped_folder() -> Path:
    """Where the shipped YAML files are: a link to the configs at the top in a clone, a folder when installed."""
    return Path(__file__).resolve().parents[1] / "configs"


def find(name: str, folder: str = "") -> Path:
    """The file that `--config name` means.

    Args:
        folder: Of the shipped files, in which a bare name is looked for.

    Raises:
        InputError: there is neither such a file nor a shipped one of that name.
    """
    if Path(name).is_file():
        return Path(name)
    shipped = shipped_folder() / folder
    if Path(name).name == name and (shipped / f"{name}.yaml").is_file():
        return shipped / f"{name}.yaml"
    known = ", ".join(sorted(path.stem for path in shipped.glob("*.yaml")))
    raise InputError(f"--config: no file {name!r}; give a YAML file or one of: {known}")


def content(path: Path) -> dict:
    """What a YAML file says.

    Raises:
        InputError: it is no YAML, or not of keys and values.
    """
    try:
        found = yaml.safe_load(path.read_bytes().decode())
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"--config: {path} is no YAML ({reason}); give key: value lines") from error
    if not isinstance(found, dict):
        raise InputError(f"--config: {path} holds {type(found).__name__}; give key: value lines")
    try:
        json.dumps(found, default=str)
    except (ValueError, RecursionError, TypeError) as error:
        raise InputError(f"--config: {path} holds what no setting is ({error}); give key: value lines") from error
    return found


def write(values: dict, path: Path) -> None:
    """Write plain values as YAML, atomically."""
    with replacing(path) as partial:
        partial.write_text(yaml.dump(values, Dumper=_Quoting, sort_keys=False))


class _Quoting(yaml.SafeDumper):
    """Quotes text that looks like a number: PyYAML writes 1e-3 plain, and jsonargparse reads that as a float."""


def _quoted(dumper, text):
    style = '"' if text.startswith(tuple("+-.0123456789")) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Quoting.add_representer(str, _quoted)
