"""SGD in PyTorch's form: weight decay is coupled into the gradient, before the momentum (torch.optim.SGD)."""

import math

import keras
import tensorflow as tf

from simsiam_tf.optimizers.schedules import demand


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
            demand(0 <= learning_rate < math.inf, "learning_rate", learning_rate, "a number >= 0")
            learning_rate = float(learning_rate)
        demand(0 <= momentum < 1, "momentum", momentum, "in [0, 1)")
        demand(0 <= weight_decay < math.inf, "weight_decay", weight_decay, "a number >= 0")
        super().__init__(learning_rate, weight_decay=float(weight_decay), name=name, **kwargs)
        self.momentum = float(momentum)

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.velocities = self.add_optimizer_variables(variables, "velocity") if self.momentum else []

    def update_step(self, gradient, variable, learning_rate):
        step = self.direction(tf.cast(gradient, variable.dtype), variable)
        if rest := getattr(self._learning_rate, "rest", 0):  # as torch does with what has no gradient
            step = tf.where(self.iterations < rest, tf.zeros_like(step), step)
        if self.momentum:
            velocity = self.velocities[self._get_variable_index(variable)]
            step = velocity * self.momentum + step
            self.assign(velocity, step)
        self.assign_sub(variable, tf.cast(learning_rate, variable.dtype) * step)

    def direction(self, gradient, variable):
        """What enters the velocity: the gradient with the weight decay."""
        # Python floats as factors take the variable's dtype; casting them would round to float32 on the way.
        return gradient + self.weight_decay * variable if self.weight_decay else gradient

    def _apply_weight_decay(self, variables):
        """Keras's decoupled decay; update_step already decays."""

    def exclude_from_weight_decay(self, var_list=None, var_names=None):
        raise NotImplementedError("this SGD decays every variable; give others an optimizer of their own")

    def get_config(self):
        return {**super().get_config(), "momentum": self.momentum}
