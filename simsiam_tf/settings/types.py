"""What a setting may be: ranges that stand in its type, marks in its field's metadata, and the check of both.

A range is part of the type, `Annotated[int, Range(1)]`, so that one fact stands in one place: the command line reads
it from files and options, `check` from whatever a script gives.
"""

from __future__ import annotations

import math
import types
from dataclasses import dataclass, field, fields, is_dataclass
from numbers import Integral, Real
from typing import Annotated, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

from simsiam_tf.errors import InputError

LARGEST = 2**31 - 1  # of whole numbers: TensorFlow's int32


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`; `above` and `below` leave the ends out."""

    low: float
    high: float = math.inf
    above: bool = False
    below: bool = False

    def __contains__(self, value) -> bool:
        return (self.low < value if self.above else self.low <= value) and (
            value < self.high if self.below else value <= self.high
        )

    def __str__(self) -> str:
        if self.high == math.inf:
            return f"above {self.low:g}" if self.above else f"{self.low:g} or more"
        return f"{'above' if self.above else 'from'} {self.low:g} to {'below ' if self.below else ''}{self.high:g}"


Count = Annotated[int, Range(1)]
Natural = Annotated[int, Range(0)]
Positive = Annotated[float, Range(0, above=True)]
NonNegative = Annotated[float, Range(0)]
Share = Annotated[float, Range(0, 1)]
PositiveShare = Annotated[float, Range(0, 1, above=True)]
BelowOne = Annotated[float, Range(0, 1, below=True)]
Number = Annotated[float, Range(-math.inf)]


class Section:
    """Dataclasses whose values are checked when they are made; a subclass says what its keys begin with."""

    prefix: ClassVar[str] = ""

    def __post_init__(self):
        check(self, self.prefix)


def setting(default, *, free: bool = False, own: bool = False):
    """A field with marks.

    Args:
        free: may differ from the run that a folder holds: where things lie, how long it goes on, what is kept.
        own: may differ between the workers of a run: where things lie, and what only the first one does.
    """
    return field(default=default, metadata={"free": free, "own": own})


def marked(settings, mark: str, prefix: str = "") -> set[str]:
    """Dotted keys of the fields that carry a mark."""
    found = set()
    for each in fields(settings):
        value = getattr(settings, each.name)
        if is_dataclass(value):
            found |= marked(value, mark, f"{prefix}{each.name}.")
        elif each.metadata.get(mark):
            found.add(prefix + each.name)
    return found


def check(settings, prefix: str) -> None:
    """Refuse a value that its field's type does not allow.

    Raises:
        InputError: names the key, its value and what it can be.
    """
    hints = get_type_hints(type(settings), include_extras=True)
    for each in fields(settings):
        key, value, hint = prefix + each.name, getattr(settings, each.name), hints[each.name]
        if not is_dataclass(value) and not _allows(hint, value):
            large = isinstance(value, Integral) and abs(value) > LARGEST
            wanted = f"a whole number up to {LARGEST}" if large else described(hint)
            raise InputError(f"{key}: {shown(value)} is no value of it; give {wanted}")


def shown(value) -> str:
    """A value as a user would write it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    plain = isinstance(value, Real) or (isinstance(value, str) and value.isprintable() and value)
    return str(value) if plain else repr(list(value) if isinstance(value, tuple) else value)


def _allows(hint, value) -> bool:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _allows(arguments[0], value) and value in arguments[1]
    if origin in (Union, types.UnionType):
        return any(_allows(each, value) for each in arguments)
    if origin is Literal:
        return any(value == each and type(value) is type(each) for each in arguments)
    if origin is tuple:
        if not isinstance(value, tuple | list):
            return False
        items = arguments[:1] * len(value) if arguments[-1] is Ellipsis else arguments
        return len(value) == len(items) and all(map(_allows, items, value))
    if hint is str:
        return isinstance(value, str) and all(character >= " " for character in value)
    if hint is bool or hint is type(None) or is_dataclass(hint):
        return isinstance(value, hint)
    number = Integral if hint is int else Real
    return (
        isinstance(value, number)
        and not isinstance(value, bool)
        and abs(value) < math.inf
        and (hint is float or abs(value) <= LARGEST)
    )


def described(hint) -> str:
    """What a type allows, in words."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        unbounded = arguments[1].low == -math.inf
        return described(arguments[0]) if unbounded else f"{described(arguments[0])} {arguments[1]}"
    if origin in (Union, types.UnionType):
        return " or ".join(map(described, arguments))
    if origin is Literal:
        return " or ".join(str(shown(each)) for each in arguments)
    if origin is tuple:
        length = "" if arguments[-1] is Ellipsis else f"{len(arguments)} values, "
        return f"a list of {length}each {described(arguments[0])}"
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text", type(None): "null"}
    return names.get(hint, "its settings as {key: value}")
