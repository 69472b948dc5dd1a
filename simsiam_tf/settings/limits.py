"""What a Config may hold: the ranges of its values, as dotted keys.

Nothing here looks at data or devices; those refuse what does not fit them when they meet it.
"""

from __future__ import annotations

import math
from dataclasses import asdict

from simsiam_tf.errors import InputError
from simsiam_tf.settings.schema import Config

_AT_LEAST_ONE = [
    "data.image_size",
    "data.store_size",
    "data.limit",
    "data.test_limit",
    "backbone.width",
    "method.projection_dim",
    "method.projector_hidden",
    "method.predictor_hidden",
    "optimizer.batch_size",
    "optimizer.epochs",
    "training.steps_per_execution",
    "training.stop_after_steps",
    "training.checkpoint_epochs",
    "training.keep_checkpoints",
    "monitor.knn_bank",
    "monitor.collapse_patience",
    "evaluation.subsets",
    "evaluation.neighbors",
    "evaluation.linear_epochs",
    "evaluation.supervised_steps",
]
_AT_LEAST_ZERO = [
    "seed",
    "optimizer.warmup_epochs",
    "optimizer.weight_decay",
    "optimizer.predictor_ratio",
    "monitor.knn_epochs",
    "monitor.collapse_epochs",
]
_ABOVE_ZERO = [
    "optimizer.learning_rate",
    "evaluation.temperature",
    "evaluation.linear_learning_rate",
    "evaluation.supervised_learning_rate",
]
_PROBABILITY = [
    "augmentation.min_area",
    "augmentation.flip",
    "augmentation.jitter_probability",
    "augmentation.grayscale",
    "augmentation.blur_probability",
]


def flat(config: Config) -> dict:
    """{"data.source": ..., ...}, with plain values."""
    result = {}
    for key, value in yaml_values(config).items():
        result |= {f"{key}.{sub}": v for sub, v in value.items()} if isinstance(value, dict) else {key: value}
    return result


def yaml_values(config: Config) -> dict:
    """Nested plain values; tuples become lists."""

    def plain(value):
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        return list(value) if isinstance(value, tuple) else value

    return plain(asdict(config))


def check(config: Config) -> Config:
    """Refuse values that no run can use.

    Raises:
        InputError: names the key, its value and the range.
    """

    def value(key):
        part = config
        for name in key.split("."):
            part = getattr(part, name)
        return part

    def demand(keys, holds, range_):
        for key in keys:
            if value(key) not in (None, "auto") and not holds(value(key)):
                raise InputError(f"{key}: {value(key)} is out of range; give {range_}")

    optional = {key for key, default in flat(Config()).items() if default is None}
    for key, given in flat(config).items():
        if given is None and key not in optional:
            raise InputError(f"{key}: null is no value of it; leave it out, or give one")
        for v in given if isinstance(given, list) else [given]:
            if isinstance(v, int | float) and not abs(v) < (2**31 if isinstance(v, int) else math.inf):
                raise InputError(f"{key}: {v} is out of range; give a finite number, a whole one below 2147483648")
            if isinstance(v, str) and any(c < " " for c in v):
                raise InputError(f"{key}: {v!r} holds control characters; leave them out")
    demand(_AT_LEAST_ONE, lambda v: v >= 1, "1 or more")
    demand(_AT_LEAST_ZERO, lambda v: v >= 0, "0 or more")
    demand(_ABOVE_ZERO, lambda v: v > 0, "a number above 0")
    demand(_PROBABILITY, lambda v: 0 <= v <= 1, "a number from 0 to 1")
    demand(["data.validation_fraction", "optimizer.momentum"], lambda v: 0 <= v < 1, "a number from 0 to below 1")
    demand(["method.projector_layers"], lambda v: v in (2, 3), "2 or 3")
    demand(["evaluation.fractions"], lambda v: v and all(0 < f <= 1 for f in v), "numbers above 0, up to 1")
    demand(["optimizer.warmup_epochs"], lambda v: v < config.optimizer.epochs, "fewer than optimizer.epochs")
    demand(["augmentation.hue"], lambda v: 0 <= v <= 0.5, "a number from 0 to 0.5")
    t = config.training
    if t.jit_compile is True and t.deterministic is not False:
        raise InputError("training.jit_compile: true rules out repeatable runs; give training.deterministic false, too")
    if t.distribution != "none" and t.jit_compile is True:
        raise InputError("training.jit_compile: true, but XLA does not compile a step on several devices; give auto")
    if t.distribution != "none" and t.precision == "float16":
        raise InputError("training.precision: float16's loss scale is not kept over several devices; give bfloat16")
    demand(["name"], lambda v: v and "/" not in v and v not in (".", ".."), "a plain folder name")
    return config
