"""What oneDNN, TensorFlow's library of kernels on CPUs, is slow or wrong at, and what is computed in its place.

That of TensorFlow 2.21 is version 3.7.3. What each is worth: benchmarks/README.md.
"""

import tensorflow as tf

# Channels of a vector. The gradient of a strided 1x1 kernel over fewer is wrong, and written beyond its memory
# (uxlfoundation/oneDNN#6035). Batch normalisation of bfloat16 is ten times slower where channels do not fill vectors.
ONE_VECTOR = 16
# The gradient of a 3x3 kernel takes up to ten times as long as matrix products where the output is at most so many
# pixels wide, and the inputs have at least so many channels for each of them, and so many in all.
NARROW, DEEP, LEAST = 8, 8, {tf.bfloat16: 1, tf.float32: 256}


def batch_norm_dtype(inputs):
    """The dtype in which batch normalisation of these (..., c) is fast."""
    slow = inputs.dtype == tf.bfloat16 and inputs.shape[-1] % ONE_VECTOR and _on_cpu()
    return tf.float32 if slow else inputs.dtype


def slow_gradient(inputs, size, stride, padding):
    """Whether `conv2d` of these with a kernel of this size is faster than TensorFlow's."""
    least = LEAST.get(tf.as_dtype(inputs.dtype))
    if least is None or size != 3 or stride > 2 or None in inputs.shape[1:]:
        return False
    if padding == "SAME" and stride > 1:  # which pads by the size of the inputs
        return False
    columns, channels = inputs.shape[2:]
    columns = columns if padding == "SAME" else (columns - size) // stride + 1
    return columns <= NARROW and channels >= max(DEEP * columns, least) and _on_cpu()


def conv2d(inputs, kernel, stride, padding):
    """tf.nn.conv2d with a gradient of the kernel by matrix products.

    Args:
        inputs: (n, h, w, c), h and w known.
        kernel: (size, size, c, d); size - 1 is a multiple of the stride.
        padding: "SAME" with an odd size and stride 1, or "VALID".

    Returns:
        (n, rows, columns, d).
    """
    options = {"strides": [1, stride, stride, 1], "padding": padding}

    @tf.custom_gradient
    def convolved(inputs, kernel):
        outputs = tf.nn.conv2d(inputs, kernel, stride, padding)

        def gradient(upstream):
            upstream = tf.ensure_shape(upstream, outputs.shape)
            d_inputs = tf.raw_ops.Conv2DBackpropInput(
                input_sizes=tf.shape(inputs), filter=kernel, out_backprop=upstream, **options
            )
            before = (kernel.shape[0] - 1) // 2 if padding == "SAME" else 0
            return d_inputs, _kernel_gradient(inputs, upstream, kernel.shape[0], stride, before)

        return outputs, gradient

    return convolved(inputs, kernel)


def _on_cpu():
    return not tf.config.list_logical_devices("GPU")


def _kernel_gradient(inputs, upstream, size, stride, before):
    """(size, size, c, d): at each place of the kernel the pixels that it saw, (c, n rows columns), by the upstream,
    (n rows columns, d)."""
    rows, columns, depth = upstream.shape[1:]
    channels = inputs.shape[-1]
    # Pixels in blocks of stride x stride, as slices without a stride are copied row by row.
    tall, wide = ((size - 1) // stride + side for side in (rows, columns))
    pads = [
        (before, blocks * stride - before - side) for blocks, side in ((tall, inputs.shape[1]), (wide, inputs.shape[2]))
    ]
    blocks = tf.reshape(tf.pad(inputs, [(0, 0), *pads, (0, 0)]), (-1, tall, stride, wide, stride, channels))
    upstream = tf.reshape(upstream, (-1, depth))
    products = []
    for i in range(size):
        for j in range(size):
            top, left = i // stride, j // stride
            seen = blocks[:, top : top + rows, i % stride, left : left + columns, j % stride]
            products.append(tf.linalg.matmul(tf.reshape(seen, (-1, channels)), upstream, transpose_a=True))
    return tf.reshape(tf.stack(products), (size, size, channels, depth))
