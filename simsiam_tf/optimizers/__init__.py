"""The optimizers of the papers, their schedules, and which variables each of them trains."""

from simsiam_tf.optimizers.groups import Group, check_groups, learning_rates, make_optimizer, variable_counts
from simsiam_tf.optimizers.lars import LARS
from simsiam_tf.optimizers.schedules import Constant, EpochCosine, Resting
from simsiam_tf.optimizers.sgd import SGD

__all__ = [
    "LARS",
    "SGD",
    "Constant",
    "EpochCosine",
    "Group",
    "Resting",
    "check_groups",
    "learning_rates",
    "make_optimizer",
    "variable_counts",
]
