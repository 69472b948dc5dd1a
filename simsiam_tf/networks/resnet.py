"""ResNet-18/34/50 as functional Keras models, layer for layer torchvision's (He et al. 2016; "v1.5" for 50).

Layer names are torchvision's with underscores, `layer1.0.downsample.0` being `layer1_0_downsample_conv` and
`layer1.0.downsample.1` being `layer1_0_downsample_bn`, so that weights can be carried over by name.
"""

import keras

from simsiam_tf.errors import InputError
from simsiam_tf.networks.layers import BatchNorm, MaxPooling2D, ReLU, conv, torch_default
from simsiam_tf.networks.pixels import CIFAR10_MEAN, CIFAR10_STD, check_colors, full_precision, normalize, pixels

STEMS = ("cifar", "imagenet")


def build(
    name,
    *,
    stem="cifar",
    width=64,
    zero_init_residual=True,
    mean=CIFAR10_MEAN,
    std=CIFAR10_STD,
    seed=0,
):
    """Build a backbone: raw pixels (n, h, w, 3) in [0, 255], any dtype and size -> pooled features (n, d).

    The model normalises its input itself; it does so, and pools, in float32 under every mixed policy (float64
    under a float64 policy). d is 8 * width, four times that for ResNet-50.

    Args:
        name: one of BACKBONES.
        stem: "cifar": one 3x3 convolution at stride 1; "imagenet": 7x7 at stride 2, then 3x3 max-pooling at
            stride 2.
        width: channels of the first stage, 64 in the papers.
        zero_init_residual: start each block as its shortcut, the last gamma being 0 (true in the official
            SimSiam code).
        mean, std: per channel, of pixels in [0, 1].
        seed: integer; the weights depend on it and on the layers' names only.

    Raises:
        InputError: unknown name or stem, or a value that cannot be.
    """
    if name not in BACKBONES:
        raise InputError(f"backbone.name: {name!r} is unknown; give one of {', '.join(BACKBONES)}")
    if stem not in STEMS:
        raise InputError(f"backbone.stem: {stem!r} is unknown; give one of {', '.join(STEMS)}")
    if not isinstance(width, int) or width < 1:
        raise InputError(f"backbone.width: {width!r} is no width; give a whole number, 1 or more")
    check_colors(mean, std)

    block, depths = BACKBONES[name]
    images = pixels()
    outputs = STEM_LAYERS[stem](normalize(images, mean, std), width, seed)
    for stage, depth in enumerate(depths):
        for index in range(depth):
            stride = 2 if stage > 0 and index == 0 else 1
            gamma = "zeros" if zero_init_residual else "ones"
            outputs = block(outputs, width * 2**stage, stride, f"layer{stage + 1}_{index}", seed, gamma)
    features = keras.layers.GlobalAveragePooling2D(name="avgpool", dtype=full_precision())(outputs)
    return keras.Model(images, features, name=name)


def _cifar_stem(inputs, width, seed):
    # The convolution that replaces torchvision's keeps torch's default initialisation, as in solo-learn.
    outputs = conv(inputs, width, 3, 1, "conv1", seed, initializer=torch_default)
    return BatchNorm(relu=True, name="bn1")(outputs)


def _imagenet_stem(inputs, width, seed):
    outputs = BatchNorm(relu=True, name="bn1")(conv(inputs, width, 7, 2, "conv1", seed))
    # After a ReLU, padding with zeros is padding with minus infinity.
    outputs = keras.layers.ZeroPadding2D(1, name="maxpool_pad")(outputs)
    return MaxPooling2D(3, 2, name="maxpool")(outputs)


def _basic_block(inputs, filters, stride, name, seed, last_gamma):
    outputs = conv(inputs, filters, 3, stride, f"{name}_conv1", seed)
    outputs = BatchNorm(relu=True, name=f"{name}_bn1")(outputs)
    outputs = conv(outputs, filters, 3, 1, f"{name}_conv2", seed)
    outputs = BatchNorm(gamma_initializer=last_gamma, name=f"{name}_bn2")(outputs)
    return _add_shortcut(inputs, outputs, stride, name, seed)


def _bottleneck_block(inputs, filters, stride, name, seed, last_gamma):
    outputs = conv(inputs, filters, 1, 1, f"{name}_conv1", seed)
    outputs = BatchNorm(relu=True, name=f"{name}_bn1")(outputs)
    outputs = conv(outputs, filters, 3, stride, f"{name}_conv2", seed)
    outputs = BatchNorm(relu=True, name=f"{name}_bn2")(outputs)
    outputs = conv(outputs, 4 * filters, 1, 1, f"{name}_conv3", seed)
    outputs = BatchNorm(gamma_initializer=last_gamma, name=f"{name}_bn3")(outputs)
    return _add_shortcut(inputs, outputs, stride, name, seed)


def _add_shortcut(inputs, outputs, stride, name, seed):
    if stride > 1 or inputs.shape[-1] != outputs.shape[-1]:
        inputs = conv(inputs, outputs.shape[-1], 1, stride, f"{name}_downsample_conv", seed)
        inputs = BatchNorm(name=f"{name}_downsample_bn")(inputs)
    return ReLU(name=f"{name}_relu")(keras.layers.Add(name=f"{name}_add")([outputs, inputs]))


STEM_LAYERS = {"cifar": _cifar_stem, "imagenet": _imagenet_stem}
BACKBONES = {
    "resnet18": (_basic_block, (2, 2, 2, 2)),
    "resnet34": (_basic_block, (3, 4, 6, 3)),
    "resnet50": (_bottleneck_block, (3, 4, 6, 3)),
}
