"""MoCo v2: He et al., Momentum Contrast, CVPR 2020; Chen et al., Improved Baselines with Momentum Contrast, 2020."""

import keras
import tensorflow as tf

from simsiam_tf.methods.base import Method
from simsiam_tf.methods.losses import info_nce, unit_rows
from simsiam_tf.methods.targets import Follower, Queue, gathered
from simsiam_tf.settings.methods.moco import MoCoSettings


@keras.saving.register_keras_serializable(package="simsiam_tf")
class MoCo(Method):
    """Each query is told from the keys of earlier batches by its own key, another view seen by a following network.

    The follower moves after each update of the encoder, which is before the next keys, as in the official code.
    """

    Settings = MoCoSettings
    negatives = True

    def build_heads(self, feature_dim):
        s = self.settings
        self.projector = self.add_head(
            "projector",
            feature_dim,
            hidden_dim=s.projector_hidden or feature_dim,  # as in the official code
            output_dim=s.projection_dim,
            hidden_norm=False,
        )
        self.target = Follower([self.backbone, self.projector], s.momentum, name="target")
        self.queue = Queue(s.queue, s.projection_dim, seed=self.seed, name="queue")

    @property
    def batches_per_step(self):
        return 2 if self.settings.symmetric else 1

    def forward(self, views, training=True):
        """Queries of the first view and keys of the second, {view: (n, d)}; symmetric: both of both."""
        symmetric = self.settings.symmetric
        features = [self.backbone(view, training=training) for view in (views if symmetric else views[:1])]
        queries = {i: self.projector(feature, training=training) for i, feature in enumerate(features)}
        keys = {i: self._keys(views[i], i, training) for i in ((0, 1) if symmetric else (1,))}
        return {"features": features, "queries": queries, "keys": keys}

    def _keys(self, view, place, training):
        """Keys (n, d), of length 1 in float32, of the view (n, h, w, 3) at this place."""
        keys = self._shuffled(view, place, training) if self.settings.shuffle else self.target(view, training=training)
        return unit_rows(keys)[0]

    def _shuffled(self, view, place, training):
        """The target's output, each replica having normalised a random part of the batch (He et al., sec. 3.3)."""
        context = tf.distribute.get_replica_context()
        if context is None or context.num_replicas_in_sync == 1:
            return self.target(view, training=training)
        n, replica = tf.shape(view)[0], tf.cast(context.replica_id_in_sync_group, tf.int32)
        whole = gathered(view)
        seed = tf.stack([self.seed, 2 * tf.cast(self.step, tf.int32) + place])
        order = tf.random.experimental.stateless_shuffle(tf.range(tf.shape(whole)[0]), seed, alg="philox")
        outputs = gathered(self.target(tf.gather(whole, order[replica * n :][:n]), training=training))
        return tf.gather(outputs, tf.argsort(order)[replica * n :][:n])

    def objective(self, outputs, batch=None):
        """Equation 1; symmetric: the mean of both directions, against the queue as it was before this batch."""
        queries, keys = outputs["queries"], outputs["keys"]
        losses = [info_nce(q, keys[1 - i], self.queue.rows, self.settings.temperature) for i, q in queries.items()]
        return tf.add_n(losses) / len(losses)

    def after_step(self, outputs, batch):
        for keys in outputs["keys"].values():
            self.queue.push(keys)
        self.target.follow(self.step)
