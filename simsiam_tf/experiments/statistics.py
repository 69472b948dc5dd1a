"""How tables over seeds are judged: samples or their summary statistics in, floats and verdicts out.

Tests are Welch's (1947), for samples of unequal variance. Unit and scale are the caller's, as long as more is better.
- `highlighted`: which values of a column the best one does not beat (Aczel 2021, tables 2 and 3).
- `welch`, `bonferroni`: is one better than another, in one of several comparisons (Aczel 2021, sec. 3.6, table 4)?
- `difference`: how much better, with a confidence interval.

A sample without a deviation, such as a single run, cannot be tested: p-value and interval are NaN, and nothing is
rejected. Samples that do not vary at all differ for certain, unless their means are the same.

NOTE: the study prints deviations of the population form (ddof = 0): its highlights and p-values follow from
`Sample.of_population`. Taken as sample deviations, two of table 2's highlights would be missing.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from simsiam_tf.errors import InputError


@dataclass(frozen=True)
class Sample:
    """Mean and sample standard deviation (ddof = 1) of n runs; `sd` is None where none is known, as for one run.

    Raises InputError for a mean that is not finite, for n < 1, and for a deviation that n runs cannot have.
    """

    mean: float
    sd: float | None
    n: int

    def __post_init__(self):
        if not (math.isfinite(self.mean) and self.n >= 1):
            raise InputError(f"mean: {self.mean} of {self.n} values; give a finite one, of at least one value")
        if self.sd is not None and not (0 <= self.sd < math.inf and self.n > 1):
            raise InputError(f"sd: {self.sd} of {self.n} values; give a number from 0 up, None for a single value")

    @classmethod
    def of(cls, values):
        """The sample of the values (n,). Raises InputError unless they are one or more finite numbers."""
        values = np.asarray(values, np.float64)
        if values.ndim != 1 or not values.size or not np.isfinite(values).all():
            raise InputError(f"values: {values.tolist()} is no sample; give a list of one or more finite numbers")
        # From the first value on, so that equal values deviate by exactly 0 and not by rounding.
        offsets, n = values - values[0], len(values)
        return cls(float(values[0] + offsets.mean()), float(offsets.std(ddof=1)) if n > 1 else None, n)

    @classmethod
    def of_population(cls, mean, sd, n):
        """The sample whose standard deviation was taken in the population form (ddof = 0)."""
        return cls(mean, sd * math.sqrt(n / (n - 1)) if n > 1 else None, n)


def welch(better, worse):
    """One-sided p-value of Welch's t-test in [0, 1]: small where the first sample's mean is surely the higher one."""
    if better.sd is None or worse.sd is None:
        return math.nan
    if better.mean == worse.mean:
        return 0.5  # t = 0; 0 / 0 where neither varies
    samples = (better.mean, better.sd, better.n, worse.mean, worse.sd, worse.n)
    return float(stats.ttest_ind_from_stats(*samples, equal_var=False, alternative="greater").pvalue)


def highlighted(column, level=0.05):
    """Which samples of a column are to be set in bold: a bool for each.

    They are the best and those for which "no worse than the best" is not rejected at the level. Of several best with
    the same mean, any may reject. Raises InputError for a level outside (0, 1).
    """
    level = _as_share("level", level)
    top = max(sample.mean for sample in column)
    best = [sample for sample in column if sample.mean == top]
    return [sample.mean == top or not any(welch(one, sample) <= level for one in best) for sample in column]


@dataclass(frozen=True)
class Bonferroni:
    """p-values times their number, at most 1; the threshold for raw ones; which null hypotheses are rejected."""

    p_values: list[float]
    threshold: float
    rejected: list[bool]


def bonferroni(p_values, level=0.05):
    """Corrects the p-values (m,) of m tests, so that the chance of any false rejection is at most the level.

    A NaN, of a test that could not be made, counts as one of the m, stays NaN and is not rejected. Raises
    InputError for p-values outside [0, 1] and a level outside (0, 1).
    """
    threshold = _as_share("level", level) / max(len(p_values), 1)
    for p in p_values:
        if p < 0 or p > 1:  # not so for NaN
            raise InputError(f"p_values: {p} is no probability; give numbers from 0 to 1, not percentages")
    adjusted = [float(np.minimum(len(p_values) * p, 1.0)) for p in p_values]  # NaN stays
    return Bonferroni(adjusted, threshold, [bool(p <= threshold) for p in p_values])


@dataclass(frozen=True)
class Difference:
    """mean(a) - mean(b) and its confidence interval; `verdict` on a is "higher", "lower" or "undecided"."""

    mean: float
    low: float
    high: float
    verdict: str


def difference(a, b, confidence=0.95):
    """Welch's two-sided interval for mean(a) - mean(b), degrees of freedom after Satterthwaite (1946).

    Undecided if 0 lies inside. Raises InputError for a confidence outside (0, 1).
    """
    confidence = _as_share("confidence", confidence)
    mean = float(a.mean - b.mean)
    half = math.nan if a.sd is None or b.sd is None else _half_width(a, b, confidence)
    low, high = mean - half, mean + half
    return Difference(mean, low, high, "higher" if low > 0 else "lower" if high < 0 else "undecided")


def _half_width(a, b, confidence):
    variance_a, variance_b = a.sd**2 / a.n, b.sd**2 / b.n
    variance = variance_a + variance_b
    if not variance:
        return 0.0
    share = variance_a / variance
    degrees = 1 / (share**2 / (a.n - 1) + (1 - share) ** 2 / (b.n - 1))
    return float(stats.t.ppf((1 + confidence) / 2, degrees)) * math.sqrt(variance)


def _as_share(key, value):
    if not 0 < value < 1:
        raise InputError(f"{key}: {value} is no share; give a number between 0 and 1")
    return value
