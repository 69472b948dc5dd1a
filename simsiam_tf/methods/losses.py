"""Objectives as pure functions of (n, d) arrays; whoever calls them decides which side gets no gradient."""

import math

import tensorflow as tf


def negative_cosine(prediction, target):
    """D(p, z) = -(p / |p|) . (z / |z|), averaged over the batch (Chen & He 2021, eq. 1).

    Args:
        prediction: (n, d), the predictor's output.
        target: (n, d), the other view's projection; the caller stops its gradient.

    Returns:
        Scalar in [-1, 1], float32, or float64 if an input is. Zero vectors count 0 and have finite gradients
        (norms are at least 1e-12, as in torch.nn.functional.normalize).
    """
    prediction, target = unit_rows(prediction, target)
    return -tf.reduce_mean(tf.reduce_sum(prediction * target, axis=-1))


def cross_entropy_similarity(prediction, target):
    """D(p, z) = -softmax(z) . log softmax(p), averaged over the batch (Chen & He 2021, sec. 4.5).

    Args and dtype as for `negative_cosine`; the value lies between the entropy of softmax(z) and infinity.
    """
    prediction, target = _at_least_float32(prediction, target)
    return cross_entropy(tf.nn.softmax(target), prediction)


def cross_entropy(assignments, logits):
    """-q . log softmax(s), averaged over the batch, of assignments q (n, k) whose rows sum to 1 and logits s (n, k)."""
    assignments, logits = _at_least_float32(assignments, logits)
    return -tf.reduce_mean(tf.reduce_sum(assignments * tf.nn.log_softmax(logits), axis=-1))


def mean_squared_error(prediction, target):
    """(p - t)^2, averaged over rows and columns. Args and dtype as for `negative_cosine`; a scalar >= 0."""
    prediction, target = _at_least_float32(prediction, target)
    return tf.reduce_mean(tf.square(prediction - target))


def info_nce(query, key, negatives, temperature):
    """Cross entropy of telling each query's key from the negatives (He et al. 2020, eq. 1), averaged over the batch.

    Args:
        query: (n, d).
        key: (n, d), the positives; the caller stops its gradient.
        negatives: (m, d), the same for all queries; the caller stops its gradient.
        temperature: What cosines are divided by.

    Returns:
        Scalar >= 0, float32, or float64 if an input is; log(m + 1) where all rows are one vector.
    """
    query, key, negatives = unit_rows(query, key, negatives)
    positive = tf.reduce_sum(query * key, axis=-1, keepdims=True)  # (n, 1)
    logits = tf.concat([positive, tf.matmul(query, negatives, transpose_b=True)], axis=1) / temperature  # (n, 1 + m)
    return tf.reduce_mean(tf.reduce_logsumexp(logits, axis=1) - logits[:, 0])


def nt_xent(queries, keys, temperature, first=0):
    """Cross entropy of telling each query's key from all others of the batch (Chen et al. 2020, eq. 1), the mean.

    Args:
        queries: [(n, d), (n, d)], by view.
        keys: [(m, d), (m, d)], by view; those of more than one device: the rows of all.
        temperature: What cosines are divided by.
        first: Row of the keys that belongs to the queries' first row.

    Returns:
        Scalar >= 0, float32, or float64 if an input is. A query of one view is told from the 2 m - 1 keys that are not
        its own view's; log(2 m - 1) where all rows are one vector.
    """
    *queries, keys1, keys2 = unit_rows(*queries, *keys)
    n, m = tf.shape(queries[0])[0], tf.shape(keys1)[0]
    own = first + tf.range(n)
    losses = []
    for query, same, other in ((queries[0], keys1, keys2), (queries[1], keys2, keys1)):
        positive = tf.matmul(query, other, transpose_b=True) / temperature
        negative = tf.matmul(query, same, transpose_b=True) / temperature
        negative = tf.where(tf.one_hot(own, m, True, False), -math.inf, negative)
        logits = tf.concat([positive, negative], axis=1)  # (n, 2 m)
        losses.append(tf.nn.sparse_softmax_cross_entropy_with_logits(own, logits))
    return tf.reduce_mean(tf.concat(losses, axis=0))


def sinkhorn(scores, epsilon, iterations):
    """Soft assignments by the Sinkhorn-Knopp transform of exp(scores / epsilon) (Caron et al. 2020, eq. 4).

    Args:
        scores: (n, k).
        epsilon: Smaller is harder.
        iterations: Each makes the sums over images equal, then those over prototypes 1.

    Returns:
        (n, k), float32, or float64 if `scores` is; rows sum to 1, columns to about n / k.
    """
    (scores,) = _at_least_float32(scores)
    log_q = scores / epsilon
    for _ in range(iterations):
        log_q -= tf.reduce_logsumexp(log_q, axis=0, keepdims=True)
        log_q -= tf.reduce_logsumexp(log_q, axis=1, keepdims=True)
    return tf.exp(log_q)


def unit_rows(*tensors):
    """Each (n, d) with rows of length 1, in float32, or in float64 if one of them is; zero rows stay zero."""
    # l2_normalize bounds the squared norm.
    return [tf.math.l2_normalize(each, axis=-1, epsilon=1e-24) for each in _at_least_float32(*tensors)]


def _at_least_float32(*tensors):
    tensors = [tf.convert_to_tensor(tensor) for tensor in tensors]
    dtype = tf.float64 if any(tensor.dtype == tf.float64 for tensor in tensors) else tf.float32
    return [tf.cast(tensor, dtype) for tensor in tensors]
