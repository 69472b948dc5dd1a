"""SGD in PyTorch's form, the learning-rate schedules of SimSiam, and the predictor's own optimizer.

The update is that of torch.optim.SGD (weight decay coupled into the gradient, before the momentum); the
schedules are those of the official code: base rate x batch / 256, cosine over the epoch index, predictor at a
fixed rate (Chen & He 2021, sec. 3 and 4.2, appendix A and D).
"""

import math
import re

import keras
import tensorflow as tf

from simsiam_tf.errors import InputError

# Full-matched against variable.path: the variables of any layer named "predictor", at any depth.
PREDICTOR = r"(.*/)?predictor/.*"
PREDICTOR_SCHEDULES = ("constant", "cosine")


def _check(ok, name, value, expected):
    if not ok:
        raise InputError(f"{name} must be {expected}, got {value!r}")


@keras.saving.register_keras_serializable(package="simsiam_tf")
class SGD(keras.optimizers.Optimizer):
    """Stochastic gradient descent with momentum and coupled weight decay, as torch.optim.SGD.

    For every trainable variable w, biases and BatchNorm's variables too (Chen & He 2021, appendix A):
    g += weight_decay * w;  v = momentum * v + g;  w -= learning_rate * v.
    Keras's own weight_decay is decoupled, about ten times weaker at momentum 0.9; it is switched off here.

    Args:
        learning_rate: float >= 0 or a LearningRateSchedule. Keras keeps a float as a variable, in float32.
        momentum: in [0, 1); 0 keeps no velocity.
        weight_decay: >= 0, coupled.
        **kwargs: those of keras.optimizers.Optimizer (clipnorm, gradient_accumulation_steps, ...).

    Raises:
        InputError: an argument is out of range.
    """

    def __init__(self, learning_rate=0.1, momentum=0.9, weight_decay=0.0, name="sgd", **kwargs):
        if not callable(learning_rate):
            _check(0 <= learning_rate < math.inf, "learning_rate", learning_rate, "a number >= 0")
            learning_rate = float(learning_rate)
        _check(0 <= momentum < 1, "momentum", momentum, "in [0, 1)")
        _check(0 <= weight_decay < math.inf, "weight_decay", weight_decay, "a number >= 0")
        super().__init__(learning_rate, weight_decay=float(weight_decay), name=name, **kwargs)
        self.momentum = float(momentum)

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.velocities = self.add_optimizer_variables(variables, "velocity") if self.momentum else []

    def update_step(self, gradient, variable, learning_rate):
        # Python floats as factors take the variable's dtype; casting them would round to float32 on the way.
        step = tf.cast(gradient, variable.dtype)
        if self.weight_decay:
            step = step + self.weight_decay * variable
        if self.momentum:
            velocity = self.velocities[self._get_variable_index(variable)]
            step = velocity * self.momentum + step
            self.assign(velocity, step)
        self.assign_sub(variable, tf.cast(learning_rate, variable.dtype) * step)

    def _apply_weight_decay(self, variables):
        """Keras's decoupled decay; update_step already decays."""

    def exclude_from_weight_decay(self, var_list=None, var_names=None):
        raise NotImplementedError("this SGD decays every variable; give others an optimizer of their own")

    def get_config(self):
        return {**super().get_config(), "momentum": self.momentum}


@keras.saving.register_keras_serializable(package="simsiam_tf")
class Constant(keras.optimizers.schedules.LearningRateSchedule):
    """The same rate at every step, in float64 (a rate given as a float is rounded to float32 by Keras)."""

    def __init__(self, rate):
        _check(0 <= rate < math.inf, "rate", rate, "a number >= 0")
        self.rate = float(rate)

    def __call__(self, step):
        return tf.constant(self.rate, tf.float64)

    def get_config(self):
        return {"rate": self.rate}


@keras.saving.register_keras_serializable(package="simsiam_tf")
class EpochCosine(keras.optimizers.schedules.LearningRateSchedule):
    """Cosine decay that changes once per epoch, after an optional linear warm-up; float64 scalar of the step.

    With e = step // steps_per_epoch, the rate is base_rate * (1 + cos(pi * e / epochs)) / 2, the official
    SimSiam code's `adjust_learning_rate`: epochs count from 0, hence the last epoch's rate is above 0; from
    step epochs * steps_per_epoch on it is 0.
    The warm-up (Goyal et al. 2017; 10 epochs for batches >= 1024 in sec. 4.3, none in the official code)
    grows per step from base_rate / w to base_rate over the first w = warmup_epochs * steps_per_epoch steps.
    The cosine neither waits for it nor is stretched by it: it has been falling since epoch 0 by then.

    Raises:
        InputError: an argument is out of range, such as warmup_epochs > epochs.
    """

    def __init__(self, base_rate, steps_per_epoch, epochs, warmup_epochs=0):
        _check(0 <= base_rate < math.inf, "base_rate", base_rate, "a number >= 0")
        _check(steps_per_epoch >= 1, "steps_per_epoch", steps_per_epoch, "at least 1")
        _check(epochs >= 1, "epochs", epochs, "at least 1")
        _check(0 <= warmup_epochs <= epochs, "warmup_epochs", warmup_epochs, f"from 0 to epochs = {epochs}")
        self.base_rate = float(base_rate)
        self.steps_per_epoch = int(steps_per_epoch)
        self.epochs = int(epochs)
        self.warmup_epochs = int(warmup_epochs)

    def __call__(self, step):
        step = tf.cast(keras.ops.convert_to_tensor(step), tf.int64)
        epoch = tf.minimum(step // self.steps_per_epoch, self.epochs)
        rate = self.base_rate * (1 + tf.cos(math.pi * tf.cast(epoch, tf.float64) / self.epochs)) / 2
        warmup_steps = self.warmup_epochs * self.steps_per_epoch
        if not warmup_steps:
            return rate
        ramp = self.base_rate * tf.cast(step + 1, tf.float64) / warmup_steps
        return tf.where(step < warmup_steps, ramp, rate)

    def get_config(self):
        return {
            "base_rate": self.base_rate,
            "steps_per_epoch": self.steps_per_epoch,
            "epochs": self.epochs,
            "warmup_epochs": self.warmup_epochs,
        }


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
    _check(0 < base_learning_rate < math.inf, "base_learning_rate", base_learning_rate, "a number > 0")
    _check(batch_size >= 1, "batch_size", batch_size, "at least 1")
    _check(0 <= predictor_ratio < math.inf, "predictor_ratio", predictor_ratio, "a number >= 0")
    known = " or ".join(PREDICTOR_SCHEDULES)
    _check(predictor_schedule in PREDICTOR_SCHEDULES, "predictor_schedule", predictor_schedule, known)
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
