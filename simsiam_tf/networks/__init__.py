"""Encoders and their heads, layer for layer PyTorch's."""

from simsiam_tf.networks.resnet import build, feature_dim

__all__ = ["build", "feature_dim"]
