"""Linear probe: softmax regression on cached, un-augmented features by SGD.

Aczel 2021, sec. 2.2; Chen & He 2021, app. A.
"""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from simsiam_tf.errors import InputError
from simsiam_tf.evaluation.features import (
    IN_MEMORY,
    as_feature_pair,
    as_labels,
    as_num_classes,
    full_float32,
)

TRUST = {"sgd": 0.0, "lars": 1e-3}  # LARS's trust coefficient; 0: the gradient as it is


@dataclass(frozen=True)
class LinearResult:
    """Test accuracy in [0, 1], and the classifier: kernel (d, k) and bias (k,), float32."""

    accuracy: float
    kernel: np.ndarray
    bias: np.ndarray


@full_float32()
def linear_probe(
    train_features,
    train_labels,
    test_features,
    test_labels,
    *,
    num_classes=None,
    base_learning_rate=30.0,
    optimizer="sgd",
    batch_size=256,
    epochs=100,
    momentum=0.9,
    weight_decay=0.0,
    repeat=1,
    seed=0,
) -> LinearResult:
    """Train a linear classifier on the train features (n, d) and give its accuracy on the test features.

    SGD in PyTorch's form, v = momentum v + g, w -= lr v; lr = base_learning_rate * batch / 256, cosine per
    epoch, no warm-up. With "lars" g is scaled by 0.001 |w| / |g|, for kernel and bias by themselves, as LARC does it in
    SimSiam's official code (appendix A: batch 4096, 90 epochs, base rate 0.02, in the code 0.1). Kernel from
    N(0, 0.01), bias 0. The features are taken as they are, neither normalised nor standardised. An epoch is one seeded
    permutation, whose last incomplete batch is dropped; if the training set is smaller than a batch, it is the batch.
    A test label that the training labels lack counts as an error.

    Args:
        num_classes: by default the largest training label + 1.
        repeat: copies of the training set in an epoch; 10 for 10 % of the labels and 100 for 1 % make the
            number of iterations that of the whole set.
        seed: of the kernel and of the order; the same seed gives the same result.

    Raises:
        InputError: shapes that do not fit, NaN or infinity, or if training diverges.
    """
    x, x_test = as_feature_pair(train_features, test_features)
    y = as_labels("train_labels", train_labels, len(x))
    y_test = as_labels("test_labels", test_labels, len(x_test))
    num_classes = as_num_classes(num_classes, y)
    if min(batch_size, epochs, repeat) < 1:
        raise InputError(f"batch_size: {batch_size}, with epochs {epochs} and repeat {repeat}; give 1 or more of each")
    if optimizer not in TRUST:
        raise InputError(f"optimizer: {optimizer!r} is unknown; give one of {', '.join(TRUST)}")

    constants = momentum, weight_decay, TRUST[optimizer]
    fitted = fit_probes(x, y, [base_learning_rate], num_classes, batch_size, epochs, constants, repeat, seed)
    kernel, bias = fitted[0][0], fitted[1][0]
    if not (np.isfinite(kernel).all() and np.isfinite(bias).all()):
        raise InputError(
            f"base_learning_rate: {base_learning_rate} makes the linear probe diverge on features as large as "
            f"{max(x.max(), -x.min()):.3g}; give a lower one, or scale the features to about 1"
        )
    predictions = (x_test @ kernel + bias).argmax(axis=1)
    return LinearResult(float(np.mean(predictions == y_test)), kernel, bias)


def fit_probes(x, y, base_learning_rates, num_classes, batch_size, epochs, constants, repeat, seed, rows=None):
    """Kernels (rates, d, k) and biases (rates, k) after training; one that has diverged holds NaN or infinity.

    With `rows` as with x[rows] and y[rows], which are not copied.
    """
    parts = _Parts(x, y, rows)
    batch, rates = min(batch_size, len(parts) * repeat), len(base_learning_rates)
    peaks = np.repeat(np.float64(base_learning_rates) * batch / 256, num_classes)  # (rates * k,)
    kernel = np.random.default_rng([seed, 0]).normal(0.0, 0.01, (x.shape[1], num_classes)).astype(np.float32)
    kernel, bias = np.tile(kernel, rates), np.zeros(rates * num_classes, np.float32)
    state = [tf.constant(value) for value in (kernel, bias, np.zeros_like(kernel), np.zeros_like(bias))]
    for epoch in range(epochs):
        rate = np.float32(peaks * (1 + np.cos(np.pi * epoch / epochs)) / 2)
        scalars = [tf.constant(np.float32(value)) for value in constants]
        for images, targets, order in parts(epoch_order(len(parts), repeat, batch, epoch, seed)):
            state = _train_epoch(images, targets, order, tf.constant(num_classes), tf.constant(rate), *scalars, *state)
    kernel, bias = (value.numpy() for value in state[:2])
    return kernel.reshape(-1, rates, num_classes).swapaxes(0, 1), bias.reshape(rates, num_classes)


class _Parts:
    """The batches of an epoch with the features that they read: all at once, or, of more than IN_MEMORY bytes, as many
    at a time as are a quarter of that. Features may be a memory-mapped file, of which the given rows count.
    """

    def __init__(self, x, y, rows=None):
        self.x, self.y, self.whole = x, y, None
        self.rows = np.arange(len(x)) if rows is None else rows
        if len(self) * x[0].nbytes <= IN_MEMORY:
            self.whole = [tf.constant(x if rows is None else x[rows]), tf.constant(y[self.rows], tf.int32)]

    def __len__(self):
        return len(self.rows)

    def __call__(self, order):
        """Yields (features, labels, order among these)."""
        if self.whole:
            yield *self.whole, tf.constant(order, tf.int32)
            return
        steps = max(1, IN_MEMORY // 4 // (order.shape[1] * self.x[0].nbytes))
        for start in range(0, len(order), steps):
            some = order[start : start + steps]
            rows, local = self.rows[some.ravel()], np.arange(some.size, dtype=np.int32).reshape(some.shape)
            yield tf.constant(self.x[rows]), tf.constant(self.y[rows], tf.int32), tf.constant(local)


def epoch_order(n, repeat, batch, epoch, seed):
    """Indices (steps, batch) into n images for one epoch over `repeat` copies of them, from the arguments alone."""
    order = np.random.default_rng([seed, 1, epoch]).permutation(n * repeat) % n
    steps = len(order) // batch
    return order[: steps * batch].reshape(steps, batch)


_SCALAR, _VECTOR, _MATRIX = (tf.TensorSpec([None] * rank, tf.float32) for rank in range(3))
_LABELS, _ORDER = tf.TensorSpec([None], tf.int32), tf.TensorSpec([None, None], tf.int32)


# The loop over steps is inside the graph, as a step takes microseconds; open shapes let one trace serve every
# subset. Not XLA: 1.7 times faster at 50,000 x 512 on a CPU, but compiled anew for every subset's size.
@tf.function(
    input_signature=[
        *[_MATRIX, _LABELS, _ORDER, tf.TensorSpec([], tf.int32), _VECTOR, _SCALAR, _SCALAR, _SCALAR],
        *[_MATRIX, _VECTOR, _MATRIX, _VECTOR],
    ]
)
def _train_epoch(
    images,
    labels,
    order,
    num_classes,
    rates,
    momentum,
    weight_decay,
    trust,
    kernel,
    bias,
    kernel_velocity,
    bias_velocity,
):
    """One pass over the batches `order` (steps, batch); returns the new kernel, bias and their velocities.

    The columns of kernel (d, probes * k) are those of one probe after the other, each under its own of the rates.
    """
    batch = tf.cast(tf.shape(order)[1], tf.float32)
    for step in tf.range(tf.shape(order)[0]):
        x = tf.gather(images, order[step])  # (n, d)
        target = tf.one_hot(tf.gather(labels, order[step]), num_classes)[:, None]
        logits = tf.reshape(tf.matmul(x, kernel) + bias, [tf.shape(x)[0], -1, num_classes])  # (n, probes, k)
        # Gradient of the mean cross entropy with respect to the logits; softmax subtracts the maximum by itself.
        error = tf.reshape((tf.nn.softmax(logits) - target) / batch, [tf.shape(x)[0], -1])
        kernel_step = _scaled(tf.matmul(x, error, transpose_a=True), kernel, weight_decay, trust, num_classes)
        bias_step = _scaled(tf.reduce_sum(error, axis=0)[None], bias[None], weight_decay, trust, num_classes)[0]
        kernel_velocity = momentum * kernel_velocity + kernel_step
        bias_velocity = momentum * bias_velocity + bias_step
        kernel -= rates * kernel_velocity
        bias -= rates * bias_velocity
    return kernel, bias, kernel_velocity, bias_velocity


def _scaled(gradient, weights, weight_decay, trust, num_classes):
    """The decayed gradient (rows, probes * k); with trust above 0 each probe's is scaled to the size of its weights."""
    shape = [tf.shape(weights)[0], -1, num_classes]
    sizes = [tf.norm(tf.reshape(each, shape), axis=[0, 2]) for each in (weights, gradient)]  # (probes,)
    adapted = trust * sizes[0] / (sizes[1] + weight_decay * sizes[0] + 1e-8)
    ratio = tf.where((trust > 0) & (sizes[0] > 0) & (sizes[1] > 0), adapted, 1.0)
    return tf.repeat(ratio, num_classes) * (gradient + weight_decay * weights)
