"""Encoders and their heads, layer for layer PyTorch's."""

from simsiam_tf.errors import InputError
from simsiam_tf.networks import resnet, vit
from simsiam_tf.networks.pixels import feature_dim

BUILDERS = dict.fromkeys(resnet.BACKBONES, resnet.build) | {"vit_small": vit.build}


def build(name, **settings):
    """Build a backbone: raw pixels (n, h, w, 3) in [0, 255] -> features (n, d).

    Args:
        name: one of BUILDERS.
        **settings: those of `resnet.build` or `vit.build`.

    Raises:
        InputError: unknown name, or a value that cannot be.
    """
    if name not in BUILDERS:
        raise InputError(f"backbone.name: {name!r} is unknown; give one of {', '.join(BUILDERS)}")
    return BUILDERS[name](name, **settings)


__all__ = ["BUILDERS", "build", "feature_dim"]
