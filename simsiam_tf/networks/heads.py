"""The MLP heads of SimSiam: projector (the end of the encoder f) and predictor h (Chen & He 2021, sec. 3)."""

import keras

from simsiam_tf.errors import InputError
from simsiam_tf.networks.layers import BatchNorm, dense

# What a BatchNorm is given; None in its place means no BatchNorm.
AFFINE = {}
PLAIN = {"center": False, "scale": False}


class Head(keras.layers.Layer):
    """Dense, BatchNorm and ReLU layers on (n, d); a subclass lists (units, norm, relu) in `_stages`."""

    def build(self, input_shape):
        self.stages = []
        seed = f"{self.seed}/{type(self).__name__}"
        width = input_shape[-1]
        for index, (units, norm, relu) in enumerate(self._stages(), start=1):
            # BatchNorm removes the mean, hence any bias before it.
            use_bias = norm is None
            self._add(dense(units, width, use_bias, f"dense{index}", seed, dtype=self.dtype_policy), width)
            if norm is not None:
                self._add(BatchNorm(**norm, name=f"bn{index}", dtype=self.dtype_policy), units)
            if relu:
                self._add(keras.layers.ReLU(name=f"relu{index}", dtype=self.dtype_policy), units)
            width = units

    def _add(self, layer, width):
        layer.build((None, width))
        self.stages.append(layer)

    def call(self, inputs, training=None):
        outputs = inputs
        for stage in self.stages:
            outputs = stage(outputs, training=training) if isinstance(stage, BatchNorm) else stage(outputs)
        return outputs

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.output_dim)


@keras.saving.register_keras_serializable(package="simsiam_tf")
class Projector(Head):
    """Projection MLP, (n, features) -> (n, output_dim).

    Dense without bias, BatchNorm and ReLU, num_layers times, the last without ReLU. The last BatchNorm has
    neither scale nor offset (sec. 4.4; official code: affine=False). CIFAR-10 uses 2 layers, ImageNet 3
    (appendix D, sec. 3).

    Args:
        hidden_dim: width of the hidden layers; the official code takes the backbone's feature dimension.
        output_dim: d of the projection z, 2048 in the paper.
        num_layers: at least 1.
        hidden_norm: False removes the hidden BatchNorms (Table 3a); their Dense layers get biases.
        output_norm: False removes the last BatchNorm (Table 3a, b); the last Dense layer gets a bias.
        seed: integer; weights depend on it and on the layer's place only.

    Raises:
        InputError: a size is not a positive integer.
    """

    def __init__(
        self,
        hidden_dim=2048,
        output_dim=2048,
        num_layers=2,
        hidden_norm=True,
        output_norm=True,
        seed=0,
        name="projector",
        **kwargs,
    ):
        super().__init__(name=name, **kwargs)
        _check_sizes(hidden_dim=hidden_dim, output_dim=output_dim, num_layers=num_layers)
        self.hidden_dim = hidden_dim
        self.output_dim = output_dim
        self.num_layers = num_layers
        self.hidden_norm = hidden_norm
        self.output_norm = output_norm
        self.seed = seed

    def _stages(self):
        hidden = (self.hidden_dim, AFFINE if self.hidden_norm else None, True)
        output = (self.output_dim, PLAIN if self.output_norm else None, False)
        return [hidden] * (self.num_layers - 1) + [output]

    def get_config(self):
        return {
            **super().get_config(),
            "hidden_dim": self.hidden_dim,
            "output_dim": self.output_dim,
            "num_layers": self.num_layers,
            "hidden_norm": self.hidden_norm,
            "output_norm": self.output_norm,
            "seed": self.seed,
        }


@keras.saving.register_keras_serializable(package="simsiam_tf")
class Predictor(Head):
    """Prediction MLP h, (n, d) -> (n, output_dim): Dense without bias, BatchNorm, ReLU, Dense with bias.

    Keep the name "predictor": the optimizer finds the predictor's variables by it.

    Args:
        hidden_dim: 512 in the paper, a bottleneck.
        output_dim: d, that of the projector.
        hidden_norm: False removes the hidden BatchNorm (Table 3a); its Dense layer gets a bias.
        output_norm: True adds a BatchNorm with scale and offset after the last Dense, which loses its bias
            (Table 3d, unstable).
        seed: integer; weights depend on it and on the layer's place only.

    Raises:
        InputError: a size is not a positive integer.
    """

    def __init__(
        self,
        hidden_dim=512,
        output_dim=2048,
        hidden_norm=True,
        output_norm=False,
        seed=0,
        name="predictor",
        **kwargs,
    ):
        super().__init__(name=name, **kwargs)
        _check_sizes(hidden_dim=hidden_dim, output_dim=output_dim)
        self.hidden_dim = hidden_dim
        self.output_dim = output_dim
        self.hidden_norm = hidden_norm
        self.output_norm = output_norm
        self.seed = seed

    def _stages(self):
        hidden = (self.hidden_dim, AFFINE if self.hidden_norm else None, True)
        output = (self.output_dim, AFFINE if self.output_norm else None, False)
        return [hidden, output]

    def get_config(self):
        return {
            **super().get_config(),
            "hidden_dim": self.hidden_dim,
            "output_dim": self.output_dim,
            "hidden_norm": self.hidden_norm,
            "output_norm": self.output_norm,
            "seed": self.seed,
        }


def _check_sizes(**sizes):
    for name, value in sizes.items():
        if not isinstance(value, int) or value < 1:
            raise InputError(f"{name} must be a positive integer, got {value!r}")
