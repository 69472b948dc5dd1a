"""Learning rates over the steps, in the form of the official SimSiam code (Chen & He 2021, sec. 3, appendix A, D)."""

import math

import keras
import tensorflow as tf

from simsiam_tf.errors import InputError


def demand(ok, name, value, expected):
    """Raise InputError unless `ok`."""
    if not ok:
        raise InputError(f"{name}: {value!r} is out of range; give {expected}")


@keras.saving.register_keras_serializable(package="simsiam_tf")
class Constant(keras.optimizers.schedules.LearningRateSchedule):
    """The same rate at every step, in float64 (a rate given as a float is rounded to float32 by Keras)."""

    def __init__(self, rate):
        demand(0 <= rate < math.inf, "rate", rate, "a number >= 0")
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
        demand(0 <= base_rate < math.inf, "base_rate", base_rate, "a number >= 0")
        demand(steps_per_epoch >= 1, "steps_per_epoch", steps_per_epoch, "at least 1")
        demand(epochs >= 1, "epochs", epochs, "at least 1")
        demand(0 <= warmup_epochs <= epochs, "warmup_epochs", warmup_epochs, f"from 0 to epochs = {epochs}")
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


@keras.saving.register_keras_serializable(package="simsiam_tf")
class Resting(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule's rate, but 0 in the first `rest` steps, in which our `SGD` keeps no velocity either."""

    def __init__(self, schedule, rest):
        demand(rest >= 1, "rest", rest, "at least 1")
        self.schedule, self.rest = schedule, int(rest)

    def __call__(self, step):
        rate = self.schedule(step)
        return tf.where(tf.cast(keras.ops.convert_to_tensor(step), tf.int64) < self.rest, tf.zeros_like(rate), rate)

    def get_config(self):
        return {"schedule": keras.saving.serialize_keras_object(self.schedule), "rest": self.rest}

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config["schedule"]), config["rest"])
