"""SimSiam: Chen & He, Exploring Simple Siamese Representation Learning, CVPR 2021."""

import keras
import tensorflow as tf

from simsiam_tf.errors import InputError
from simsiam_tf.methods.base import Method
from simsiam_tf.methods.losses import negative_cosine
from simsiam_tf.networks.heads import Predictor, Projector


@keras.saving.register_keras_serializable(package="simsiam_tf")
class SimSiam(Method):
    """Two views, one encoder, a predictor on one side and a stop-gradient on the other (algorithm 1).

    With more views each prediction meets the mean of the other views' projections: FastSiam (Pototzky et al. 2022).

    Args:
        backbone, augmenter, num_views, ema_momentum, seed: see `Method`.
        projector_layers: 2 for CIFAR-10 (appendix D), 3 for ImageNet (section 3).
        projector_hidden: Hidden width of the projector; default: the feature dimension, as in the official code.
        projection_dim: Width d of projections z and predictions p.
        projector_output_norm: BatchNorm without scale and offset on z (section 4.4).
        predictor: "mlp", or "none" for the ablation that collapses (table 1a).
        predictor_hidden: Width of the predictor's bottleneck.
        stop_gradient: False for the ablation that collapses (figure 2).

    Raises:
        InputError: `predictor` is neither "mlp" nor "none".
    """

    def __init__(
        self,
        backbone,
        augmenter=None,
        projector_layers=2,
        projector_hidden=None,
        projection_dim=2048,
        projector_output_norm=True,
        predictor="mlp",
        predictor_hidden=512,
        stop_gradient=True,
        num_views=2,
        ema_momentum=0.0,
        seed=0,
        **kwargs,
    ):
        super().__init__(backbone, augmenter, num_views, ema_momentum, seed, **kwargs)
        if predictor not in ("mlp", "none"):
            raise InputError(f"predictor: {predictor!r} is unknown; give 'mlp' or 'none'")
        feature_dim = backbone.output_shape[-1]
        self.projector_layers = projector_layers
        self.projector_hidden = projector_hidden
        self.projection_dim = projection_dim
        self.projector_output_norm = projector_output_norm
        self.predictor_kind = predictor
        self.predictor_hidden = predictor_hidden
        self.stop_gradient = stop_gradient
        self.projector = Projector(
            hidden_dim=projector_hidden or feature_dim,
            output_dim=projection_dim,
            num_layers=projector_layers,
            output_norm=projector_output_norm,
            seed=seed,
            name="projector",
        )
        self.predictor = None
        if predictor == "mlp":
            self.predictor = Predictor(predictor_hidden, projection_dim, seed=seed, name="predictor")
        self.build((None, None, None, 3))

    def build(self, input_shape):
        if self.built:
            return
        self.projector.build((None, self.backbone.output_shape[-1]))
        if self.predictor is not None:
            self.predictor.build((None, self.projection_dim))
        self.built = True

    def forward(self, views, training=True):
        """Each view by itself through all networks: BatchNorm sees one view at a time, as in the official code."""
        features = [self.backbone(view, training=training) for view in views]
        z = [self.projector(feature, training=training) for feature in features]
        p = z if self.predictor is None else [self.predictor(each, training=training) for each in z]
        return {"features": features, "z": z, "p": p}

    def objective(self, outputs):
        """Equation 4: each prediction against the other view's projection (their mean), which gets no gradient."""
        z = [tf.stop_gradient(each) for each in outputs["z"]] if self.stop_gradient else outputs["z"]
        others = [tf.add_n(z[:i] + z[i + 1 :]) / (len(z) - 1) for i in range(len(z))]
        losses = [negative_cosine(p, other) for p, other in zip(outputs["p"], others, strict=True)]
        return tf.add_n(losses) / len(losses)

    def project(self, images):
        return self.projector(self.backbone(images, training=False), training=False)

    def get_config(self):
        return super().get_config() | {
            "projector_layers": self.projector_layers,
            "projector_hidden": self.projector_hidden,
            "projection_dim": self.projection_dim,
            "projector_output_norm": self.projector_output_norm,
            "predictor": self.predictor_kind,
            "predictor_hidden": self.predictor_hidden,
            "stop_gradient": self.stop_gradient,
        }
