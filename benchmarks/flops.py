"""Floating-point operations of a training step, counted from the layers' shapes."""

import math

import keras


def forward_flop(model, image_size):
    """Operations that one view of one image costs forward, in backbone, projector and predictor.

    Only convolutions and dense layers count, a multiplication and an addition as two operations. The rest (BatchNorm,
    ReLU, loss) is work that a matrix unit does not do; leaving it out makes the rate reached look lower, not higher.
    """
    shape = (1, image_size, image_size, 3)
    convolutions = [layer for layer in model.backbone.layers if isinstance(layer, keras.layers.Conv2D)]
    outputs = keras.Model(model.backbone.input, [layer.output for layer in convolutions]).compute_output_shape(shape)
    heads = [model.projector, model.predictor] if model.predictor else [model.projector]
    dense = [layer for head in heads for layer in head.stages if isinstance(layer, keras.layers.Dense)]
    products = sum(
        math.prod(output[1:3]) * math.prod(layer.kernel.shape)
        for layer, output in zip(convolutions, outputs, strict=True)
    )
    return 2 * (products + sum(math.prod(layer.kernel.shape) for layer in dense))


def step_flop(model, image_size, batch_size):
    """Operations of a training step: the way back costs twice the way forward (gradients of inputs and of kernels)."""
    return 3 * model.num_views * batch_size * forward_flop(model, image_size)
