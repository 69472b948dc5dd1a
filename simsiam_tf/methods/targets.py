"""Targets that move: networks that follow others. They are layers, hence part of every checkpoint."""

import math

import keras
import tensorflow as tf


class Follower(keras.layers.Layer):
    """Copies of networks, applied one after the other, which follow them: copy = m copy + (1 - m) original.

    Its BatchNorms take the statistics of the batch while training, as the originals do. What is averaged are the
    originals' trainable variables; its moving statistics are its own. It gets no gradient.

    Args:
        networks: Built layers or models, each fed by the one before.
        momentum: m in [0, 1].
        total_steps: Steps after which m has grown to 1 along a cosine (Grill et al. 2020, sec. 3.2):
            m_k = 1 - (1 - m) (cos(pi k / total_steps) + 1) / 2. None: it stays.
    """

    def __init__(self, networks, momentum, total_steps=None, **kwargs):
        super().__init__(**kwargs)
        self.momentum, self.total_steps = momentum, total_steps
        self.networks = [_copy(network) for network in networks]
        self.built = True
        self._originals = lambda: networks  # Keras would take them for this layer's own if it saw them
        pairs = [
            (slow, fast)
            for copy, original in zip(self.networks, networks, strict=True)
            for slow, fast in zip(copy.trainable_variables, original.trainable_variables, strict=True)
        ]
        for slow, _ in pairs:
            slow.trainable = False  # of the layer it would put BatchNorm into inference mode
        self._pairs = lambda: pairs

    def call(self, inputs, training=None):
        outputs = inputs
        for network in self.networks:
            outputs = network(outputs, training=training)
        return tf.stop_gradient(outputs)

    def restart(self):
        """Take all weights and statistics of the originals."""
        for copy, original in zip(self.networks, self._originals(), strict=True):
            copy.set_weights(original.get_weights())

    def momentum_at(self, step):
        """m at a step, from 0; a float64 scalar."""
        if self.total_steps is None:
            return tf.constant(self.momentum, tf.float64)
        progress = tf.minimum(tf.cast(step, tf.float64) / self.total_steps, 1.0)
        return 1 - (1 - self.momentum) * (tf.cos(math.pi * progress) + 1) / 2

    def follow(self, step):
        """Move once, at the step with this number."""
        share = 1 - self.momentum_at(step)
        for slow, fast in self._pairs():
            slow.assign_add(tf.cast(share, slow.dtype) * (fast - slow))


def _copy(network):
    if isinstance(network, keras.Model):
        copy = keras.models.clone_model(network)
    else:
        copy = type(network).from_config(network.get_config())
        copy.build_from_config(network.get_build_config())
    copy.set_weights(network.get_weights())
    return copy


class Queue(keras.layers.Layer):
    """The newest keys of earlier batches, a ring: `rows` (size, d), of length 1; random to begin with.

    Args:
        size: Number of keys.
        dim: d.
        seed: Of the first rows.
    """

    def __init__(self, size, dim, seed=0, **kwargs):
        super().__init__(**kwargs)

        def random_rows(shape, dtype=None):
            rows = tf.random.stateless_normal(shape, [seed, size], dtype=tf.float64)
            return tf.cast(tf.math.l2_normalize(rows, axis=-1), dtype)

        self.size = size
        self.rows = self.add_weight(name="rows", shape=(size, dim), initializer=random_rows, trainable=False)
        self.place = self.add_weight(name="place", shape=(), dtype="int64", initializer="zeros", trainable=False)
        self.built = True

    def push(self, keys):
        """Put keys (n, d), of all replicas in their order, in the place of the oldest; more than fit: the last ones."""
        keys = gathered(keys)[-self.size :]
        count = tf.shape(keys, tf.int64)[0]
        places = (self.place + tf.range(count)) % self.size
        self.rows.assign(tf.tensor_scatter_nd_update(self.rows, places[:, None], tf.cast(keys, self.rows.dtype)))
        self.place.assign((self.place + count) % self.size)


def gathered(rows):
    """Rows (n, ...) of all replicas, one after the other; no gradient flows between replicas."""
    context = tf.distribute.get_replica_context()
    alone = context is None or context.num_replicas_in_sync == 1
    return rows if alone else context.all_gather(rows, axis=0)
