"""NNSiam: SimSiam towards nearest neighbours (Li et al. 2022, Understanding Collapse, supplement, section 3.2)."""

import keras
import tensorflow as tf

from simsiam_tf.methods.simsiam import SimSiam
from simsiam_tf.methods.targets import Queue
from simsiam_tf.settings.methods.nnsiam import NNSiamSettings


@keras.saving.register_keras_serializable(package="simsiam_tf")
class NNSiam(SimSiam):
    """Each prediction meets what is nearest to the other view's projection in a queue of earlier batches.

    As in the authors' code, the queue gets the first view's projections alone, as they are, after the step. It does
    not mind micro-batches: all parts look at the queue of before the step, which then gets the whole batch. Batches of
    unknown size, such as an array's in a script, are not held to divide the queue; it is a ring for these, too.
    """

    Settings = NNSiamSettings

    def build_heads(self, feature_dim):
        super().build_heads(feature_dim)
        s = self.settings
        self.queue = Queue(s.queue, s.projection_dim, seed=self.seed, name="queue")

    def targets(self, z):
        return super().targets([nearest(each, self.queue.rows) for each in z])

    def after_step(self, outputs, batch):
        first = outputs["z"][0]
        if first.shape[0] is not None:
            self.settings.check_batch(first.shape[0] * self.distribute_strategy.num_replicas_in_sync)
        self.queue.push(first)


def nearest(rows, others):
    """The one of `others` (m, d) at the smallest Euclidean distance from each of `rows` (n, d): (n, d)."""
    others = tf.convert_to_tensor(others)
    products = tf.matmul(tf.cast(rows, others.dtype), others, transpose_b=True)
    distances = tf.reduce_sum(tf.square(others), axis=1) - 2 * products  # squared, less a row's own square
    return tf.gather(others, tf.argmin(distances, axis=1))
