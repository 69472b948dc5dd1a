"""Building blocks with PyTorch's behaviour: BatchNorm, symmetric convolution, initialisation by seed.

The papers' numbers come from torch.nn and torchvision's ResNet; each piece here names what it copies.
"""

import functools
import math
import zlib

import keras
import tensorflow as tf

from simsiam_tf.networks import compiled, onednn, synchronized

FUSED_DTYPES = (tf.float32, tf.bfloat16, tf.float16)


@keras.saving.register_keras_serializable(package="simsiam_tf")
class BatchNorm(keras.layers.BatchNormalization):
    """Batch normalisation over the last axis, as torch.nn.BatchNorm1d/2d and SyncBatchNorm.

    Differs from Keras's in its defaults (torch's momentum 0.1 is Keras's 0.9), in the moving variance, which
    takes the unbiased batch variance (n / (n - 1)), and in speed: it is one fused kernel, except for float64
    and for statistics over several replicas (SyncBatchNorm), which are the default here: `synchronized.batch_norm`.
    Statistics are float32 under mixed policies, float64 under float64. As in Keras, trainable = False means inference
    mode. In a training step that XLA compiles it is `compiled.batch_norm`.

    Args:
        momentum: moving = momentum * moving + (1 - momentum) * batch.
        epsilon: added to the variance.
        synchronized: take the statistics over all replicas of a tf.distribute strategy. Otherwise each replica
            normalises by itself, and the moving statistics are those of the first, as in PyTorch.
        relu: A ReLU of the output belongs to the layer.
        **kwargs: those of keras.layers.BatchNormalization, less axis and renorm.

    Input shape: (n, d) or (n, h, w, c); any rank >= 2 works, without the fused kernel.
    """

    def __init__(self, momentum=0.9, epsilon=1e-5, synchronized=True, relu=False, **kwargs):
        super().__init__(momentum=momentum, epsilon=epsilon, synchronized=synchronized, **kwargs)
        self.relu = relu
        if self.axis != -1 or self.renorm:
            raise ValueError(f"BatchNorm needs axis=-1 and renorm=False, got {self.axis} and {self.renorm}")
        self.supports_masking = False

    def call(self, inputs, training=None):
        inputs = tf.convert_to_tensor(inputs)
        training = bool(training) and self.trainable
        alone = not training or self._replicas() is None
        if training and alone and compiled.is_compiled():
            outputs, mean, variance = self._compiled(inputs)
        else:
            fused = inputs.dtype in FUSED_DTYPES and inputs.shape.rank in (2, 4)
            kernels = (self._fused if fused else self._explicit) if alone else self._synchronized
            outputs, mean, variance = kernels(tf.cast(inputs, onednn.batch_norm_dtype(inputs)), training)
            outputs = tf.nn.relu(outputs) if self.relu else outputs
        if training:
            self._move(self.moving_mean, mean)
            self._move(self.moving_variance, variance)
        return tf.cast(outputs, self.compute_dtype)

    def _move(self, moving, batch):
        moving.assign(moving * self.momentum + tf.cast(batch, moving.dtype) * (1 - self.momentum))

    def _parameters(self, dtype):
        """Scale, offset, moving mean and variance; ones and zeros for a scale and an offset that are off."""
        scale = self.gamma if self.scale else tf.ones(self.moving_mean.shape)
        offset = self.beta if self.center else tf.zeros(self.moving_mean.shape)
        parameters = (scale, offset, self.moving_mean, self.moving_variance)
        return [tf.cast(tf.convert_to_tensor(parameter), dtype) for parameter in parameters]

    def _compiled(self, inputs):
        dtype = tf.float64 if inputs.dtype == tf.float64 else tf.float32
        scale, offset, shift, _ = self._parameters(dtype)
        return compiled.batch_norm(inputs, scale, offset, shift, self.epsilon, self.relu)

    def _fused(self, inputs, training):
        scale, offset, mean, variance = self._parameters(tf.float32)
        flat = inputs.shape.rank == 2
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs[:, None, None, :] if flat else inputs,
            scale=scale,
            offset=offset,
            mean=tf.zeros([0]) if training else mean,
            variance=tf.zeros([0]) if training else variance,
            epsilon=self.epsilon,
            is_training=training,
        )
        # The kernel's variance output is already the unbiased one.
        return outputs[:, 0, 0, :] if flat else outputs, mean, variance

    def _explicit(self, inputs, training):
        dtype = tf.float64 if inputs.dtype == tf.float64 else tf.float32
        inputs = tf.cast(inputs, dtype)
        scale, offset, mean, variance = self._parameters(dtype)
        unbiased = variance
        if training:
            axes = list(range(inputs.shape.rank - 1))
            count = tf.cast(tf.size(inputs) / tf.shape(inputs)[-1], dtype)
            mean = tf.reduce_sum(inputs, axes) / count
            # Two passes: the mean of squares minus the square of the mean cancels in float32.
            squares = tf.reduce_sum(tf.square(inputs - mean), axes)
            variance = squares / count
            unbiased = squares / tf.maximum(count - 1, 1)
        return (inputs - mean) * (tf.math.rsqrt(variance + self.epsilon) * scale) + offset, mean, unbiased

    def _replicas(self):
        """The replica context when there are other replicas to share statistics with, else None."""
        context = tf.distribute.get_replica_context()
        return context if self.synchronized and context and context.num_replicas_in_sync > 1 else None

    def _synchronized(self, inputs, training):
        dtype = tf.float64 if inputs.dtype == tf.float64 else tf.float32
        scale, offset, shift, _ = self._parameters(dtype)
        over = functools.partial(self._replicas().all_reduce, tf.distribute.ReduceOp.SUM)
        return synchronized.batch_norm(inputs, scale, offset, shift, self.epsilon, over)

    def get_config(self):
        return {**super().get_config(), "relu": self.relu}


@keras.saving.register_keras_serializable(package="simsiam_tf")
class ReLU(keras.layers.ReLU):
    """Keras's without its options; in a training step that XLA compiles it is `compiled.relu`."""

    def call(self, inputs):
        return compiled.relu(inputs) if compiled.is_compiled() else super().call(inputs)


@keras.saving.register_keras_serializable(package="simsiam_tf")
class MaxPooling2D(keras.layers.MaxPooling2D):
    """Keras's with square windows and no padding; in a training step that XLA compiles it is `compiled.max_pool`."""

    def call(self, inputs):
        if compiled.is_compiled():
            return compiled.max_pool(tf.convert_to_tensor(inputs), self.pool_size[0], self.strides[0])
        return super().call(inputs)


@keras.saving.register_keras_serializable(package="simsiam_tf")
class Conv2D(keras.layers.Conv2D):
    """Keras's with square kernels, without groups and dilation; where that is faster, `onednn.conv2d`.

    In a training step that XLA compiles a strided 1x1 kernel takes its pixels first, which moves less.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        square = all(len(set(each)) == 1 for each in (self.kernel_size, self.strides, (1, *self.dilation_rate)))
        if not square or self.groups != 1 or self.data_format != "channels_last":
            raise ValueError("Conv2D needs square kernels and strides, no groups and no dilation, and channels last")

    def convolution_op(self, inputs, kernel):
        inputs, kernel = tf.convert_to_tensor(inputs), tf.convert_to_tensor(kernel)
        size, stride, padding = self.kernel_size[0], self.strides[0], self.padding.upper()
        if compiled.is_compiled():
            if size == 1 and stride > 1:
                return tf.nn.conv2d(inputs[:, ::stride, ::stride], kernel, 1, "VALID")
        elif onednn.slow_gradient(inputs, size, stride, padding):
            return onednn.conv2d(inputs, kernel, stride, padding)
        return super().convolution_op(inputs, kernel)


def layer_seed(seed, name):
    """A seed for the layer `name` of a network seeded by `seed`: the same whatever was built before."""
    return zlib.crc32(f"{seed}/{name}".encode())


def torch_default(seed):
    """torch's default for Linear and Conv2d, kaiming_uniform(a=sqrt(5)): U(-b, b), b = 1 / sqrt(fan_in)."""
    return keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform", seed=seed)


def kaiming_normal(seed):
    """torchvision's ResNet convolutions: normal, not truncated, variance 2 / fan_out."""
    return keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal", seed=seed)


def dense_layer(units, fan_in, use_bias, name, seed, **kwargs):
    """A Dense layer initialised like torch.nn.Linear: weights and bias U(-b, b), b = 1 / sqrt(fan_in)."""
    bound = 1 / math.sqrt(fan_in)
    bias_seed = layer_seed(seed, f"{name}/bias")
    return keras.layers.Dense(
        units,
        use_bias=use_bias,
        kernel_initializer=torch_default(layer_seed(seed, f"{name}/kernel")),
        bias_initializer=keras.initializers.RandomUniform(-bound, bound, seed=bias_seed),
        name=name,
        **kwargs,
    )


def conv(inputs, filters, kernel_size, stride, name, seed, initializer=kaiming_normal):
    """Apply a convolution without bias, padded by (kernel_size - 1) // 2 on both sides as torchvision does.

    Keras's "same" at stride 2 pads more on the right and bottom, which shifts every later pixel. A strided 1x1
    convolution of fewer than onednn.ONE_VECTOR channels takes its pixels first, and is then one without a stride.

    Args:
        inputs: symbolic (n, h, w, c).
        kernel_size: odd.
        initializer: function of a seed; `kaiming_normal` or `torch_default`.

    Returns:
        (n, ceil(h / stride), ceil(w / stride), filters).
    """
    padding = "same" if stride == 1 else "valid"
    if stride > 1 and kernel_size > 1:
        inputs = keras.layers.ZeroPadding2D((kernel_size - 1) // 2, name=f"{name}_pad")(inputs)
    if stride > 1 and kernel_size == 1 and inputs.shape[-1] < onednn.ONE_VECTOR:
        inputs, stride = keras.layers.AveragePooling2D(1, stride, name=f"{name}_stride")(inputs), 1
    return Conv2D(
        filters,
        kernel_size,
        stride,
        padding,
        use_bias=False,
        kernel_initializer=initializer(layer_seed(seed, name)),
        name=name,
    )(inputs)
