"""Self-supervised pre-training of image encoders with SimSiam, in Keras 3 and TensorFlow.

Names are imported on first use, so that the command line can answer `--help` without TensorFlow.
"""

from importlib import import_module

_HOME = {
    "SimSiam": "methods",
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
}
__all__ = [*_HOME]


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__():
    return sorted([*globals(), *_HOME])
