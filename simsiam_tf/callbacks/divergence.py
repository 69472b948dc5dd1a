"""Ends a training whose loss is NaN or infinite before anything of it is saved."""

import keras
import tensorflow as tf

from simsiam_tf.errors import Diverged


class DivergenceMonitor(keras.callbacks.Callback):
    """Raises `Diverged` out of `fit` when the method has met a loss or gradients that are not finite.

    At the end of an epoch the weights and statistics are looked at, too: an update, or a variance, can overflow alone.
    Of several workers all must have it: they then come to the same verdict at the same step.

    The method notes the step on the device. Asking it waits for the device, hence only every so often.
    Put it first: an epoch that has diverged then ends before other callbacks look at it or save it.

    Args:
        steps_per_epoch: For the message; default: that of the present `fit`.
        every: Batches between two looks; the end of an epoch is always looked at.
    """

    def __init__(self, steps_per_epoch=None, every=50):
        super().__init__()
        self.steps_per_epoch, self.every = steps_per_epoch, every
        self._batches = 0
        self._all_finite = tf.function(_all_finite, autograph=False)  # one call and one answer, not one a variable

    def check(self):
        """Raise `Diverged` if the model has."""
        step = int(self.model.diverged_at.numpy())
        if step >= 0:
            raise Diverged(step, self.steps_per_epoch or self.params["steps"])

    def check_state(self):
        """`check`, and raise `Diverged` if a number that a checkpoint would hold is not finite."""
        self.check()
        probe = [] if self.model.probe is None else self.model.probe.variables
        variables = [*self.model.weights, *self.model.optimizer.variables, *probe]
        values = [tf.convert_to_tensor(v) for v in variables if v.dtype.startswith(("float", "bfloat"))]
        if not bool(self._all_finite(values)):
            step = int(self.model.step.numpy()) - 1
            raise Diverged(step, self.steps_per_epoch or self.params["steps"])

    def on_train_batch_end(self, batch, logs=None):
        self._batches += 1
        if self._batches % self.every == 0:
            self.check()

    def on_epoch_end(self, epoch, logs=None):
        self.check_state()


def _all_finite(values):
    return tf.reduce_all(tf.stack([tf.reduce_all(tf.math.is_finite(value)) for value in values]))
