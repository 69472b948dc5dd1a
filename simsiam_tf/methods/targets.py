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
        every: Steps between two of its moves.
    """

    def __init__(self, networks, momentum, total_steps=None, every=1, **kwargs):
        super().__init__(**kwargs)
        self.momentum, self.total_steps, self.every = momentum, total_steps, every
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
        """Move once, at the step with this number, if it is one of those."""
        share = 1 - self.momentum_at(step)
        if self.every > 1:
            share = tf.where((tf.cast(step, tf.int64) + 1) % self.every == 0, share, 0.0)
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
    """The newest rows of earlier batches, a ring: `rows` (size, d), which begin as random ones of length 1.

    Args:
        size: Number of rows.
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

    def push(self, rows):
        """Put rows (n, d), of all replicas in their order, in the place of the oldest; more than fit: the last ones."""
        rows = gathered(rows)[-self.size :]
        count = tf.shape(rows, tf.int64)[0]
        places = (self.place + tf.range(count)) % self.size
        self.rows.assign(tf.tensor_scatter_nd_update(self.rows, places[:, None], tf.cast(rows, self.rows.dtype)))
        self.place.assign((self.place + count) % self.size)


class Prototypes(keras.layers.Layer):
    """Vectors that stand for clusters: (n, d) of length 1 -> cosines (n, count). Their length is without effect.

    Args:
        count: Number of prototypes.
        dim: d.
        seed: Of the first vectors.
    """

    def __init__(self, count, dim, seed=0, **kwargs):
        super().__init__(**kwargs)
        limit = 1 / math.sqrt(dim)  # torch's Linear
        values = tf.random.stateless_uniform([dim, count], [seed, count], -limit, limit, tf.float64)
        self.vectors = self.add_weight(
            name="vectors", shape=(dim, count), initializer=lambda *_, dtype=None: tf.cast(values, dtype)
        )
        self.built = True

    def call(self, rows, frozen=False):
        """Cosines; `frozen` is a boolean, for a gradient of zero."""
        vectors = tf.cast(self.vectors, rows.dtype)
        vectors = tf.where(frozen, tf.stop_gradient(vectors), vectors)
        return tf.matmul(rows, tf.math.l2_normalize(vectors, axis=0))


def gathered(rows):
    """Rows (n, ...) of all replicas, one after the other; a gradient flows back to each replica's own."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return rows

    @tf.custom_gradient
    def gather(own):
        def gradient(upstream):
            return own_part(context.all_reduce(tf.distribute.ReduceOp.SUM, upstream), tf.shape(own)[0])

        return context.all_gather(own, axis=0), gradient

    return gather(tf.identity(rows))  # on this replica's device: what comes from the input is on none


def own_part(rows, count):
    """This replica's `count` of the rows of all; see `gathered`."""
    return rows[first_row(count) :][:count]


def first_row(count):
    """The place of this replica's first of `count` rows among those of all."""
    context = tf.distribute.get_replica_context()
    return 0 if context is None else tf.cast(context.replica_id_in_sync_group, tf.int32) * count
