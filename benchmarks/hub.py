"""Draws which parts each method has, SimSiam's figure 3 as a table, from the classes and their settings alone.

python benchmarks/hub.py docs/images/hub.png
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
from matplotlib.figure import Figure

from simsiam_tf import METHODS
from simsiam_tf.methods.bank import ImageBank
from simsiam_tf.methods.targets import Follower, Prototypes
from simsiam_tf.settings.methods import METHODS as SETTINGS

PARTS = ["stop-gradient", "predictor", "moving target", "negatives", "clustering"]
VARIANTS = {
    "SimSiam": ("simsiam", {}),
    "SimSiam, bank": ("alternating", {"target": "bank", "predictor": "none"}),
    "BYOL": ("byol", {}),
    "MoCo v2": ("moco", {}),
    "SimCLR": ("simclr", {}),
    "SimCLR, hybrid": ("simclr", {"predictor": "mlp", "stop_gradient": True}),
    "SwAV": ("swav", {}),
}


def parts(name, settings):
    """{part: whether the method has it}, from what it is made of."""
    small = {key: 8 for key, value in SETTINGS[name]().arguments().items() if type(value) is int and value > 8}
    backbone = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Flatten()])
    model = METHODS[name](backbone, num_images=8, steps_per_epoch=1, **small | settings)
    layers = [type(layer) for layer in model.layers]
    moving = Follower in layers or ImageBank in layers
    return {
        "stop-gradient": moving or getattr(model.settings, "stop_gradient", False),
        "predictor": getattr(model, "predictor", None) is not None,
        "moving target": moving,
        "negatives": model.negatives,
        "clustering": Prototypes in layers,
    }


def draw(path):
    """The figure, which is saved."""
    figure = Figure(figsize=(7.5, 3.2), layout="constrained")
    axis = figure.subplots()
    for y, variant in enumerate(VARIANTS.values()):
        for x, (part, there) in enumerate(parts(*variant).items()):
            axis.plot(x, y, "o", markersize=13, color="tab:blue" if there else "white", markeredgecolor="tab:blue")
            axis.annotate("yes" if there else "no", (x, y), (12, -3), textcoords="offset points", fontsize=8)
            assert part == PARTS[x]
    axis.set_xticks(range(len(PARTS)), PARTS)
    axis.set_yticks(range(len(VARIANTS)), VARIANTS)
    axis.set(xlim=(-0.5, len(PARTS) - 0.2), ylim=(len(VARIANTS) - 0.5, -0.5))
    axis.xaxis.tick_top()
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    figure.savefig(path, dpi=110)
    return figure


if __name__ == "__main__":
    draw(sys.argv[1])
