"""The methods by the name that a configuration gives them."""

from importlib import import_module

from simsiam_tf.methods.base import Method
from simsiam_tf.methods.step import Batch
from simsiam_tf.settings.methods import METHODS as SETTINGS

METHODS = {
    name: getattr(import_module(f"{__name__}.{name}"), settings.__name__.removesuffix("Settings"))
    for name, settings in SETTINGS.items()
}
globals().update({method.__name__: method for method in METHODS.values()})

__all__ = ["METHODS", "Batch", "Method", *(method.__name__ for method in METHODS.values())]
