"""Floating-point operations of a training step, counted from the layers' shapes."""

import math

import keras


def forward_flop(model, image_size):
    """Operations that one view of one image costs forward, in backbone, projector and predictor.

    Only convolutions, dense layers and the products of attentions count, a multiplication and an addition as two
    operations. The rest (BatchNorm, ReLU, softmax, loss) is work that a matrix unit does not do; leaving it out makes
    the rate reached look lower, not higher.
    """
    backbone = model.backbone
    kernels = [each for each in backbone.operations if isinstance(each, keras.layers.Conv2D | keras.layers.Dense)]
    attentions = [each for each in backbone.operations if type(each).__name__ == "DotProductAttention"]
    shapes = _shapes(backbone, kernels + attentions, (1, image_size, image_size, 3))
    products = sum(math.prod(shapes[each][1:-1]) * math.prod(each.kernel.shape) for each in kernels)
    for _, tokens, heads, width in (shapes[each] for each in attentions):
        products += 2 * tokens**2 * heads * width
    heads = [model.projector, model.predictor] if model.predictor else [model.projector]
    dense = [layer for head in heads for layer in head.stages if isinstance(layer, keras.layers.Dense)]
    return 2 * (products + sum(math.prod(layer.kernel.shape) for layer in dense))


def _shapes(network, operations, shape):
    """{operation: shape of its output} for an input of this shape."""
    found = keras.Model(network.input, [each.output for each in operations]).compute_output_shape(shape)
    return dict(zip(operations, found, strict=True))


def step_flop(model, image_size, batch_size):
    """Operations of a training step: the way back costs twice the way forward (gradients of inputs and of kernels)."""
    return 3 * model.num_views * batch_size * forward_flop(model, image_size)
