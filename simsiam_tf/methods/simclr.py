"""SimCLR: Chen et al., A Simple Framework for Contrastive Learning of Visual Representations, ICML 2020."""

import keras
import tensorflow as tf

from simsiam_tf.methods.base import Method
from simsiam_tf.methods.losses import nt_xent
from simsiam_tf.methods.targets import first_row, gathered
from simsiam_tf.settings.methods.simclr import SimCLRSettings


@keras.saving.register_keras_serializable(package="simsiam_tf")
class SimCLR(Method):
    """Each view is told from all other images' views of the batch by the other view of its image (section 2.1).

    With a predictor, predictions ask and projections answer, both views in turn; with stop_gradient the answers get no
    gradient (SimSiam, section 6.2). On several devices the batch is that of all of them.
    """

    Settings = SimCLRSettings
    negatives = True

    def build_heads(self, feature_dim):
        s = self.settings
        self.projector = self.add_head(
            "projector",
            feature_dim,
            hidden_dim=s.projector_hidden or feature_dim,  # as in the official code
            output_dim=s.projection_dim,
            num_layers=s.projector_layers,
            output_norm="scale",
        )
        if s.predictor == "mlp":
            dim = s.projection_dim
            self.predictor = self.add_head("predictor", dim, hidden_dim=s.predictor_hidden, output_dim=dim)

    def forward(self, views, training=True):
        features = [self.backbone(view, training=training) for view in views]
        z = [self.projector(feature, training=training) for feature in features]
        return {"features": features, "z": z, "p": self.predicted(z, training)}

    def objective(self, outputs, batch=None):
        """Equation 1 over the batch of all devices: this one's queries against everybody's keys."""
        keys = [gathered(each) for each in outputs["z"]]
        if self.settings.stop_gradient:
            keys = [tf.stop_gradient(each) for each in keys]
        first = first_row(tf.shape(outputs["p"][0])[0])
        return nt_xent(outputs["p"], keys, self.settings.temperature, first)
