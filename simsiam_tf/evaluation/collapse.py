"""Is a representation collapsing? Numbers and a verdict, from arrays (n, d), computed in float64.

Pure functions: NumPy or TensorFlow arrays in, Python floats or NumPy arrays out.
- `feature_std`: Chen & He 2021, sec. 4.1 and fig. 2.
- `correlation_strength`: Aczel 2021, sec. 3.7 and table 5.
- `singular_values`, `spectrum_auc`: Li, Efros & Pathak 2022, eq. 2.
- `effective_rank`: Roy & Vetterli 2007, on the centred features.

No single number is enough. Identical rows have no spread. But a BatchNorm at the output rescales what is left
of a collapsing output: the rows become +v or -v, whose normalised spread is a perfect 1/sqrt(d), while every
pair of channels is correlated and one direction carries everything.
"""

from dataclasses import dataclass

import numpy as np

from simsiam_tf.errors import InputError
from simsiam_tf.evaluation.spectrum import as_features, centre, entropy_rank, explained, in_float64, spectrum_of
from simsiam_tf.evaluation.verdict import LEVELS, severity


@dataclass(frozen=True)
class CollapseReport:
    """What `collapse_report` found; `verdict` is "healthy", "at risk" or "collapsed", `sentence` says why."""

    feature_std: float
    relative_std: float
    correlation_strength: float
    effective_rank: float
    verdict: str
    sentence: str


def feature_std(z):
    """Standard deviation of z / |z|, per channel, averaged over channels (Chen & He 2021, fig. 2).

    z: (n, d). 1/sqrt(d) for an isotropic output, 0 for identical rows (also n = 1) and for d = 1 of one sign.
    Zero rows count as zero vectors.
    """
    z = _matrix(z)
    norms = np.linalg.norm(z, axis=1, keepdims=True)
    unit = np.divide(z, norms, out=np.zeros_like(z), where=norms > 0)
    return float(unit.std(axis=0).mean())


def correlation_strength(z):
    """Mean absolute off-diagonal element of the channels' correlation matrix (Aczel 2021, table 5), in [0, 1].

    z: (n, d). A constant channel has no correlation, so pairs with one are left out of the mean; with fewer than
    two varying channels (identical rows, n = 1, d = 1) the result is 0: look at `feature_std` there.
    NOTE: the study's code averages over the diagonal too and subtracts 1/d, which is (d - 1)/d of this value.
    """
    centred = centre(as_features(z))
    norms = np.linalg.norm(centred, axis=0)
    unit = centred[:, norms > 0] / norms[norms > 0]
    d = unit.shape[1]
    if d < 2:
        return 0.0
    correlation = np.abs(unit.T @ unit)
    strength = (correlation.sum() - np.trace(correlation)) / (d * (d - 1))
    return float(min(strength, 1.0))


def singular_values(features):
    """Singular values of the centred features, descending, shape (d,); zeros where n - 1 < d.

    features: (n, d), or their `Spectrum`, which says how they are found. Below their rounding error they are zero.
    """
    return spectrum_of(features).singular_values


def spectrum_auc(features):
    """Area under the cumulative explained singular values (Li, Efros & Pathak 2022, eq. 2): the degree of collapse.

    features: (n, d), or their `Spectrum`. (1/d) sum_i CEV_i with CEV_i = sum_{j<=i} s_j / sum_j s_j, of the singular
    values themselves, not of their squares. (d + 1)/2d for a flat spectrum, 1 for a single direction; 1 also where
    nothing varies (s = 0).
    """
    return float(np.mean(explained(singular_values(features))))


def effective_rank(features):
    """exp(entropy of s / sum(s)), s the singular values of the centred features (Roy & Vetterli 2007).

    features: (n, d), or their `Spectrum`. From 1 (one direction) to min(d, n - 1) (flat spectrum); 0 where nothing
    varies.
    """
    return entropy_rank(singular_values(features))


def collapse_figures(z) -> dict:
    """What a look at an output z (n, d) sees.

    Returns:
        {"feature_std", "relative_std", "correlation_strength", "effective_rank", "rows", "channels"}.
        `relative_std` is the spread as a share of 1/sqrt(d). NaN where z holds NaN or infinity.

    Raises InputError for fewer than two rows, since any one row looks collapsed.
    """
    z = np.asarray(z, dtype=np.float64)
    if z.ndim == 2 and not np.isfinite(z).all():
        std = correlation = rank = float("nan")
    elif len(_matrix(z)) < 2:
        raise InputError(f"z: {len(z)} row, from which collapse cannot be judged; give at least 2, better 256 or more")
    else:
        std, correlation, rank = feature_std(z), correlation_strength(z), effective_rank(z)
    return {
        "feature_std": std,
        "relative_std": float(std * np.sqrt(z.shape[1])),
        "correlation_strength": correlation,
        "effective_rank": rank,
        "rows": z.shape[0],
        "channels": z.shape[1],
    }


def collapse_report(z) -> CollapseReport:
    """Judge an output z (n, d), usually the projector's, by `collapse_figures`; see `verdict.severity`.

    NaN or infinity in z is "collapsed", with NaN figures: the run has diverged, which is no better.
    Raises InputError for fewer than two rows.
    """
    figures = collapse_figures(z)
    found = severity(figures)
    sentence = f"{LEVELS[found.level]}: {', '.join(found.reasons)}"
    figures = {name: value for name, value in figures.items() if name not in ("rows", "channels")}
    return CollapseReport(**figures, verdict=LEVELS[found.level], sentence=sentence)


def _matrix(z):
    return np.concatenate(list(in_float64(as_features(z))))
