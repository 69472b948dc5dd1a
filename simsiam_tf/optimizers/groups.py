"""A method's variables in groups, each under an optimizer of its own (Chen & He 2021, sec. 4.2)."""

import math
import re

import keras
import tensorflow as tf

from simsiam_tf.optimizers.schedules import Constant, EpochCosine, demand
from simsiam_tf.optimizers.sgd import SGD

# Full-matched against variable.path: the variables of any layer named "predictor", at any depth.
PREDICTOR = r"(.*/)?predictor/.*"
PREDICTOR_SCHEDULES = ("constant", "cosine")


def make_optimizer(
    base_learning_rate,
    batch_size,
    steps_per_epoch,
    epochs,
    momentum=0.9,
    weight_decay=0.0,
    warmup_epochs=0,
    predictor_ratio=1.0,
    predictor_schedule="constant",
):
    """SimSiam's optimizer: SGD for the encoder, another SGD for the variables under the layer "predictor".

    The encoder's rate is base_learning_rate * batch_size / 256 under EpochCosine, the predictor's is
    predictor_ratio times that. predictor_schedule "constant" fixes it at the initial rate from the first step
    on, warm-up or not (official --fix-pred-lr, sec. 4.2); "cosine" follows the encoder, warm-up included.
    predictor_ratio 0 keeps the predictor as initialised (Table 1b). Momentum and weight decay are common.

    Returns:
        keras.optimizers.MultiOptimizer; see `learning_rates` and `assert_routing`.

    Raises:
        InputError: an argument is out of range or the schedule is unknown.
    """
    demand(0 < base_learning_rate < math.inf, "base_learning_rate", base_learning_rate, "a number > 0")
    demand(batch_size >= 1, "batch_size", batch_size, "at least 1")
    demand(0 <= predictor_ratio < math.inf, "predictor_ratio", predictor_ratio, "a number >= 0")
    known = " or ".join(PREDICTOR_SCHEDULES)
    demand(predictor_schedule in PREDICTOR_SCHEDULES, "predictor_schedule", predictor_schedule, known)
    rate = base_learning_rate * batch_size / 256
    encoder = EpochCosine(rate, steps_per_epoch, epochs, warmup_epochs)
    if predictor_schedule == "constant":
        predictor = Constant(predictor_ratio * rate)
    else:
        predictor = EpochCosine(predictor_ratio * rate, steps_per_epoch, epochs, warmup_epochs)
    optimizers = keras.optimizers.OptimizerMap(
        SGD(encoder, momentum, weight_decay, name="encoder"),
        {PREDICTOR: SGD(predictor, momentum, weight_decay, name="predictor")},
    )
    return keras.optimizers.MultiOptimizer(optimizers)


def _parts(optimizer):
    """The optimizers that do the work, the default one last, inside loss scaling and MultiOptimizer."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    return list(getattr(optimizer, "optimizers", [optimizer]))


def learning_rates(optimizer):
    """The rates of the next step: {"learning_rate": float} and "<name>_learning_rate" of each other part.

    With `make_optimizer` that is "learning_rate" and "predictor_learning_rate"; any Keras optimizer will do.
    """
    *others, default = _parts(optimizer)
    rates = {"learning_rate": default, **{f"{part.name}_learning_rate": part for part in others}}
    return {key: float(tf.convert_to_tensor(part.learning_rate)) for key, part in rates.items()}


def variable_counts(optimizer):
    """How many variables each part of a built optimizer trains, {name: count}."""
    return {part.name: len(part._trainable_variables) for part in _parts(optimizer)}


def assert_routing(optimizer, predictor_variables):
    """Check that the part named "predictor" of a built optimizer trains exactly the predictor's variables.

    The routing goes by path, so a renamed layer would silently get the encoder's learning rate. Optimizers
    without a part of that name pass: one optimizer for everything is a legitimate choice.

    Args:
        predictor_variables: the predictor's trainable variables; [] for a method without a predictor.

    Raises:
        ValueError: a variable of the predictor went elsewhere, or a foreign one came in.
    """
    for part in _parts(optimizer):
        if part.name != "predictor":
            continue
        expected = {v.path for v in predictor_variables}
        received = {v.path for v in part._trainable_variables}
        if expected != received:
            strays = [path for path in sorted(expected) if not re.fullmatch(PREDICTOR, path)]
            raise ValueError(
                f"the predictor's optimizer received {len(received)} variables instead of {len(expected)}: "
                f"paths must match {PREDICTOR!r}, these do not: {strays}; name the layer 'predictor'"
            )
