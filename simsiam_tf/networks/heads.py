"""The MLP heads of all methods: projectors and predictors (Chen & He 2021, sec. 3 and table 3)."""

import keras

from simsiam_tf.errors import InputError
from simsiam_tf.networks.layers import BatchNorm, dense_layer

OUTPUT_NORMS = {"none": None, "plain": {"center": False, "scale": False}, "scale": {"center": False}, "affine": {}}


@keras.saving.register_keras_serializable(package="simsiam_tf")
class MLP(keras.layers.Layer):
    """Dense, BatchNorm and ReLU, num_layers times, the last without ReLU: (n, features) -> (n, output_dim).

    A Dense layer before a BatchNorm has no bias, since BatchNorm removes the mean.

    Args:
        hidden_dim: Width of the hidden layers.
        output_dim: d of the output.
        num_layers: At least 1.
        hidden_norm: BatchNorm in the hidden layers.
        output_norm: BatchNorm on the output: "none", "plain" (neither scale nor offset), "scale" (without
            offset) or "affine".
        input_norm: BatchNorm of the input, with neither scale nor offset.
        seed: Integer; the initial weights depend on it, on the role and on the layer's place only.
        name: Role of the MLP, such as "projector"; two roles of one seed get different weights.

    Raises:
        InputError: a size is not a positive integer, or there is no such placement.
    """

    def __init__(
        self,
        hidden_dim,
        output_dim,
        num_layers=2,
        hidden_norm=True,
        output_norm="none",
        input_norm=False,
        seed=0,
        name="mlp",
        **kwargs,
    ):
        super().__init__(name=name, **kwargs)
        for key, size in {"hidden_dim": hidden_dim, "output_dim": output_dim, "num_layers": num_layers}.items():
            if not isinstance(size, int) or size < 1:
                raise InputError(f"{key}: {size!r} is no size; give a whole number, 1 or more")
        if output_norm not in OUTPUT_NORMS:
            raise InputError(f"output_norm: {output_norm!r} is unknown; give one of {', '.join(OUTPUT_NORMS)}")
        self.hidden_dim = hidden_dim
        self.output_dim = output_dim
        self.num_layers = num_layers
        self.hidden_norm = hidden_norm
        self.output_norm = output_norm
        self.input_norm = input_norm
        self.seed = seed

    def build(self, input_shape):
        self.stages = []
        width = input_shape[-1]
        if self.input_norm:
            self._add(BatchNorm(**OUTPUT_NORMS["plain"], name="bn0", dtype=self.dtype_policy), width)
        hidden = (self.hidden_dim, {} if self.hidden_norm else None, True)
        output = (self.output_dim, OUTPUT_NORMS[self.output_norm], False)
        for index, (units, norm, relu) in enumerate([hidden] * (self.num_layers - 1) + [output], start=1):
            seed = f"{self.seed}/{self.name.capitalize()}"
            self._add(dense_layer(units, width, norm is None, f"dense{index}", seed, dtype=self.dtype_policy), width)
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

    def get_config(self):
        names = ("hidden_dim", "output_dim", "num_layers", "hidden_norm", "output_norm", "input_norm", "seed")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
