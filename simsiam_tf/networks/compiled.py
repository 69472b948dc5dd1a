"""What the layers compute in a step that XLA compiles: the same functions, with gradients that move fewer bytes.

On a GPU half of the step is not convolution but passes over the activations. XLA fuses elementwise work into such a
pass and decides by itself what it keeps in memory; these gradients are written so that it keeps nothing that a pass can
compute anew from what it reads anyway. Elsewhere TensorFlow's own kernels are faster. What each is worth:
benchmarks/gpu.
"""

import contextlib
import contextvars
import itertools

import tensorflow as tf

_compiled = contextvars.ContextVar("compiled", default=False)


@contextlib.contextmanager
def compiled(yes):
    """Whether layers called in this context are in a training step that XLA compiles; only `Method` knows that."""
    token = _compiled.set(bool(yes))
    try:
        yield
    finally:
        _compiled.reset(token)


def is_compiled():
    return _compiled.get()


def batch_norm(inputs, scale, offset, shift, epsilon, relu):
    """Batch normalisation over the last axis, and a ReLU of it if wanted.

    The statistics take one pass, of the inputs less `shift`: where that is near the mean, nothing cancels in the mean
    of squares minus the square of the mean. The gradient takes two: the sums, then the rest, each with a ReLU's zeros
    computed from the inputs.

    Args:
        inputs: (..., c), any float dtype; computed in float32, or in the dtype of `scale` and `offset`, (c,).
        shift: (c,), gets no gradient; the moving mean.

    Returns:
        Outputs in the inputs' dtype, mean and unbiased variance (c,); these have no gradient.
    """
    axes, dtype = list(range(inputs.shape.rank - 1)), scale.dtype
    count = tf.cast(tf.size(inputs) // tf.shape(inputs)[-1], dtype)

    @tf.custom_gradient
    def normalized(inputs, scale, offset):
        x = tf.cast(inputs, dtype)
        shifted = x - shift
        shifted_mean = tf.reduce_sum(shifted, axes) / count
        squares = tf.reduce_sum(tf.square(shifted), axes) / count
        variance = tf.maximum(squares - tf.square(shifted_mean), 0)
        mean = shift + shifted_mean
        inverse = tf.math.rsqrt(variance + epsilon)
        factor = inverse * scale
        outputs = (x - mean) * factor + offset

        def gradient(upstream, *_):
            # One condition, written in two ways, and the factor inside of the second: of equal expressions XLA makes
            # one, and one that two passes use it may write to memory.
            centred = tf.cast(inputs, dtype) - mean
            upstream = tf.cast(upstream, dtype)
            first = tf.where(centred * factor + offset > 0, upstream, 0) if relu else upstream
            second = upstream * factor
            second = tf.where(centred * factor > -offset, second, 0) if relu else second
            d_offset = tf.reduce_sum(first, axes)
            d_scale = tf.reduce_sum(first * centred, axes) * inverse
            d_inputs = second - (d_offset + centred * (inverse * d_scale)) * (factor / count)
            return tf.cast(d_inputs, inputs.dtype), d_scale, d_offset

        outputs = tf.cast(tf.nn.relu(outputs) if relu else outputs, inputs.dtype)
        return (outputs, mean, variance * (count / tf.maximum(count - 1, 1))), gradient

    return normalized(inputs, scale, offset)


@tf.custom_gradient
def relu(inputs):
    """A ReLU that looks for its zeros in what it returned, which is in memory for the next layer.

    With `outputs > 0` XLA would find that this is `inputs > 0`, and compute the sum of a block and its shortcut anew.
    """
    outputs = tf.nn.relu(inputs)
    return outputs, lambda upstream: tf.where(outputs != 0, upstream, tf.zeros_like(upstream))


def max_pool(inputs, size, stride):
    """Max-pooling (n, h, w, c) without padding, as a maximum of strided slices.

    The gradient goes to the first of equal pixels, in the order of rows, as TensorFlow's and PyTorch's. It is a sum of
    slices put back in their places; XLA's own would be a scatter.
    """
    height, width = ((side - size) // stride + 1 for side in inputs.shape[1:3])
    last = ((height - 1) * stride + 1, (width - 1) * stride + 1)
    places = list(itertools.product(range(size), repeat=2))

    @tf.custom_gradient
    def pooled(inputs):
        slices = [inputs[:, i : i + last[0] : stride, j : j + last[1] : stride] for i, j in places]
        outputs, where = slices[0], tf.zeros(tf.shape(slices[0]), tf.uint8)
        for number, each in enumerate(slices[1:], start=1):
            where = tf.where(each > outputs, tf.constant(number, tf.uint8), where)
            outputs = tf.maximum(outputs, each)

        def gradient(upstream):
            parts = []
            for number, (i, j) in enumerate(places):
                own = tf.where(where == number, upstream, tf.zeros_like(upstream))
                ends = [0, i + last[0], j + last[1], 0]
                put = {"begin": [0, i, j, 0], "end": ends, "strides": [1, stride, stride, 1]}
                part = tf.raw_ops.StridedSliceGrad(
                    shape=tf.shape(inputs), dy=own, begin_mask=0b1001, end_mask=0b1001, **put
                )
                parts.append(tf.cast(part, tf.float64 if part.dtype == tf.float64 else tf.float32))
            return tf.cast(tf.add_n(parts), inputs.dtype)

        return outputs, gradient

    return pooled(inputs)
