"""The methods by the name that a configuration gives them."""

from simsiam_tf.methods.base import Method
from simsiam_tf.methods.simsiam import SimSiam

METHODS = {"simsiam": SimSiam}

__all__ = ["METHODS", "Method", "SimSiam"]
