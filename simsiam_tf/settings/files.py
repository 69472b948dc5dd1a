"""Reading, checking and writing a Config: YAML files, dotted overrides, one-line errors.

jsonargparse does the parsing: it derives options, help and type checks from the dataclasses.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NoReturn

import yaml
from jsonargparse import ActionConfigFile, ArgumentParser

from simsiam_tf.atomic import replacing
from simsiam_tf.errors import InputError
from simsiam_tf.settings.limits import check, flat, yaml_values
from simsiam_tf.settings.schema import Config

# May differ from the run that a folder holds: where things lie, how long it goes on this time, what is kept.
FREE = {
    "name",
    "output",
    "data.path",
    "data.memory_limit_gb",
    "training.steps_per_execution",
    "training.distribution",
    "training.compilation_cache",
    "training.stop_after_steps",
    "training.checkpoint_epochs",
    "training.keep_checkpoints",
    "monitor.tensorboard",
}


class OneLineParser(ArgumentParser):
    """An argument parser whose errors are one line with the key, the value and the way out."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        line = " ".join(str(message).split()).replace("<class '", "").replace("'>", "").replace("typing.", "")
        line = re.sub(r"Parser key \"(.*?)\": ?", r"\1: ", line)
        raise InputError(f"{line} (options: {self.prog} --help)")


class ConfigFile(ActionConfigFile):
    """`--config` takes a path, or the bare name of a shipped file."""

    def __call__(self, parser, namespace, value, option_string=None):
        if isinstance(value, str):
            value = str(find(value))
        try:
            super().__call__(parser, namespace, value, option_string)
        except (UnicodeDecodeError, RecursionError) as error:
            raise InputError(f"--config: {value} is no YAML ({type(error).__name__}: {error})") from error


def shipped_folder() -> Path:
    """Where the shipped YAML files are: a link to the configs at the top in a clone, a folder when installed."""
    return Path(__file__).resolve().parents[1] / "configs"


def find(name: str) -> Path:
    """The file that `--config name` means.

    Raises:
        InputError: there is neither such a file nor a shipped configuration of that name.
    """
    if Path(name).is_file():
        return Path(name)
    shipped = shipped_folder() / f"{name}.yaml"
    if Path(name).name == name and shipped.is_file():
        return shipped
    known = ", ".join(sorted(path.stem for path in shipped_folder().glob("*.yaml")))
    raise InputError(f"--config: no file {name!r}; give a YAML file or one of: {known}")


def add_config(parser: ArgumentParser) -> None:
    """Give a parser `--config` and one dotted option per field of Config."""
    parser.add_argument("--config", action=ConfigFile, help="YAML file, or the name of a shipped one")
    parser.add_class_arguments(Config, None)


def file_first(arguments: list[str], default: str | None) -> list[str]:
    """Arguments with `--config` at the front, so that options win over the file wherever they stand."""
    for index, argument in enumerate(arguments):
        if argument.startswith("--config="):
            return [argument, *arguments[:index], *arguments[index + 1 :]]
        if argument == "--config":
            return [*arguments[index : index + 2], *arguments[:index], *arguments[index + 2 :]]
    return arguments if default is None else ["--config", default, *arguments]


def read(path: Path) -> Config:
    """A Config from one YAML file; keys that are not given keep their defaults.

    Raises:
        InputError: the file is missing, is not YAML, or holds an unknown key or a value of a wrong type.
    """
    parser = OneLineParser(prog="simsiam-tf", exit_on_error=False)
    add_config(parser)
    if not Path(path).is_file():
        raise InputError(f"no configuration at {path}; is this a run folder of simsiam-tf?")
    return build(parser, parser.parse_args(["--config", str(path)]))


def stored(run: str | Path) -> Path:
    """The configuration in a run folder.

    Raises:
        InputError: it is no run folder.
    """
    path = Path(run) / "config.yaml"
    if not path.is_file():
        raise InputError(f"RUN: {run} is no run folder (it has no config.yaml); give one that train has made")
    return path


def differences(here: Config, asked: Config) -> list[str]:
    """Dotted keys whose values differ."""
    a, b = flat(here), flat(asked)
    return [key for key in b if a[key] != b[key]]


def only_differ_in(here: Config, asked: Config, prefixes: tuple[str, ...]) -> None:
    """Raise InputError if `asked` changes a setting that this command cannot change."""
    for key in differences(here, asked):
        if not key.startswith(prefixes):
            raise InputError(f"{key}: it belongs to the trained run; only {' and '.join(prefixes)}* can be given here")


def build(parser: ArgumentParser, namespace) -> Config:
    """The checked Config of parsed arguments."""
    for name in Config.__dataclass_fields__:
        if namespace[name] is None:
            raise InputError(f"{name}: null is no value of it; leave it out, or give one")
    values = parser.instantiate(namespace)
    return check(Config(**{name: values[name] for name in Config.__dataclass_fields__}))


def write(config: Config, path: Path) -> None:
    """Write the complete configuration as YAML, atomically."""
    with replacing(path) as partial:
        partial.write_text(yaml.dump(yaml_values(config), Dumper=_Quoting, sort_keys=False))


class _Quoting(yaml.SafeDumper):
    """Quotes text that looks like a number: PyYAML writes 1e-3 plain, and jsonargparse reads that as a float."""


def _quoted(dumper, text):
    style = '"' if text.startswith(tuple("+-.0123456789")) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Quoting.add_representer(str, _quoted)
