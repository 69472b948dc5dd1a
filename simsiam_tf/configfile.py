"""Reading, checking and writing a Config: YAML files, dotted overrides, one-line errors.

jsonargparse does the parsing: it derives options, help and type checks from the dataclasses.
"""

from __future__ import annotations

import math
import re
from dataclasses import asdict
from pathlib import Path
from typing import NoReturn

import yaml
from jsonargparse import ActionConfigFile, ArgumentParser

from simsiam_tf.atomic import replacing
from simsiam_tf.config import Config
from simsiam_tf.errors import InputError

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
    """Where the shipped YAML files are: beside the package in a clone, inside it when installed."""
    package = Path(__file__).resolve().parent
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"


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


def flat(config: Config) -> dict:
    """{"data.source": ..., ...}, with plain values."""
    result = {}
    for key, value in yaml_values(config).items():
        result |= {f"{key}.{sub}": v for sub, v in value.items()} if isinstance(value, dict) else {key: value}
    return result


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


def yaml_values(config: Config) -> dict:
    """Nested plain values; tuples become lists."""

    def plain(value):
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        return list(value) if isinstance(value, tuple) else value

    return plain(asdict(config))


_AT_LEAST_ONE = [
    "data.image_size",
    "data.store_size",
    "data.limit",
    "data.test_limit",
    "backbone.width",
    "method.projection_dim",
    "method.projector_hidden",
    "method.predictor_hidden",
    "optimizer.batch_size",
    "optimizer.epochs",
    "training.steps_per_execution",
    "training.stop_after_steps",
    "training.checkpoint_epochs",
    "training.keep_checkpoints",
    "monitor.knn_bank",
    "monitor.collapse_patience",
    "evaluation.subsets",
    "evaluation.neighbors",
    "evaluation.linear_epochs",
    "evaluation.supervised_steps",
]
_AT_LEAST_ZERO = [
    "seed",
    "optimizer.warmup_epochs",
    "optimizer.weight_decay",
    "optimizer.predictor_ratio",
    "monitor.knn_epochs",
    "monitor.collapse_epochs",
]
_ABOVE_ZERO = [
    "optimizer.learning_rate",
    "evaluation.temperature",
    "evaluation.linear_learning_rate",
    "evaluation.supervised_learning_rate",
]
_PROBABILITY = [
    "augmentation.min_area",
    "augmentation.flip",
    "augmentation.jitter_probability",
    "augmentation.grayscale",
    "augmentation.blur_probability",
]


def check(config: Config) -> Config:
    """Refuse values that no run can use.

    Raises:
        InputError: names the key, its value and the range.
    """

    def value(key):
        part = config
        for name in key.split("."):
            part = getattr(part, name)
        return part

    def demand(keys, holds, range_):
        for key in keys:
            if value(key) not in (None, "auto") and not holds(value(key)):
                raise InputError(f"{key}: {value(key)} is out of range; give {range_}")

    optional = {key for key, default in flat(Config()).items() if default is None}
    for key, given in flat(config).items():
        if given is None and key not in optional:
            raise InputError(f"{key}: null is no value of it; leave it out, or give one")
        for v in given if isinstance(given, list) else [given]:
            if isinstance(v, int | float) and not abs(v) < (2**31 if isinstance(v, int) else math.inf):
                raise InputError(f"{key}: {v} is out of range; give a finite number, a whole one below 2147483648")
            if isinstance(v, str) and any(c < " " for c in v):
                raise InputError(f"{key}: {v!r} holds control characters; leave them out")
    demand(_AT_LEAST_ONE, lambda v: v >= 1, "1 or more")
    demand(_AT_LEAST_ZERO, lambda v: v >= 0, "0 or more")
    demand(_ABOVE_ZERO, lambda v: v > 0, "a number above 0")
    demand(_PROBABILITY, lambda v: 0 <= v <= 1, "a number from 0 to 1")
    demand(["data.validation_fraction", "optimizer.momentum"], lambda v: 0 <= v < 1, "a number from 0 to below 1")
    demand(["method.projector_layers"], lambda v: v in (2, 3), "2 or 3")
    demand(["evaluation.fractions"], lambda v: v and all(0 < f <= 1 for f in v), "numbers above 0, up to 1")
    demand(["optimizer.warmup_epochs"], lambda v: v < config.optimizer.epochs, "fewer than optimizer.epochs")
    demand(["augmentation.hue"], lambda v: 0 <= v <= 0.5, "a number from 0 to 0.5")
    t = config.training
    if t.jit_compile is True and t.deterministic is not False:
        raise InputError("training.jit_compile: true rules out repeatable runs; give training.deterministic false, too")
    if t.distribution != "none" and t.jit_compile is True:
        raise InputError("training.jit_compile: true, but XLA does not compile a step on several devices; give auto")
    if t.distribution != "none" and t.precision == "float16":
        raise InputError("training.precision: float16's loss scale is not kept over several devices; give bfloat16")
    demand(["name"], lambda v: v and "/" not in v and v not in (".", ".."), "a plain folder name")
    return config
