"""The paired difference against McNemar's closed form and a bootstrap."""

import numpy as np
import pytest

from simsiam_tf.errors import InputError
from simsiam_tf.evaluation.paired import paired_difference


def pair(only_first, only_second, both, neither):
    right = [1] * only_first + [0] * only_second + [1] * both + [0] * neither
    other = [0] * only_first + [1] * only_second + [1] * both + [0] * neither
    return np.array(right, bool), np.array(other, bool)


def test_only_images_on_which_they_differ_count():
    found = paired_difference(*pair(30, 10, 100, 60))
    n, p, q = 202, 30.5 / 202, 10.5 / 202
    error = np.sqrt((p + q - (p - q) ** 2) / n)  # the variance of the difference of two paired proportions
    assert found == pytest.approx(
        {"difference": 0.1, "low": p - q - 1.959964 * error, "high": p - q + 1.959964 * error}
    )


def test_few_images_are_not_certain():
    found = paired_difference(*pair(3, 0, 0, 0))
    assert found["difference"] == 1
    assert found["low"] < 0.1
    assert found["high"] == 1


def test_the_interval_is_the_bootstrap_s():
    right, other = pair(120, 70, 500, 310)
    rng = np.random.default_rng(0)
    draws = rng.integers(0, 1000, (4000, 1000))
    differences = right[draws].mean(axis=1) - other[draws].mean(axis=1)
    low, high = np.quantile(differences, [0.025, 0.975])
    found = paired_difference(right, other)
    assert (found["low"], found["high"]) == (pytest.approx(low, abs=0.003), pytest.approx(high, abs=0.003))


def test_the_same_answers_differ_by_nothing():
    right, _ = pair(3, 4, 5, 6)
    found = paired_difference(right, right)
    assert found["difference"] == 0
    assert found["low"] == -found["high"] < 0


@pytest.mark.parametrize(("a", "b"), [(3, 4), (0, 0)])
def test_other_images_are_refused(a, b):
    with pytest.raises(InputError, match=r"^right: \(.*not of the same images"):
        paired_difference(np.ones(a), np.ones(b))
