"""The methods by the name that a configuration gives them."""

import simsiam_tf.optimizers  # noqa: F401  registers them, so that a compiled method loads
from simsiam_tf.methods.base import Method
from simsiam_tf.methods.simsiam import SimSiam

METHODS = {"simsiam": SimSiam}

__all__ = ["METHODS", "Method", "SimSiam"]
