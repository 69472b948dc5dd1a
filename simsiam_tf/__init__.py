"""Self-supervised pre-training of image encoders with SimSiam, in Keras 3 and TensorFlow.

Names are imported on first use, so that the command line can answer `--help` without TensorFlow.
"""

from importlib import import_module

from simsiam_tf import cuda as _cuda
from simsiam_tf.settings.methods import METHODS as _SETTINGS

_cuda.preload()  # here, so that whatever is imported of this package finds the GPU
_HOME = {settings.__name__.removesuffix("Settings"): "methods" for settings in _SETTINGS.values()} | {
    "METHODS": "methods",
    "KNNMonitor": "callbacks",
    "LinearProbe": "callbacks",
    "CollapseMonitor": "callbacks",
    "DivergenceMonitor": "callbacks",
    "Rates": "callbacks",
    "ViewImages": "callbacks",
    "SGD": "optimizers",
    "EpochCosine": "optimizers",
    "make_optimizer": "optimizers",
    "recipe": "augment",
    "backbones": "networks",
}
__all__ = [*_HOME]


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = import_module(f"{__name__}.{_HOME[name]}")
    return home if name == "backbones" else getattr(home, name)


def __dir__():
    return sorted([*globals(), *_HOME])
