"""SimSiam: Chen & He, Exploring Simple Siamese Representation Learning, CVPR 2021."""

import keras
import tensorflow as tf

from simsiam_tf.methods.base import Method
from simsiam_tf.methods.losses import cross_entropy_similarity, negative_cosine
from simsiam_tf.settings.methods.simsiam import SimSiamSettings

SIMILARITIES = {"cosine": negative_cosine, "cross_entropy": cross_entropy_similarity}


@keras.saving.register_keras_serializable(package="simsiam_tf")
class SimSiam(Method):
    """Two views, one encoder, a predictor on one side and a stop-gradient on the other (algorithm 1).

    With more views each prediction meets the mean of the other views' projections: FastSiam (Pototzky et al. 2022).
    """

    Settings = SimSiamSettings

    def build_heads(self, feature_dim):
        s = self.settings
        output_norm = "affine" if s.projector_output_affine else "plain"
        self.projector = self.add_head(
            "projector",
            feature_dim,
            hidden_dim=s.projector_hidden or feature_dim,  # as in the official code
            output_dim=s.projection_dim,
            num_layers=s.projector_layers,
            hidden_norm=s.head_norm != "none",
            output_norm=output_norm if s.head_norm in ("default", "all") else "none",
        )
        if s.predictor == "mlp":
            self.predictor = self.add_head(
                "predictor",
                s.projection_dim,
                hidden_dim=s.predictor_hidden,
                output_dim=s.projection_dim,
                hidden_norm=s.head_norm != "none",
                output_norm="affine" if s.head_norm == "all" else "none",
            )

    def forward(self, views, training=True):
        """Each view by itself through all networks: BatchNorm sees one view at a time, as in the official code."""
        features = [self.backbone(view, training=training) for view in views]
        z = [self.projector(feature, training=training) for feature in features]
        predicting = z if self.settings.symmetric else z[::2]
        return {"features": features, "z": z, "p": self.predicted(predicting, training)}

    def objective(self, outputs, batch=None):
        """Equation 4: each prediction against the other view's projection (their mean), which gets no gradient."""
        return self.similarity(outputs["p"], self.targets(outputs["z"]))

    def cosine_of(self, loss):
        return -loss if self.settings.similarity == "cosine" else None

    def targets(self, z):
        """What each prediction is to meet, from the projections of all views."""
        z = [tf.stop_gradient(each) for each in z] if self.settings.stop_gradient else z
        if not self.settings.symmetric:
            return z[1::2]
        return [tf.add_n(z[:i] + z[i + 1 :]) / (len(z) - 1) for i in range(len(z))]

    def similarity(self, predictions, targets):
        """The mean of D over pairs of a prediction and its target."""
        distance = SIMILARITIES[self.settings.similarity]
        losses = [distance(p, target) for p, target in zip(predictions, targets, strict=True)]
        return tf.add_n(losses) / len(losses)
