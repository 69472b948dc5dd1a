"""The nearest of a set of features by cosine: exact, in chunks, or by an index where the set is very large."""

import numpy as np
import tensorflow as tf

from simsiam_tf.errors import InputError
from simsiam_tf.evaluation.features import as_features, full_float32, in_batches

EXACT = 100_000  # features up to which every pair is compared; the time grows with the square: docs/inspect.md
BANK, CHUNK = 65_536, 256  # rows of the bank, and queries, at a time
LINKS, BREADTH = 32, 256  # of the index: links of each feature, and candidates of a search


@full_float32()
def nearest(features, queries, k, chunk=CHUNK) -> tuple[np.ndarray, np.ndarray]:
    """The k features of largest cosine for each query, nearest first; of equals the one with the lower index.

    A zero vector is equally far from everything: its cosine is 0.

    Args:
        features: (m, d), any finite scale.
        queries: (n, d).
        k: fewer are returned if there are fewer features.
        chunk: queries at a time.

    Returns:
        Index int64 (n, k) and cosine float32 (n, k).

    Raises:
        InputError: shapes that do not fit, NaN or infinity, k < 1.
    """
    features, queries = as_features("features", features), as_features("queries", queries)
    if features.shape[1] != queries.shape[1]:
        raise InputError(
            f"queries: d = {queries.shape[1]}, but {features.shape[1]} in features; give those of one encoder"
        )
    if k < 1:
        raise InputError(f"k: {k} is no number of neighbours; give 1 or more")
    found = list(neighbours(features, queries, k, chunk))
    cosine, index = (np.concatenate(part) for part in zip(*found, strict=True))
    return index.astype(np.int64), np.clip(cosine, -1, 1)


@full_float32()
def nearest_others(features, k, exact=EXACT) -> tuple[np.ndarray, np.ndarray]:
    """The k other features of largest cosine for each feature, as `nearest` gives them.

    Args:
        features: (n, d), two or more.
        k: fewer are returned if there are fewer others.
        exact: above so many features an index of the library faiss finds them, of which it may miss some.

    Raises:
        InputError: as `nearest`; fewer than two features; faiss is needed and not installed.
    """
    features = as_features("features", features)
    if len(features) < 2:
        raise InputError("features: only one; give two or more to compare")
    k = min(k, len(features) - 1)
    if len(features) > exact:
        cosine, index = _indexed(features, k + 1, check_index(len(features), exact))
    else:
        index, cosine = nearest(features, features, k + 1)
    cosine, index = without(np.arange(len(features)), cosine, index)
    return index.astype(np.int64), np.clip(cosine, -1, 1)


def check_index(n, exact=EXACT):
    """The library faiss, where so many features need it; else None.

    Raises:
        InputError: it is needed and not installed.
    """
    if n <= exact:
        return None
    try:
        import faiss
    except ImportError as error:
        raise InputError(
            f"data: {n} pictures are more than the {exact} of which all pairs are compared; give fewer, or first "
            "pip install faiss-cpu==1.15.1"
        ) from error
    return faiss


def _indexed(features, k, faiss):
    index = faiss.IndexHNSWFlat(features.shape[1], LINKS, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efSearch = BREADTH

    def units():  # in parts: the features may lie in a file
        return (unit_rows(tf.constant(rows)).numpy() for rows in in_batches(features, BANK))

    for rows in units():
        index.add(rows)
    found = [index.search(rows, k) for rows in units()]
    cosine, found = (np.concatenate(each) for each in zip(*found, strict=True))
    missing = found < 0  # none was reached: the feature itself, which is left out afterwards
    found[missing], cosine[missing] = np.nonzero(missing)[0], -1
    return cosine, found


def neighbours(bank, queries, k, chunk=CHUNK):
    """Yields (cosine, index) of the k nearest rows of the bank, (chunk, k) each; fewer if the bank has fewer.

    A bank of more than BANK rows, which may be a memory-mapped file, is read in parts, and the k best of all queries
    are kept: memory is some copies of BANK x d, chunk x BANK cosines, and what is kept.
    """
    k, parts = min(k, len(bank)), range(0, len(bank), BANK)
    if len(parts) == 1:
        bank = unit_rows(tf.constant(bank))
        for start in range(0, len(queries), chunk):
            cosine, index = _nearest(tf.constant(queries[start : start + chunk]), bank, k)
            yield cosine.numpy(), index.numpy()
        return
    best = np.full((len(queries), k), -np.inf, np.float32), np.zeros((len(queries), k), np.int32)
    for first in parts:
        _improve(best, bank[first : first + BANK], first, queries, chunk)
    for start in range(0, len(queries), chunk):
        yield best[0][start : start + chunk], best[1][start : start + chunk]


def _improve(best, part, first, queries, chunk):
    """Replace the k best so far, (n, k), by the best of them and of a bank's rows from `first`; of equals the known."""
    rows, k = unit_rows(tf.constant(part)), best[0].shape[1]
    for start in range(0, len(queries), chunk):
        cosine, index = _nearest(tf.constant(queries[start : start + chunk]), rows, min(k, rows.shape[0]))
        known_cosine, known_index = (each[start : start + chunk] for each in best)  # views: what is set is kept
        where = tf.math.top_k(tf.concat([known_cosine, cosine], axis=1), k)
        index = tf.gather(tf.concat([known_index, index + first], axis=1), where.indices, batch_dims=1)
        known_cosine[:], known_index[:] = where.values, index


def without(rows, cosine, index):
    """Neighbours (n, k - 1) of `rows` without themselves, nearest first; without the last if it is not among them."""
    others = np.argsort(index == rows[:, None], axis=1, kind="stable")[:, :-1]
    cosine, index = (np.take_along_axis(each, others, axis=1) for each in (cosine, index))
    return np.where(index == rows[:, None], np.float32(-1), cosine), index  # what is left stands for none


@tf.function(input_signature=[tf.TensorSpec([None, None], tf.float32)])
def unit_rows(features):
    """Rows of length 1; those of zeros stay."""
    # Scaled by the largest entry first, so that squares neither overflow nor vanish.
    features = tf.math.divide_no_nan(features, tf.reduce_max(tf.abs(features), axis=1, keepdims=True))
    return tf.math.divide_no_nan(features, tf.norm(features, axis=1, keepdims=True))


# Open shapes: one trace serves the many sizes that monitors and label fractions bring.
@tf.function(input_signature=[*[tf.TensorSpec([None, None], tf.float32)] * 2, tf.TensorSpec([], tf.int32)])
def _nearest(queries, bank, k):
    """Cosine and index (n, k) of the nearest rows of the bank, nearest first."""
    cosine = tf.matmul(unit_rows(queries), bank, transpose_b=True)  # (n, m)
    return tf.math.top_k(cosine, k)
