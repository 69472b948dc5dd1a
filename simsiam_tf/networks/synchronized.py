"""Batch normalisation by the statistics of all replicas (SyncBatchNorm), with one message each way.

Forward, each replica sends how its own mean and squares lie about a common point; on the way back, the two sums that
the inputs' gradient takes. What is left are TensorFlow's fused kernels, but for float64, which they do not take, and
for the gradient on GPUs.
"""

import tensorflow as tf


def batch_norm(inputs, scale, offset, shift, epsilon, over):
    """Batch normalisation over the last axis.

    Args:
        inputs: (..., c), any float dtype; computed in float32, or in the dtype of `scale` and `offset`, (c,).
        shift: (c,), the same in all replicas; where it is near the mean, nothing cancels. The moving mean.
        over: Makes of a vector its sum over the replicas.

    Returns:
        Outputs in the inputs' dtype, mean and unbiased variance (c,); these have no gradient. The gradients of scale
        and offset are those of this replica's inputs, as those of all other weights.
    """
    moments, normalize, frozen_gradient = _EXPLICIT if scale.dtype == tf.float64 else _FUSED
    if tf.config.list_logical_devices("GPU"):  # its fused kernel is not deterministic, and refuses to be
        frozen_gradient = _explicit_gradient
    c, whole = inputs.shape[-1], tf.shape(inputs)

    @tf.custom_gradient
    def normalized(x, scale, offset):
        n = tf.cast(tf.size(x) // c, scale.dtype)
        own_mean, own_squares = moments(x, n)
        away = tf.where(n > 0, own_mean - shift, 0)
        own_squares = tf.where(n > 1, own_squares, 0)
        total = over(tf.concat([n * away, own_squares + n * tf.square(away), [n]], axis=0))
        away, squares, count = total[:c] / total[-1], total[c:-1], total[-1]
        squares = tf.maximum(squares - count * tf.square(away), 0)
        mean, variance = shift + away, squares / count

        def gradient(upstream, *_):
            d_x, d_scale, d_offset = frozen_gradient(upstream, x, scale, mean, variance, epsilon)
            total = over(tf.concat([d_scale, d_offset], axis=0)) / count
            inverse = tf.math.rsqrt(variance + epsilon)
            slope = scale * tf.square(inverse) * total[:c]
            level = scale * inverse * total[c:] - mean * slope
            rest = tf.cast(x, scale.dtype) * slope + level
            return tf.cast(tf.cast(d_x, scale.dtype) - rest, x.dtype), d_scale, d_offset

        outputs = normalize(x, scale, offset, mean, variance, epsilon)
        return (outputs, mean, squares / tf.maximum(count - 1, 1)), gradient

    x = inputs if inputs.shape.rank == 4 else tf.reshape(inputs, [-1, 1, 1, c])
    outputs, mean, unbiased = normalized(x, scale, offset)
    return tf.reshape(outputs, whole), mean, unbiased


# === Kernels: mean and sum of squares about it; outputs; gradients where mean and variance stand still ===


def _fused_moments(x, n):
    ones, none = tf.ones(x.shape[-1:]), tf.zeros([0])
    _, mean, unbiased, *_ = tf.raw_ops.FusedBatchNormV3(x=x, scale=ones, offset=0 * ones, mean=none, variance=none)
    return mean, unbiased * (n - 1)


def _fused_normalize(x, scale, offset, mean, variance, epsilon):
    given = {"scale": scale, "offset": offset, "mean": mean, "variance": variance}
    return tf.raw_ops.FusedBatchNormV3(x=x, epsilon=epsilon, is_training=False, **given).y


def _fused_gradient(upstream, x, scale, mean, variance, epsilon):
    given = {"scale": scale, "reserve_space_1": mean, "reserve_space_2": variance, "reserve_space_3": tf.zeros([0])}
    return tf.raw_ops.FusedBatchNormGradV3(y_backprop=upstream, x=x, epsilon=epsilon, is_training=False, **given)[:3]


def _explicit_moments(x, n):
    mean = tf.reduce_sum(x, [0, 1, 2]) / n
    return mean, tf.reduce_sum(tf.square(x - mean), [0, 1, 2])


def _explicit_normalize(x, scale, offset, mean, variance, epsilon):
    return (x - mean) * (tf.math.rsqrt(variance + epsilon) * scale) + offset


def _explicit_gradient(upstream, x, scale, mean, variance, epsilon):
    upstream, x = (tf.cast(each, scale.dtype) for each in (upstream, x))
    inverse = tf.math.rsqrt(variance + epsilon)
    d_scale = tf.reduce_sum(upstream * (x - mean), [0, 1, 2]) * inverse
    return upstream * (inverse * scale), d_scale, tf.reduce_sum(upstream, [0, 1, 2])


_FUSED = _fused_moments, _fused_normalize, _fused_gradient
_EXPLICIT = _explicit_moments, _explicit_normalize, _explicit_gradient
