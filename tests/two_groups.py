"""The least that `make_optimizer` needs of a method."""

import keras

from simsiam_tf import optimizers


class TwoGroups:
    """Encoder and predictor, two variables each."""

    def __init__(self, predictor="predictor", dtype="float32", **group):
        layers = []
        for name in ("encoder", predictor):
            layers.append(keras.layers.Dense(2, name=name, dtype=dtype))
            layers[-1].build((None, 3))
        self.encoder, self.predictor = layers
        self.trainable_variables = [v for layer in layers for v in layer.trainable_variables]
        self.group = group

    def groups(self):
        return [optimizers.Group("encoder"), optimizers.Group("predictor", (self.predictor,), **self.group)]


def small_optimizer(model=None, **overrides):
    arguments = {"learning_rate": 0.05, "batch_size": 256, "epochs": 4, "weight_decay": 0.01}
    return optimizers.make_optimizer(model or TwoGroups(), 2, **arguments | overrides)
