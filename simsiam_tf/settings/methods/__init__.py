"""What can be said of each method: one frozen dataclass a method, in the file of its name, found by `method.name`."""

from importlib import import_module
from pkgutil import iter_modules

from simsiam_tf.settings.methods import simsiam
from simsiam_tf.settings.methods.base import MethodSettings


def _of(module):
    """{name: settings} that a module defines."""
    classes = [each for each in vars(module).values() if isinstance(each, type) and issubclass(each, MethodSettings)]
    return {each.name: each for each in classes if each.name == module.__name__.rpartition(".")[2]}


METHODS = _of(simsiam)  # the first one is the default
for _found in iter_modules(__path__):
    METHODS |= _of(import_module(f"{__name__}.{_found.name}"))

__all__ = ["METHODS", "MethodSettings"]
