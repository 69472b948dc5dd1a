"""BYOL: Grill et al., Bootstrap Your Own Latent, NeurIPS 2020."""

import keras

from simsiam_tf.methods.base import Method
from simsiam_tf.methods.losses import negative_cosine
from simsiam_tf.methods.targets import Follower
from simsiam_tf.settings.methods.byol import BYOLSettings


@keras.saving.register_keras_serializable(package="simsiam_tf")
class BYOL(Method):
    """Each view predicts what a slowly following network makes of the other one (section 3.1).

    The target is a `Follower` of backbone and projector whose momentum grows to 1 over `total_steps`; its moving
    statistics are its own, of the views that it sees itself, as in the official code.
    """

    Settings = BYOLSettings

    def build_heads(self, feature_dim):
        s = self.settings
        self.projector = self.add_head(
            "projector", feature_dim, hidden_dim=s.projector_hidden, output_dim=s.projection_dim
        )
        self.predictor = self.add_head(
            "predictor", s.projection_dim, hidden_dim=s.predictor_hidden, output_dim=s.projection_dim
        )
        until_one = self.total_steps if s.momentum_schedule == "cosine" else None
        self.target = Follower([self.backbone, self.projector], s.momentum, until_one, name="target")

    def forward(self, views, training=True):
        features = [self.backbone(view, training=training) for view in views]
        z = [self.projector(feature, training=training) for feature in features]
        p = self.predicted(z, training)
        return {"features": features, "p": p, "targets": [self.target(view, training=training) for view in views]}

    def objective(self, outputs, batch=None):
        """Equation 2, |p - z|^2 = 2 - 2 cos of l2-normalised vectors, summed over both directions."""
        (p1, p2), (z1, z2) = outputs["p"], outputs["targets"]
        return 4 + 2 * negative_cosine(p1, z2) + 2 * negative_cosine(p2, z1)

    def cosine_of(self, loss):
        return 1 - loss / 4

    def after_step(self, outputs, batch):
        self.target.follow(self.step)
