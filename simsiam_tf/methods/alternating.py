"""SimSiam as alternating optimization over the network and a target for each image (Chen & He 2021, section 5)."""

import keras
import tensorflow as tf

from simsiam_tf.errors import InputError
from simsiam_tf.methods.bank import ImageBank
from simsiam_tf.methods.losses import unit_rows
from simsiam_tf.methods.simsiam import SimSiam
from simsiam_tf.methods.targets import Follower
from simsiam_tf.settings.methods.alternating import AlternatingSettings


@keras.saving.register_keras_serializable(package="simsiam_tf")
class Alternating(SimSiam):
    """The targets eta are solved for, then the network takes steps towards them, and so on (equations 7 and 8).

    With `target` snapshot, eta is what the network made of the other view before these steps: a copy of it stands for
    the cache of the paper's "k-step" variants, to the same targets. With bank, eta is a moving average for each image,
    which the present view enters before it is the target; each image's first visit assigns it.
    """

    Settings = AlternatingSettings

    @property
    def _samples(self):
        return self.settings.target_samples

    @property
    def reads(self):
        return frozenset({"rows"} if self.settings.target == "bank" else ())

    @property
    def batches_per_step(self):
        return 2 if self.settings.target == "snapshot" else self.num_views

    def build_heads(self, feature_dim):
        super().build_heads(feature_dim)
        s = self.settings
        if s.target == "snapshot":
            every = s.every or self.steps_per_epoch
            if every is None:
                raise InputError("method.every: null is an epoch, of unknown steps; give steps_per_epoch, or a number")
            self.snapshot = Follower([self.backbone, self.projector], 0.0, every=every, name="snapshot")
        else:
            if self.num_images is None:
                raise InputError("num_images: None, but the bank has a row for each image; give their number")
            self.bank = ImageBank(self.num_images, s.projection_dim, s.bank_momentum, s.bank_dtype, name="bank")

    def forward(self, views, training=True):
        bank = self.settings.target == "bank"
        seen = views if bank else views[:2]
        features = [self.backbone(view, training=training) for view in seen]
        z = [self.projector(feature, training=training) for feature in features]
        outputs = {"features": features, "z": z, "p": self.predicted(z[:1] if bank else z, training)}
        if bank:
            return outputs | {"targets": [tf.stop_gradient(each) for each in z[1:]]}
        return outputs | {"targets": [self.snapshot(view, training=training) for view in views[2:] or views]}

    def objective(self, outputs, batch=None):
        """Each prediction against its eta."""
        targets = outputs["targets"]
        if self.settings.target == "bank":
            return self.similarity(outputs["p"], [self.bank.moved(batch.rows, _mean_direction(targets))])
        if self._samples:
            return self.similarity(outputs["p"], [_mean_direction(targets)] * 2)
        return self.similarity(outputs["p"], targets[::-1])

    def after_step(self, outputs, batch):
        if self.settings.target == "bank":
            self.bank.move(batch.rows, _mean_direction(outputs["targets"]))
        else:
            self.snapshot.follow(self.step)


def _mean_direction(projections):
    """The mean of l2-normalised projections (n, d): the expectation over the augmentation of equation 9."""
    return tf.add_n(unit_rows(*projections)) / len(projections)
