"""How good is a representation? Figures that need no labels, from arrays, computed in float64.

- `rankme`: Garrido et al. 2023.
- `alpha_req`: Agrawal et al. 2022.
- `nesum`: He & Ozay 2022.
- `alignment`, `uniformity`: Wang & Isola 2020, sec. 4.1.
- `lidar`: Thilak et al. 2024, eqs. 1-3.
- `spectrum_auc`, `effective_rank`: in `evaluation.collapse`.

They compare runs of one method on the same images. They are no accuracies, and none is right every time.
"""

import numpy as np

from simsiam_tf.errors import InputError
from simsiam_tf.evaluation.collapse import effective_rank, spectrum_auc
from simsiam_tf.evaluation.spectrum import CHUNK, Spectrum, as_features, centre, entropy_rank, in_float64, spectrum_of

# Ranks of the eigenvalues that the power law is fitted to, and how many there have to be.
FIRST_RANK, LAST_RANK, FEWEST_RANKS = 11, 100, 20
UNIFORMITY_ROWS = 4096


def label_free_figures(features, views=None) -> dict[str, float]:
    """All figures of one representation, from one Gram matrix.

    Args:
        features: (n, d), of n images.
        views: (images, views per image, d), at least two views; the images may be others, and fewer.

    Returns:
        "images" (n, which bounds the ranks), "rankme", "spectrum_auc", "effective_rank", "nesum"; "alpha_req" and
        "uniformity" where they can be computed; with views "alignment", of the first two, and "lidar". Uniformity
        is that of 4,096 evenly spaced rows where there are more.

    Raises:
        InputError: other shapes, NaN or infinity.
    """
    features = as_features(features)
    spectrum, n = Spectrum(features), len(features)
    kept = min(n, UNIFORMITY_ROWS)
    figures = {
        "images": n,
        "rankme": rankme(spectrum),
        "spectrum_auc": spectrum_auc(spectrum),
        "effective_rank": effective_rank(spectrum),
        "alpha_req": alpha_req(spectrum),
        "nesum": nesum(spectrum),
        "uniformity": uniformity(features[np.arange(kept) * n // kept]),
    }
    if views is not None:
        views = _as_views(views)
        figures |= {"alignment": alignment(views[:, 0], views[:, 1]), "lidar": lidar(views)}
    return {name: figure for name, figure in figures.items() if figure is not None}


def rankme(features) -> float:
    """exp(entropy of s / sum(s)), s the singular values of the uncentred features (Garrido et al. 2023).

    features: (n, d), or their `Spectrum`; the paper takes 25,600 rows. From 1 (one direction) to min(n, d); 0 where
    all are zero.
    NOTE: the paper adds a small constant to each share, against log 0; here a share of 0 adds nothing.
    """
    return entropy_rank(spectrum_of(features).uncentred_singular_values)


def alpha_req(features) -> float | None:
    """Exponent a of the power law i^-a which the covariance's eigenvalues follow (Agrawal et al. 2022).

    features: (n, d), or their `Spectrum`; n well above 100. Weighted least squares of log eigenvalue on log rank i,
    over ranks 11 to 100, with weights 1/i as in Stringer et al. 2019, whose fit it is. 0 for a flat spectrum, larger
    the faster it decays. Of fewer than 100 nonzero eigenvalues those that there are serve; None with fewer than 30.
    """
    s = spectrum_of(features).singular_values
    last = min(LAST_RANK, np.count_nonzero(s))
    if last - FIRST_RANK + 1 < FEWEST_RANKS:
        return None
    ranks = np.arange(FIRST_RANK, last + 1)
    weights, x, y = 1 / ranks, np.log(ranks), 2 * np.log(s[FIRST_RANK - 1 : last])
    x = x - np.average(x, weights=weights)
    return float(-np.sum(weights * x * y) / np.sum(weights * x * x))


def nesum(features) -> float:
    """Sum of the covariance's eigenvalues as a multiple of the largest (He & Ozay 2022).

    features: (n, d), or their `Spectrum`. From 1 (one direction) to min(n - 1, d) (flat); 0 where nothing varies.
    """
    s = spectrum_of(features).singular_values
    return float(np.sum((s / s[0]) ** 2)) if s[0] > 0 else 0.0


def alignment(first, second) -> float:
    """Mean squared distance of l2-normalised features of two views (Wang & Isola 2020, sec. 4.1, exponent 2).

    first, second: (n, d), row by row of the same images. From 0 (the same directions) to 4 (opposite); 2 for
    unrelated ones. Zero rows count as zero vectors. Raises InputError for two shapes, NaN or infinity.
    """
    first, second = as_features(first), as_features(second)
    if first.shape != second.shape:
        raise InputError(f"second: shape {second.shape} beside {first.shape}; give two views of the same images")
    pairs = zip(in_float64(first), in_float64(second), strict=True)
    return float(sum(np.sum((_unit(a) - _unit(b)) ** 2) for a, b in pairs) / len(first))


def uniformity(features, chunk=256) -> float | None:
    """log mean exp(-2 |f_i - f_j|^2) over pairs i < j of l2-normalised features (Wang & Isola 2020, sec. 4.1, t = 2).

    features: (n, d). 0 where all point one way; the lower, the more evenly they fill the sphere, about -4 for
    unrelated directions. Time grows with n^2; memory is chunk x n. None for a single row, which makes no pair.
    """
    unit = np.concatenate([_unit(rows) for rows in in_float64(as_features(features))])
    n, total = len(unit), 0.0
    if n < 2:
        return None
    lengths = np.sum(unit**2, axis=1)  # 1, or 0 of a zero row.
    for start in range(0, n, chunk):
        rows = slice(start, start + chunk)
        squared = lengths[rows, None] + lengths[start:] - 2 * unit[rows] @ unit[start:].T
        total += np.sum(np.triu(np.exp(-2 * np.maximum(squared, 0.0)), k=1))
    return float(np.log(total / (n * (n - 1) / 2)))


def lidar(views, delta=1e-4) -> float:
    """exp(entropy of the eigenvalues' shares) of Sw^-1/2 Sb Sw^-1/2, the images being classes (Thilak et al. 2024).

    Sb is the covariance of the images' mean features about the grand mean, Sw that of the views about the mean of
    their image, plus delta I; both are plain averages. delta is in units of squared features, so the figure depends
    on their scale where the views differ by little.

    views: (images, views per image, d); at least two views, better 100 images of 10 views. From 1 to
    min(images - 1, d); 0 where the images do not differ. Raises InputError for another shape, NaN or infinity.
    """
    views = _as_views(views)
    images, count, d = views.shape
    within, means = np.zeros((d, d)), []
    for block in in_float64(views, max(1, CHUNK // count)):
        means.append(block.mean(axis=1))
        rows = (block - means[-1][:, None]).reshape(-1, d)
        within += rows.T @ rows
    variances, directions = np.linalg.eigh(within / (images * count))
    # A rotation of Sw^-1/2, which leaves the eigenvalues as they are.
    whiten = directions / np.sqrt(np.maximum(variances, 0.0) + delta)
    return entropy_rank(Spectrum(centre(np.concatenate(means)) @ whiten).singular_values ** 2)


def _as_views(views):
    views = np.asarray(views)
    if views.ndim != 3 or 0 in views.shape or views.shape[1] < 2:
        raise InputError(f"views: shape {views.shape} is not that of views; give (images, 2 or more views, d)")
    return views


def _unit(rows):
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)
