"""SwAV: Caron et al., Unsupervised Learning of Visual Features by Contrasting Cluster Assignments, NeurIPS 2020."""

import keras
import tensorflow as tf

from simsiam_tf.methods.base import Method
from simsiam_tf.methods.losses import cross_entropy, sinkhorn, unit_rows
from simsiam_tf.methods.targets import Prototypes, gathered, own_part
from simsiam_tf.optimizers import Group
from simsiam_tf.settings.methods.swav import SwAVSettings


@keras.saving.register_keras_serializable(package="simsiam_tf")
class SwAV(Method):
    """The clusters that one view is assigned to are predicted from the others (equation 2).

    Assignments are those of the first two views, balanced over the batch of all devices by the Sinkhorn-Knopp
    transform. Prototypes are normalised inside the gradient, and a predictor acts on their scores, since they belong to
    the encoder (SimSiam, section 6.2). Each view passes the networks by itself.
    """

    Settings = SwAVSettings

    def build_heads(self, feature_dim):
        s = self.settings
        self.projector = self.add_head(
            "projector", feature_dim, hidden_dim=s.projector_hidden, output_dim=s.projection_dim,
            num_layers=s.projector_layers,
        )  # fmt: skip
        self.prototypes = Prototypes(s.prototypes, s.projection_dim, seed=self.seed, name="prototypes")
        if s.predictor == "mlp":
            self.predictor = self.add_head(
                "predictor", s.prototypes, hidden_dim=s.predictor_hidden, output_dim=s.prototypes
            )

    def forward(self, views, training=True):
        """Features, and cosines (n, prototypes) of each view's projections to the prototypes, "scores"."""
        features = [self.backbone(view, training=training) for view in views]
        z = [unit_rows(self.projector(feature, training=training))[0] for feature in features]
        scores = [self.prototypes(each, frozen=self.step < self.settings.freeze_prototypes) for each in z]
        return {"features": features, "scores": scores, "p": self.predicted(scores, training)}

    def objective(self, outputs, batch=None):
        """Equation 1 for both assigning views and each view that is not the assigning one, averaged."""
        losses = []
        for i, assignments in enumerate(map(self._assignments, outputs["scores"][:2])):
            others = [p for v, p in enumerate(outputs["p"]) if v != i]
            losses += [cross_entropy(assignments, p / self.settings.temperature) for p in others]
        return tf.add_n(losses) / len(losses)

    def groups(self):
        groups = super().groups()
        if self.settings.freeze_prototypes:
            groups.insert(1, Group("prototypes", (self.prototypes,), rest=self.settings.freeze_prototypes))
        return groups

    def _assignments(self, scores):
        """(n, prototypes), rows of sum 1, columns of equal sums over the whole batch."""
        if self.settings.stop_gradient:
            scores = tf.stop_gradient(scores)
        assignments = sinkhorn(gathered(scores), self.settings.epsilon, self.settings.iterations)
        return own_part(assignments, tf.shape(scores)[0])
