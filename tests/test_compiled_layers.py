"""The gradients of a compiled step against TensorFlow's own and loops, in float64; which step gets them."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from simsiam_tf import SimSiam, make_optimizer
from simsiam_tf.networks import resnet
from simsiam_tf.networks.compiled import batch_norm, compiled, is_compiled, max_pool, relu
from simsiam_tf.networks.layers import BatchNorm, conv

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def normal(shape, dtype="float64", seed=0):
    return np.random.default_rng(seed).normal(2.0, 3.0, shape).astype(dtype)


def with_gradients(function, *inputs):
    """Outputs, and the gradients of their sum weighted by their place."""
    inputs = [tf.convert_to_tensor(each) for each in inputs]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = function(*inputs)
        weights = tf.reshape(tf.sin(tf.range(tf.size(outputs), dtype=tf.float64)), tf.shape(outputs))
        loss = tf.reduce_sum(tf.cast(outputs, tf.float64) * weights)
    return outputs, *tape.gradient(loss, inputs)


def plain_batch_norm(x, scale, offset, with_relu):
    axes = list(range(x.shape.rank - 1))
    mean, variance = tf.nn.moments(x, axes)
    outputs = tf.nn.batch_normalization(x, mean, variance, offset, scale, 1e-5)
    return tf.nn.relu(outputs) if with_relu else outputs


class TestBatchNorm:
    scale, offset = np.array([0.5, -1.0, 2.0, 0.0]), np.array([-1.0, 0.0, 3.0, 0.5])

    @pytest.mark.parametrize("jit", [False, True])
    @pytest.mark.parametrize("with_relu", [False, True])
    @pytest.mark.parametrize("shape", [(16, 4), (4, 5, 6, 4)])
    def test_values_and_gradients(self, shape, with_relu, jit):
        x, shift = normal(shape), tf.constant([0.0, 1.0, 2.0, 5.0], tf.float64)

        def ours(x, scale, offset):
            return batch_norm(x, scale, offset, shift, 1e-5, with_relu)[0]

        def theirs(x, scale, offset):
            return plain_batch_norm(x, scale, offset, with_relu)

        both = [tf.function(lambda *i, f=f: with_gradients(f, *i), jit_compile=jit) for f in (ours, theirs)]
        for a, b in zip(*(f(x, self.scale, self.offset) for f in both), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)

    def test_statistics_of_a_large_mean_near_the_shift(self):
        x = normal((64, 4), "float32") / 3 + 3000
        scale, offset, shift = tf.ones(4), tf.zeros(4), tf.fill([4], 3001.0)
        _, mean, variance = batch_norm(tf.constant(x), scale, offset, shift, 1e-5, False)
        np.testing.assert_allclose(mean, x.astype("float64").mean(0), rtol=1e-6)
        np.testing.assert_allclose(variance, x.astype("float64").var(0, ddof=1), rtol=1e-5)

    def test_bfloat16_stays_bfloat16(self):
        x = tf.cast(normal((8, 5, 5, 4)), tf.bfloat16)
        scale, offset = tf.constant(self.scale, tf.float32), tf.constant(self.offset, tf.float32)
        outputs, *gradients = with_gradients(lambda *i: batch_norm(*i, tf.zeros(4), 1e-5, True)[0], x, scale, offset)
        assert [each.dtype.name for each in (outputs, *gradients)] == ["bfloat16", "bfloat16", "float32", "float32"]
        exact = with_gradients(lambda *i: plain_batch_norm(*i, True), tf.cast(x, tf.float64), self.scale, self.offset)
        for ours, theirs in zip((outputs, *gradients), exact, strict=True):
            np.testing.assert_allclose(tf.cast(ours, tf.float64), theirs, atol=2.0**-7 * np.abs(theirs).max())

    @pytest.mark.parametrize("policy", ["float32", "float64", "mixed_bfloat16", "mixed_float16"])
    def test_layer(self, policy):
        """Two steps as the plain layer does them, moving statistics too."""
        here, there = (BatchNorm(relu=True, dtype=policy) for _ in range(2))
        for layer in (here, there):
            layer.build((None, 6, 6, 4))
            layer.gamma.assign(self.scale)
            layer.beta.assign(self.offset)
        tolerance = {"float32": 1e-5, "float64": 1e-12}.get(policy, 0.05)
        for factor in (1, 2):
            x = tf.cast(factor * normal((4, 6, 6, 4)), here.compute_dtype)
            with compiled(True):
                ours = here(x, training=True)
            theirs = there(x, training=True)
            assert ours.dtype == theirs.dtype
            assert np.min(theirs) == 0
            np.testing.assert_allclose(tf.cast(ours, "float64"), tf.cast(theirs, "float64"), atol=tolerance)
        for a, b in zip(here.variables, there.variables, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12 if policy == "float64" else 1e-5)


def test_relu():
    x = np.array([-1.0, -0.0, 0.0, 1e-300, 2.0])
    outputs, gradient = with_gradients(relu, x)
    np.testing.assert_array_equal(outputs, np.maximum(x, 0))
    np.testing.assert_array_equal(gradient, np.sin(np.arange(5.0)) * [0, 0, 0, 1, 1])


def looped_max_pool(x, upstream, size, stride):
    """Values, and the gradient given to the first of the largest in each window."""
    n, rows, columns, c = upstream.shape
    outputs, gradient = np.zeros(upstream.shape), np.zeros(x.shape)
    for k, i, j, d in itertools.product(range(n), range(rows), range(columns), range(c)):
        window = x[k, i * stride : i * stride + size, j * stride : j * stride + size, d]
        row, column = np.unravel_index(window.argmax(), window.shape)  # the first of equals
        outputs[k, i, j, d] = window.max()
        gradient[k, i * stride + row, j * stride + column, d] += upstream[k, i, j, d]
    return outputs, gradient


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("levels", [3, 1000])
@pytest.mark.parametrize(("height", "width"), [(8, 9), (9, 7), (3, 4)])
def test_max_pool(height, width, levels, jit):
    """With 3 levels nearly every window has ties."""
    x = np.random.default_rng(0).integers(0, levels, (2, height, width, 3)).astype("float64")
    pooled = tf.function(lambda x: with_gradients(lambda x: max_pool(x, 3, 2), x), jit_compile=jit)
    outputs, gradient = pooled(x)
    upstream = np.sin(np.arange(outputs.numpy().size, dtype="float64")).reshape(outputs.shape)
    expected = looped_max_pool(x, upstream, 3, 2)
    np.testing.assert_array_equal(outputs, expected[0])
    np.testing.assert_allclose(gradient, expected[1], atol=1e-15)
    _, tensorflows = with_gradients(lambda x: tf.nn.max_pool2d(x, 3, 2, "VALID"), x)
    np.testing.assert_allclose(gradient, tensorflows, atol=1e-15)


@pytest.mark.parametrize("side", [5, 6])
def test_strided_pointwise_convolution(side):
    keras.config.set_dtype_policy("float64")
    image = keras.Input((None, None, 16))
    model = keras.Model(image, conv(image, 3, 1, 2, "c", seed=0))
    x = normal((2, side, side, 16))
    plain = with_gradients(model, x)
    with compiled(True):
        ours = with_gradients(model, x)
    for a, b in zip(ours, plain, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def method(jit):
    keras.config.set_dtype_policy("float64")
    model = SimSiam(resnet.build("resnet18", stem="imagenet", width=4), projection_dim=8, predictor_hidden=4)
    model.compile(optimizer=make_optimizer(model, 10, batch_size=4, epochs=2), jit_compile=jit)
    model.draw_views = lambda images, *_: [tf.cast(images, tf.float64), 255 - tf.cast(images[:, ::-1], tf.float64)]
    return model


def test_a_compiled_step_is_the_plain_one():
    images = np.random.default_rng(0).integers(0, 256, (4, 33, 33, 3)).astype("uint8")
    states = []
    for jit in (True, False):
        model = method(jit)
        step = tf.function(model.train_step, jit_compile=jit, autograph=False)
        loss = [float(step((tf.constant(images),))["loss"]) for _ in range(2)]
        states.append([loss, *model.get_weights()])
    for ours, plain in zip(*states, strict=True):
        np.testing.assert_allclose(ours, plain, rtol=1e-7, atol=1e-9)


def test_which_step_is_compiled():
    """TensorFlow's own kernels where XLA does not compile; where it does, no max-pooling's gradient that scatters."""
    images = tf.zeros([2, 33, 33, 3])
    for jit in (True, False):
        step = tf.function(method(jit).train_step, autograph=False)
        kinds = {each.type for each in step.get_concrete_function((images,)).graph.get_operations()}
        assert ("MaxPoolGrad" in kinds) is not jit
        assert ("StridedSliceGrad" in kinds) is jit
        assert not is_compiled()
