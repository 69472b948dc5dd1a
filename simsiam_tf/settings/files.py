"""Reading, comparing and writing a Config: YAML files, dotted overrides, one-line errors.

jsonargparse does the parsing: it derives options, help and type checks from the dataclasses. Which dataclasses, the
names of backbone, method and optimizer say, and so these are read first.
"""

from __future__ import annotations

from dataclasses import MISSING, asdict, fields
from itertools import zip_longest
from pathlib import Path

import yaml
from jsonargparse import ActionConfigFile, ArgumentParser, Namespace

from simsiam_tf.errors import InputError
from simsiam_tf.settings import yaml_files
from simsiam_tf.settings.backbones import BACKBONES
from simsiam_tf.settings.methods import METHODS
from simsiam_tf.settings.optimizers import OPTIMIZERS
from simsiam_tf.settings.renamed import upgraded
from simsiam_tf.settings.schema import Config
from simsiam_tf.settings.types import marked, shown
from simsiam_tf.settings.wording import one_line

BY_NAME = {"backbone": BACKBONES, "method": METHODS, "optimizer": OPTIMIZERS}
# What means the same in all of them.
COMMON = {"backbone": ("mean", "std"), "method": (), "optimizer": ("batch_size", "epochs", "warmup_epochs")}


class OneLineParser(ArgumentParser):
    """An argument parser whose errors are one line with the key, the value and the way out; options are spelt out."""

    def __init__(self, **options):
        super().__init__(**options, allow_abbrev=False)

    def error(self, message: str, ex: Exception | None = None):
        raise InputError(one_line(str(message), self.prog))


class ConfigFile(ActionConfigFile):
    """`--config` takes a path, or the bare name of a shipped file."""

    def __call__(self, parser, namespace, value, option_string=None):
        if isinstance(value, str):
            path = yaml_files.find(value)
            before = yaml_files.content(path)
            after = upgraded(before)
            for section, name in parser.chosen.items():
                after = of_name(after, section, name)
            value = str(path) if after == before else yaml.safe_dump(after)
        super().__call__(parser, namespace, value, option_string)


def add_config(parser: ArgumentParser, arguments: list[str]) -> None:
    """Give a parser `--config` and one dotted option per setting, those of the backbone, method and optimizer in use.

    Args:
        arguments: What will be parsed.

    Raises:
        InputError: there is no such backbone, method or optimizer, or the file of `--config` is none.
    """
    parser.epilog = "".join(
        f"Options of another {section}: --{section}.name NAME --help, NAME being one of {', '.join(known)}. "
        for section, known in BY_NAME.items()
    )
    parser.add_argument("--config", action=ConfigFile, help="YAML file, or the name of a shipped one")
    sections = {each.name: each.default_factory for each in fields(Config) if each.default_factory is not MISSING}
    parser.add_class_arguments(Config, None, skip=set(sections))
    parser.chosen = {section: chosen(arguments, section) for section in BY_NAME}
    sections |= {section: BY_NAME[section][name] for section, name in parser.chosen.items()}
    for section, kind in sections.items():
        parser.add_class_arguments(kind, section)


def of_name(content: dict, section: str, name: str) -> dict:
    """A file's content without what it says of a method, optimizer or backbone of other settings than this one's."""
    part, known = content.get(section) or {}, BY_NAME[section]
    if known.get(part.get("name", next(iter(known)))) is known[name]:
        return content
    return content | {section: {key: part[key] for key in COMMON[section] if key in part} | {"name": name}}


def chosen(arguments: list[str], section: str) -> str:
    """The name of the method, optimizer or backbone that these arguments or their file choose; by default the first.

    Raises:
        InputError: there is none of that name, or the file of `--config` is none.
    """
    file, name, known = _last(arguments, "--config"), _last(arguments, f"--{section}.name"), BY_NAME[section]
    part = (yaml_files.content(yaml_files.find(file)).get(section) if file is not None else None) or {}
    if not isinstance(part, dict):
        raise InputError(f"{section}: {shown(part)} is no value of it; give {section}: {{name: {part}}}")
    name = part.get("name", next(iter(known))) if name is None else name
    if not isinstance(name, str) or name not in known:
        raise InputError(f"{section}.name: {shown(name)} is unknown; give one of {', '.join(known)}")
    return name


def _last(arguments: list[str], option: str) -> str | None:
    """The value of the last `option VALUE` or `option=VALUE`."""
    found = None
    for argument, following in zip_longest(arguments, arguments[1:]):
        if argument == option and not str(following).startswith("--"):
            found = following
        elif argument.startswith(f"{option}="):
            found = argument.split("=", 1)[1]
    return found


def without_config(arguments: list[str]) -> tuple[str | None, list[str]]:
    """The value of `--config`, and the other arguments."""
    front = file_first(arguments, None)
    if front[:1] == ["--config"]:
        return (front[1] if len(front) > 1 else None), front[2:]
    return (front[0].split("=", 1)[1], front[1:]) if front and front[0].startswith("--config=") else (None, front)


def file_first(arguments: list[str], default: str | None) -> list[str]:
    """Arguments with `--config` at the front, so that options win over the file wherever they stand."""
    for index, argument in enumerate(arguments):
        if argument.startswith("--config="):
            return [argument, *arguments[:index], *arguments[index + 1 :]]
        if argument == "--config":
            return [*arguments[index : index + 2], *arguments[:index], *arguments[index + 2 :]]
    return arguments if default is None else ["--config", default, *arguments]


def parse(parser: ArgumentParser, arguments: list[str]) -> tuple[Namespace, Config]:
    """A verb's own options, which the parser has, and the Config of its arguments."""
    add_config(parser, arguments)
    options = parser.parse_args(arguments)
    return options, build(parser, options)


def read(path: Path) -> Config:
    """A Config from one YAML file; keys that are not given keep their defaults.

    Raises:
        InputError: the file is missing, is not YAML, or holds an unknown key or a value that cannot be.
    """
    if not Path(path).is_file():
        raise InputError(f"RUN: no configuration at {path}; give a run folder that train has made")
    return parse(OneLineParser(prog="simsiam-tf train", exit_on_error=False), ["--config", str(path)])[1]


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
    for key, value in _plain(asdict(config)).items():
        result |= {f"{key}.{sub}": v for sub, v in value.items()} if isinstance(value, dict) else {key: value}
    return result


def _plain(value):
    """Tuples become lists."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value


def differences(here: Config, asked: Config) -> list[str]:
    """Dotted keys whose values differ, or that only one of the two has."""
    a, b = flat(here), flat(asked)
    return [key for key in b | a if a.get(key, ...) != b.get(key, ...)]


def fixed_differences(here: Config, asked: Config) -> list[str]:
    """Those that decide the weights or the figures of a run."""
    free = marked(asked, "free")
    return [key for key in differences(here, asked) if key not in free]


def only_differ_in(here: Config, asked: Config, prefixes: tuple[str, ...]) -> None:
    """Raise InputError if `asked` changes a setting that this command cannot change."""
    for key in differences(here, asked):
        if not key.startswith(prefixes):
            raise InputError(
                f"{key}: {shown(flat(asked).get(key))} is not the trained run's; give only {'* and '.join(prefixes)}*"
            )


def build(parser: ArgumentParser, namespace) -> Config:
    """The checked Config of parsed arguments."""
    for each in fields(Config):
        value, is_section = namespace[each.name], each.default_factory is not MISSING
        if value is None or (is_section and not isinstance(value, Namespace)):
            wanted = f"give {each.name}: {{key: value}}, or leave it out" if is_section else "leave it out, or give one"
            raise InputError(f"{each.name}: {shown(value)} is no value of it; {wanted}")
    values = parser.instantiate(namespace)
    return Config(**{name: values[name] for name in Config.__dataclass_fields__})


def write(config: Config, path: Path) -> None:
    """Write the complete configuration as YAML, atomically."""
    yaml_files.write(_plain(asdict(config)), path)
