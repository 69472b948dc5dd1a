"""How tables over seeds are judged: as the CIFAR-10 study judged its own (Aczel 2021), and as scipy does.

Warnings are errors in all tests, so none of these divides by zero on the way.
"""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from simsiam_tf.errors import InputError
from simsiam_tf.experiments.statistics import Sample, bonferroni, difference, highlighted, welch

# Aczel 2021, five seeds, per cent: a row per setting, columns with 1, 10 and 100 % of the labels; * for bold.
TABLE_2_KNN = """
    41.95±4.00  64.03±3.45  69.25±3.55
    38.21±5.57  45.43±1.17  51.55±0.81
    82.59±0.56  88.52±0.36* 89.35±0.29*
    83.51±0.50* 88.41±0.20* 89.09±0.21*
    81.73±0.69  88.11±0.31* 88.91±0.23
    81.90±0.85  88.10±0.50* 88.78±0.35
    80.83±0.57  87.65±0.55  88.66±0.28
    80.87±0.71  87.56±0.47  88.55±0.32"""
TABLE_2_LINEAR = """
    65.81±3.26  69.73±3.07  70.31±3.18
    48.08±2.97  51.33±4.29  57.98±2.59
    84.06±0.57  88.54±0.56* 90.06±0.37*
    84.78±0.30* 88.69±0.37* 90.09±0.37*
    82.93±0.83  87.70±0.50  89.58±0.49*
    83.17±0.76  87.92±0.52  89.56±0.50*
    81.92±0.48  87.17±0.79  89.04±0.57
    81.79±0.44  87.22±0.59  89.25±0.55"""
TABLE_3_KNN = """
    74.90±0.76  77.94±1.24  80.03±1.10
    81.95±0.28* 86.93±0.38  88.04±0.39
    81.73±0.69* 88.11±0.31* 88.91±0.23*
    45.04±2.90  50.00±3.14  54.55±3.54
    9.86±0.00   9.86±0.00   9.86±0.00"""
TABLE_3_LINEAR = """
    75.07±0.96  78.20±0.39  83.87±0.71
    83.54±0.22* 86.82±0.25  89.18±0.37*
    82.93±0.83* 87.70±0.50* 89.58±0.49*
    51.86±3.70  56.52±4.84  57.24±5.04
    10.13±0.09  9.90±0.00   9.85±0.03"""
TABLES = {
    "table 2, kNN": TABLE_2_KNN,
    "table 2, linear": TABLE_2_LINEAR,
    "table 3, kNN": TABLE_3_KNN,
    "table 3, linear": TABLE_3_LINEAR,
}
# Baseline, improved model, p-value in per cent; kNN, then linear.
TABLE_4 = [
    ("83.53±0.55", "83.84±0.60", 23.3739),
    ("88.27±0.26", "88.50±0.28", 12.4484),
    ("89.42±0.19", "89.79±0.25", 2.3852),
    ("85.38±0.31", "86.38±0.23", 0.0553),
    ("88.36±0.23", "88.69±0.45", 11.7594),
    ("89.94±0.14", "90.11±0.30", 17.9813),
]


def printed(cell, form=Sample.of_population):
    mean, sd = cell.rstrip("*").split("±")
    return form(float(mean), float(sd), 5)


def differing_highlights(form):
    """(table, row, column) of every value whose highlight is not the printed one."""
    differing = []
    for name, table in TABLES.items():
        rows = [line.split() for line in table.strip().splitlines()]
        for number, column in enumerate(zip(*rows, strict=True)):
            found = highlighted([printed(cell, form) for cell in column])
            bold = [cell.endswith("*") for cell in column]
            differing += [(name, row, number) for row in range(len(rows)) if found[row] != bold[row]]
    return differing


def table_4(form=Sample.of_population):
    return [welch(printed(improved, form), printed(baseline, form)) for baseline, improved, _ in TABLE_4]


def test_every_highlight_of_the_study():
    assert sum(table.count("*") for table in TABLES.values()) == 23
    assert differing_highlights(Sample.of_population) == []


def test_its_deviations_are_of_the_population_form():
    """As sample deviations they would give two highlights less: ratio 1 constant, kNN 10 %; 1 cosine, linear 100 %."""
    assert differing_highlights(Sample) == [("table 2, kNN", 4, 1), ("table 2, linear", 5, 2)]
    assert 100 * table_4(Sample)[0] == pytest.approx(20.97, abs=0.01)  # 2.4 points from the printed one


def test_p_values_of_the_study():
    assert [100 * p for p in table_4()] == pytest.approx([p for *_, p in TABLE_4], abs=0.8)  # two decimals were printed
    assert [p <= 0.05 for p in table_4()] == [False, False, True, True, False, False]


def test_the_study_accepts_at_its_smallest_p_value_times_six():
    corrected = bonferroni([p / 100 for *_, p in TABLE_4])
    assert corrected.p_values == pytest.approx([1.0, 0.746904, 0.143112, 0.003318, 0.705564, 1.0])
    assert corrected.threshold == pytest.approx(0.00833, abs=5e-6)
    assert corrected.rejected == [False, False, False, True, False, False]
    assert bonferroni(table_4()).rejected == corrected.rejected


def test_bonferroni_counts_every_test():
    family = bonferroni([0.02, math.nan, 0.03, 0.9], level=0.1)
    assert family.p_values == pytest.approx([0.08, math.nan, 0.12, 1.0], nan_ok=True)
    assert family.threshold == 0.025
    assert family.rejected == [True, False, False, False]
    assert bonferroni([0.05]).rejected == [True]
    assert bonferroni([]).rejected == []


# Counts of right answers out of 10,000; samples that vary, as scipy warns of others.
seeds = st.lists(st.integers(8000, 9500), min_size=2, max_size=8).filter(lambda counts: len(set(counts)) > 1)


@settings(deadline=None)
@given(seeds, seeds)
def test_agrees_with_scipy_on_the_values_themselves(first, second):
    first, second = np.array(first) / 10000, np.array(second) / 10000
    a, b = Sample.of(first), Sample.of(second)
    one_sided = stats.ttest_ind(first, second, equal_var=False, alternative="greater").pvalue
    assert welch(a, b) == pytest.approx(one_sided, rel=1e-6)
    for confidence in (0.95, 0.5):
        expected = stats.ttest_ind(first, second, equal_var=False).confidence_interval(confidence)
        found = difference(a, b, confidence)
        assert (found.low, found.high) == pytest.approx(tuple(expected), rel=1e-9, abs=1e-12)
        assert found.mean == pytest.approx(first.mean() - second.mean(), abs=1e-12)


@settings(deadline=None)
@given(seeds, seeds)
def test_the_verdict_is_that_of_the_two_sided_test(first, second):
    a, b = Sample.of(first), Sample.of(second)
    surely = stats.ttest_ind(first, second, equal_var=False).pvalue < 0.05
    word, mirrored = ("undecided",) * 2 if not surely else ("higher", "lower")[:: 1 if a.mean > b.mean else -1]
    assert (difference(a, b).verdict, difference(b, a).verdict) == (word, mirrored)


def test_a_verdict_at_another_confidence():
    # Two values each, standard error 1, two degrees of freedom: t = 2.92 at 90 %, 4.30 at 95 %.
    a, b = Sample(93.0, 1.0, 2), Sample(90.0, 1.0, 2)
    assert difference(a, b, 0.9).verdict == "higher"
    assert difference(a, b).verdict == "undecided"
    assert difference(a, b).high == pytest.approx(3 + 4.302653, abs=1e-6)


def test_forms_of_the_deviation():
    values = [89.2, 89.5, 89.9, 89.1]
    sample = Sample.of(values)
    assert (sample.mean, sample.sd, sample.n) == (pytest.approx(89.425), pytest.approx(np.std(values, ddof=1)), 4)
    assert Sample.of_population(89.425, np.std(values), 4).sd == pytest.approx(sample.sd)
    assert Sample.of_population(89.4, 0.0, 1) == Sample.of([89.4]) == Sample(89.4, None, 1)


def test_runs_that_do_not_vary():
    """As a collapsed encoder's: chance, at every seed."""
    chance, more = Sample.of([0.0986] * 5), Sample.of([0.1] * 3)
    assert (chance, more) == (Sample(0.0986, 0.0, 5), Sample(0.1, 0.0, 3))
    assert (welch(more, chance), welch(chance, more), welch(chance, chance)) == (0.0, 1.0, 0.5)
    assert highlighted([chance, more, chance]) == [False, True, False]
    assert highlighted([chance, chance]) == [True, True]
    certain = difference(more, chance)
    assert (certain.low, certain.high, certain.verdict) == (certain.mean, certain.mean, "higher")
    assert difference(chance, more).verdict == "lower"
    assert difference(chance, chance).verdict == "undecided"


def test_one_sample_that_does_not_vary_counts_by_its_mean():
    """Then Welch's is the test of one sample against a number."""
    values = [90.1, 90.4, 89.8, 90.6]
    a, b = Sample.of(values), Sample(90.0, 0.0, 3)
    alone = stats.ttest_1samp(values, 90.0, alternative="greater")
    assert welch(a, b) == pytest.approx(alone.pvalue)
    expected = stats.ttest_1samp(values, 90.0).confidence_interval()
    found = difference(a, b)
    assert (found.low, found.high) == pytest.approx((expected.low - 90, expected.high - 90))


def test_a_single_run_cannot_be_tested():
    one, several = Sample.of([95.0]), Sample(80.0, 0.1, 5)
    for a, b in [(one, several), (several, one), (one, one)]:
        assert math.isnan(welch(a, b))
        found = difference(a, b)
        assert (found.mean, found.verdict) == (a.mean - b.mean, "undecided")
        assert math.isnan(found.low) and math.isnan(found.high)  # noqa: PT018 - as one
    assert highlighted([several, one]) == [True, True]  # not rejected
    assert highlighted([several, Sample(70.0, 0.1, 5), Sample.of([60.0])]) == [True, False, True]


def test_several_best():
    """Of the same mean: the one that varies less rejects, wherever it stands."""
    vague, sharp, other = Sample(90.0, 5.0, 5), Sample(90.0, 0.1, 5), Sample(89.0, 0.1, 5)
    assert highlighted([vague, other]) == [True, True]
    assert highlighted([vague, sharp, other]) == highlighted([sharp, vague, other]) == [True, True, False]


def test_level_of_highlights():
    best, other = Sample(90.0, 1.0, 2), Sample(87.5, 1.0, 2)
    assert welch(best, other) == pytest.approx(0.0648, abs=1e-4)
    assert highlighted([other, best]) == [True, True]
    assert highlighted([other, best], level=0.1) == [False, True]
    assert highlighted([other, best], level=0.9) == [False, True]  # the best cannot be worse than itself


@pytest.mark.parametrize(
    ("refused", "key"),
    [
        (lambda: Sample(math.nan, 0.1, 5), "mean"),
        (lambda: Sample(90.0, None, 0), "mean"),
        (lambda: Sample(90.0, -0.1, 5), "sd"),
        (lambda: Sample(90.0, math.nan, 5), "sd"),
        (lambda: Sample(90.0, 0.1, 1), "sd"),
        (lambda: Sample.of([]), "values"),
        (lambda: Sample.of([90.0, math.nan]), "values"),
        (lambda: Sample.of([[90.0, 91.0]]), "values"),
        (lambda: highlighted([Sample(90.0, 0.1, 5)], level=5), "level"),
        (lambda: bonferroni([0.1], level=0), "level"),
        (lambda: bonferroni([0.1, 23.3739]), "p_values"),
        (lambda: bonferroni([-0.1]), "p_values"),
        (lambda: difference(Sample(90.0, 0.1, 5), Sample(90.0, 0.1, 5), confidence=95), "confidence"),
    ],
)
def test_what_is_refused(refused, key):
    with pytest.raises(InputError, match=f"^{key}: "):
        refused()
