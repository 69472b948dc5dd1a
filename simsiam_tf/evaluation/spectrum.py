"""Singular values of features (n, d), from a Gram matrix that is summed over chunks of rows.

Everything is float64. Memory is bounded by a few matrices of d x d and chunks of rows, so the features may be a large
float32 or memory-mapped array. Two passes are made over the rows: the first finds the mean, the second sums products
of what is left without it; so an offset far above the spread costs no digits.
"""

from functools import cached_property

import numpy as np

from simsiam_tf.errors import InputError

# A channel that varies by less than this share of its mean is constant: what is left is float32 rounding.
CONSTANT_CHANNEL = 1e-6
CHUNK = 1024  # rows at a time


class Spectrum:
    """Singular values of one array of features; make it once where several figures need them.

    The Gram matrix is d x d, or n x n where n < d: either has the same nonzero eigenvalues, and n rows of float64
    are then less than d x d. The uncentred one is that of the centred rows plus the mean row.

    Args:
        features: (n, d).
        chunk: rows at a time.

    Attributes:
        n, d: the shape.
        singular_values: (d,) of the centred features, descending; constant channels count as zero.
        uncentred_singular_values: (d,) of the features as they are.

    Raises:
        InputError: another shape, NaN or infinity.
    """

    def __init__(self, features, chunk=CHUNK):
        features = as_features(features)
        self.n, self.d = features.shape
        mean, varying = _mean_and_varying(features, chunk)
        centred = _centred_rows(features, mean, varying, chunk)
        if self.n < self.d:
            centred = np.concatenate(list(centred))
            self._centred, self._uncentred = centred @ centred.T, (centred + mean) @ (centred + mean).T
        else:
            self._centred = np.zeros((self.d, self.d))
            for rows in centred:
                self._centred += rows.T @ rows
            self._uncentred = self._centred + self.n * np.outer(mean, mean)

    @cached_property
    def singular_values(self):
        return self._roots(self._centred)

    @cached_property
    def uncentred_singular_values(self):
        return self._roots(self._uncentred)

    def _roots(self, gram):
        """Square roots (d,) of the eigenvalues, descending; below their rounding error they are zero."""
        eigenvalues = np.linalg.eigvalsh(gram)[::-1]
        floor = len(eigenvalues) * np.finfo(np.float64).eps * eigenvalues[0]
        return np.sqrt(np.pad(np.where(eigenvalues > floor, eigenvalues, 0.0), (0, self.d - len(eigenvalues))))


def spectrum_of(features) -> Spectrum:
    """The `Spectrum` of features (n, d); one that is made already is returned as it is."""
    return features if isinstance(features, Spectrum) else Spectrum(features)


def explained(singular_values):
    """Cumulative explained spread (d,): share of the first i singular values in their sum (Li et al. 2022, eq. 2).

    singular_values: (d,), descending. All 1 where nothing varies, as of a single direction.
    """
    total = np.sum(singular_values)
    return np.cumsum(singular_values) / total if total > 0 else np.ones_like(singular_values)


def entropy_rank(weights) -> float:
    """exp(entropy of weights / sum(weights)), weights >= 0: how many of them count; 0 where all are zero."""
    weights = weights[weights > 0]
    p = weights / weights.sum()
    return float(np.exp(-np.sum(p * np.log(p)))) if len(p) else 0.0


def as_features(features):
    """`features` as an array (n, d) of the type it has; raises InputError for another shape."""
    features = np.asarray(features)
    if features.ndim != 2 or 0 in features.shape:
        raise InputError(f"features: shape {features.shape} is not that of features; give (n, d), n and d at least 1")
    return features


def in_float64(features, chunk=CHUNK):
    """Consecutive rows (b, ...) of an array, b <= chunk, as float64; raises InputError for NaN and infinity."""
    for start in range(0, len(features), chunk):
        rows = np.asarray(features[start : start + chunk], dtype=np.float64)
        if not np.isfinite(rows).all():
            raise InputError(
                "features: NaN or infinity among them, the model that made them has diverged; lower its learning rate"
            )
        yield rows


def centre(features):
    """Features (n, d) in float64 minus their mean row, with constant channels exactly zero."""
    return np.concatenate(list(_centred_rows(features, *_mean_and_varying(features, CHUNK), CHUNK)))


def _centred_rows(features, mean, varying, chunk):
    for rows in in_float64(features, chunk):
        yield np.where(varying, rows - mean, 0.0)


def _mean_and_varying(features, chunk):
    """Mean (d,), and which channels (d,) are not constant."""
    first = np.asarray(features[0], dtype=np.float64)
    total, squares = np.zeros_like(first), np.zeros_like(first)
    for rows in in_float64(features, chunk):
        # About the first row: at most sqrt(n) standard deviations from the mean, however far that is from 0.
        offset = rows - first
        total += offset.sum(axis=0)
        squares += np.square(offset).sum(axis=0)
    shift = total / len(features)
    mean = first + shift
    std = np.sqrt(np.maximum(squares / len(features) - shift**2, 0.0))
    return mean, std > CONSTANT_CHANNEL * np.abs(mean)
