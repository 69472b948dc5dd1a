"""What is computed in place of oneDNN's kernels: the same values and gradients, where the layers take it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from simsiam_tf.networks import onednn
from simsiam_tf.networks.compiled import compiled
from simsiam_tf.networks.layers import BatchNorm, Conv2D, conv

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def normal(shape, dtype="float64", seed=0):
    return tf.cast(np.random.default_rng(seed).normal(0.5, 2.0, shape), dtype)


def with_gradients(function, *inputs):
    """Outputs, and the gradients of the sum of their sines, in float64."""
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = tf.cast(function(*inputs), tf.float64)
        loss = tf.reduce_sum(tf.sin(outputs))
    return [tf.cast(each, tf.float64) for each in (outputs, *tape.gradient(loss, inputs))]


@pytest.mark.parametrize("function", [lambda f: f, tf.function])
@pytest.mark.parametrize(
    ("size", "stride", "padding"), [(3, 1, "SAME"), (3, 1, "VALID"), (3, 2, "VALID"), (5, 2, "VALID")]
)
@pytest.mark.parametrize("shape", [(2, 8, 8, 3), (3, 7, 9, 2), (1, 5, 6, 4)])
def test_values_and_gradients_are_tensorflows(shape, size, stride, padding, function):
    images, kernel = normal(shape), normal((size, size, shape[-1], 5), seed=1)
    ours = function(lambda x, k: with_gradients(lambda *i: onednn.conv2d(*i, stride, padding), x, k))(images, kernel)
    theirs = with_gradients(lambda *i: tf.nn.conv2d(*i, stride, padding), images, kernel)
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12 * np.abs(b).max())


@pytest.mark.parametrize(
    ("shape", "dtype", "options", "slow"),
    [
        ((16, 8, 8, 64), "bfloat16", (3, 1, "SAME"), True),
        ((None, 8, 8, 64), "bfloat16", (3, 1, "SAME"), True),
        ((16, 8, 8, 63), "bfloat16", (3, 1, "SAME"), False),
        ((16, 9, 9, 512), "bfloat16", (3, 1, "SAME"), False),
        ((16, 19, 19, 128), "bfloat16", (3, 2, "VALID"), False),
        ((16, 4, 4, 32), "bfloat16", (3, 1, "SAME"), True),
        ((16, 18, 18, 64), "bfloat16", (3, 2, "VALID"), True),
        ((16, None, None, 64), "bfloat16", (3, 1, "SAME"), False),
        ((16, 2, 2, 255), "float32", (3, 1, "SAME"), False),
        ((16, 2, 2, 256), "float32", (3, 1, "SAME"), True),
        ((16, 8, 8, 256), "float32", (3, 1, "SAME"), True),
        ((16, 9, 9, 256), "float32", (3, 1, "SAME"), False),
        ((16, 2, 2, 512), "float64", (3, 1, "SAME"), False),
        ((16, 2, 2, 512), "float16", (3, 1, "SAME"), False),
        ((16, 8, 8, 64), "bfloat16", (1, 1, "SAME"), False),
        ((16, 8, 8, 64), "bfloat16", (3, 2, "SAME"), False),
    ],
)
def test_where_a_gradient_is_slow(shape, dtype, options, slow):
    assert (
        onednn.slow_gradient(keras.KerasTensor(shape, dtype) if None in shape else tf.zeros(shape, dtype), *options)
        is slow
    )


def test_not_on_a_gpu(monkeypatch):
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [kind])
    x = tf.zeros((16, 8, 8, 72), tf.bfloat16)
    assert not onednn.slow_gradient(x, 3, 1, "SAME")
    assert onednn.batch_norm_dtype(x) == tf.bfloat16


@pytest.mark.parametrize("stride", [1, 2])
def test_layer_takes_it_unless_xla_compiles(stride, monkeypatch):
    """As float32 computes, within what bfloat16 rounds."""
    calls = []
    whole = onednn.conv2d
    monkeypatch.setattr(onednn, "conv2d", lambda *i: calls.append(i[2:]) or whole(*i))
    networks = {}
    for policy in ("float32", "mixed_bfloat16"):
        keras.config.set_dtype_policy(policy)
        inputs = keras.Input((8, 8, 64))
        networks[policy] = keras.Model(inputs, conv(inputs, 32, 3, stride, "conv", seed=0))
    x = tf.cast(normal((4, 8, 8, 64), "bfloat16"), tf.float32)

    def gradients(model):
        with tf.GradientTape() as tape:
            outputs = tf.cast(model(x, training=True), tf.float32)
            loss = tf.reduce_sum(
                outputs * tf.sin(tf.reshape(tf.range(tf.size(outputs), dtype=tf.float32), outputs.shape))
            )
        return tape.gradient(loss, model.trainable_variables)[0]

    exact = gradients(networks["float32"])
    assert not calls
    found = gradients(networks["mixed_bfloat16"])
    assert calls == [(stride, "SAME" if stride == 1 else "VALID")]
    np.testing.assert_allclose(found, exact, atol=2.0**-7 * np.abs(exact).max())
    with compiled(True):
        networks["mixed_bfloat16"](x, training=True)
    assert len(calls) == 1


@pytest.mark.parametrize("channels", [8, 16, 24])
@pytest.mark.parametrize("shape", [(32,), (4, 6, 6)])
def test_batch_norm_of_bfloat16(channels, shape, monkeypatch):
    """Outputs and gradients are bfloat16, of statistics in float32, whatever dtype the kernel takes."""
    x = normal((*shape, channels), "bfloat16")
    layer, exact = BatchNorm(relu=True, dtype="mixed_bfloat16"), BatchNorm(relu=True, dtype="float64")
    found, expected = (
        with_gradients(lambda x, layer=layer: layer(x, training=True), tf.cast(x, layer.compute_dtype))
        for layer in (layer, exact)
    )
    taken = []
    kernel = tf.raw_ops.FusedBatchNormV3
    monkeypatch.setattr(
        tf.raw_ops, "FusedBatchNormV3", lambda x, **given: taken.append(x.dtype) or kernel(x=x, **given)
    )
    assert layer(x, training=True).dtype == tf.bfloat16
    assert taken == [tf.bfloat16 if channels == 16 else tf.float32]
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2.0**-6 * np.abs(theirs).max())


@pytest.mark.parametrize("options", [{"groups": 2}, {"dilation_rate": 2}, {"strides": (1, 2)}, {"kernel_size": (3, 1)}])
def test_a_convolution_that_the_layer_does_not_compute_is_refused(options):
    with pytest.raises(ValueError, match="Conv2D needs square kernels and strides, no groups and no dilation"):
        Conv2D(**{"filters": 4, "kernel_size": 3} | options)
