"""Closed forms: identical rows, an isotropic cloud, a line, an orthogonal design, spectra chosen by hand."""

import math

import numpy as np
import pytest
import tensorflow as tf

from simsiam_tf.errors import InputError
from simsiam_tf.evaluation import collapse as dg


def with_singular_values(s, n=200, seed=0):
    """Centred features (n, len(s)) whose singular values are s."""
    rng = np.random.default_rng(seed)
    columns = rng.normal(size=(n, len(s)))
    u, _ = np.linalg.qr(columns - columns.mean(axis=0))
    v, _ = np.linalg.qr(rng.normal(size=(len(s), len(s))))
    return u * np.asarray(s, float) @ v.T


def gaussian(n=4000, d=64, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


def test_isotropic_output_is_healthy():
    z = gaussian()
    assert dg.feature_std(z) == pytest.approx(1 / math.sqrt(64), rel=0.01)
    # The mean of |r| under independence is sqrt(2 / (pi n)).
    assert dg.correlation_strength(z) == pytest.approx(math.sqrt(2 / (math.pi * 4000)), rel=0.05)
    assert dg.effective_rank(z) == pytest.approx(64, rel=0.02)
    report = dg.collapse_report(z)
    assert report.verdict == "healthy"
    assert report.sentence.startswith("healthy")
    assert report.relative_std == pytest.approx(1, rel=0.01)


def test_feature_std_ignores_the_length_of_rows():
    z = gaussian(n=100)
    lengths = np.random.default_rng(1).uniform(1e-3, 1e3, size=(100, 1))
    assert dg.feature_std(z * lengths) == pytest.approx(dg.feature_std(z), rel=1e-12)
    # Two opposite unit rows along one of two axes: std 1 there, 0 on the other, mean 1/2.
    assert dg.feature_std([[3.0, 0.0], [-7.0, 0.0]]) == pytest.approx(0.5)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_identical_rows_are_collapsed(dtype):
    z = tf.cast(tf.tile(gaussian(1, 64), [500, 1]), dtype)
    assert dg.feature_std(z) == pytest.approx(0, abs=1e-12)
    assert dg.correlation_strength(z) == 0
    assert dg.singular_values(z) == pytest.approx(0)
    assert dg.spectrum_auc(z) == 1
    assert dg.effective_rank(z) == 0
    assert dg.collapse_report(z).verdict == "collapsed"


def test_a_line_has_the_ideal_spread_and_is_collapsed_all_the_same():
    """What is left behind a BatchNorm: rows +v and -v."""
    rng = np.random.default_rng(0)
    signs = np.repeat([1, -1], 250)[:, None]
    z = (signs * rng.choice([-1.0, 1.0], size=(1, 64)) + 1e-4 * rng.normal(size=(500, 64))).astype(np.float32)
    report = dg.collapse_report(z)
    assert report.relative_std == pytest.approx(1, rel=1e-3)
    assert report.correlation_strength == pytest.approx(1, rel=1e-3)
    assert report.effective_rank == pytest.approx(1, abs=0.1)
    assert report.verdict == "collapsed"
    assert "correlation" in report.sentence
    assert "spread" not in report.sentence
    assert dg.spectrum_auc(z) > 0.99


def test_correlation_strength_equals_the_slow_loop():
    z = gaussian(n=50, d=6) @ np.random.default_rng(1).normal(size=(6, 6)) + 3
    values = [abs(np.corrcoef(z[:, i], z[:, j])[0, 1]) for i in range(6) for j in range(6) if i != j]
    assert dg.correlation_strength(z) == pytest.approx(np.mean(values), rel=1e-12)
    assert dg.correlation_strength(-1e6 * z) == pytest.approx(np.mean(values), rel=1e-9)


def test_constant_channels_are_left_out_of_the_correlation():
    z = gaussian(n=50, d=3)
    with_constants = np.concatenate([z, np.zeros((50, 1)), np.full((50, 1), 0.1)], axis=1)
    assert dg.correlation_strength(with_constants) == pytest.approx(dg.correlation_strength(z), rel=1e-12)
    assert dg.correlation_strength(with_constants[:, 2:]) == 0


def test_orthogonal_design_has_no_correlation_and_full_rank():
    z = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1.0]])
    assert dg.correlation_strength(z) == pytest.approx(0, abs=1e-15)
    assert dg.effective_rank(z) == pytest.approx(3)
    assert dg.spectrum_auc(z) == pytest.approx((3 + 1) / 6)


def test_spectrum_of_known_singular_values():
    s = np.array([6.0, 3.0, 1.0, 0.0])
    features = with_singular_values(s) + 5  # The offset must not count.
    assert dg.singular_values(features) == pytest.approx(s, abs=1e-6)
    assert dg.singular_values(features) == pytest.approx(
        np.linalg.svd(features - features.mean(axis=0), compute_uv=False), abs=1e-6
    )
    assert dg.spectrum_auc(features) == pytest.approx((0.6 + 0.9 + 1 + 1) / 4)
    entropy = -sum(p * math.log(p) for p in (0.6, 0.3, 0.1))
    assert dg.effective_rank(features) == pytest.approx(math.exp(entropy), rel=1e-5)


@pytest.mark.parametrize("d", [1, 2, 32])
def test_spectrum_limits(d):
    assert dg.spectrum_auc(with_singular_values(np.ones(d))) == pytest.approx((d + 1) / (2 * d))
    assert dg.effective_rank(with_singular_values(np.ones(d))) == pytest.approx(d)
    one = with_singular_values([1.0] + [0.0] * (d - 1))
    assert dg.spectrum_auc(one) == pytest.approx(1)
    assert dg.effective_rank(one) == pytest.approx(1)


def test_few_rows_limit_the_rank():
    z = gaussian(n=5, d=64)
    assert dg.singular_values(z).shape == (64,)
    assert np.count_nonzero(dg.singular_values(z)) == 4
    assert dg.singular_values(z)[:5] == pytest.approx(np.linalg.svd(z - z.mean(axis=0), compute_uv=False), abs=1e-6)
    assert dg.effective_rank(z) < 4.0001
    # Too few rows to judge correlation (chance alone gives 0.4) and rank; the spread is fine.
    assert dg.collapse_report(z).verdict == "healthy"


def test_one_row_and_one_channel():
    row = gaussian(n=1, d=8)
    assert (dg.feature_std(row), dg.correlation_strength(row)) == (pytest.approx(0), 0)
    assert (dg.effective_rank(row), dg.spectrum_auc(row)) == (0, 1)
    with pytest.raises(InputError, match="z: 1 row"):
        dg.collapse_report(row)
    channel = gaussian(n=100, d=1)
    assert dg.correlation_strength(channel) == 0
    assert dg.effective_rank(channel) == pytest.approx(1)
    assert dg.collapse_report(channel).verdict == "healthy"


def test_zero_rows_give_no_nan():
    z = np.zeros((40, 16))
    assert dg.feature_std(z) == 0
    assert dg.collapse_report(z).verdict == "collapsed"


@pytest.mark.parametrize(("noise", "verdict"), [(0.5, "healthy"), (0.08, "at risk"), (0.03, "collapsed")])
def test_spread_decides_the_verdict(noise, verdict):
    """A common direction, 0.4 in each channel, plus noise: relative spread is 2.5 noise / sqrt(1 + 6.25 noise^2)."""
    z = np.full((2000, 64), 0.4) + noise * gaussian(n=2000)
    report = dg.collapse_report(z)
    assert report.verdict == verdict
    assert report.sentence.startswith(verdict)


@pytest.mark.parametrize(("rho", "verdict"), [(0.6, "healthy"), (0.85, "at risk"), (0.95, "collapsed")])
def test_correlation_decides_the_verdict(rho, verdict):
    z = math.sqrt(rho) * gaussian(n=4000, d=1) + math.sqrt(1 - rho) * gaussian(n=4000, seed=1)
    report = dg.collapse_report(z)
    assert report.correlation_strength == pytest.approx(rho, abs=0.03)
    assert report.verdict == verdict


@pytest.mark.parametrize(("directions", "verdict"), [(16, "healthy"), (4, "at risk"), (2, "collapsed")])
def test_effective_rank_decides_the_verdict(directions, verdict):
    rng = np.random.default_rng(0)
    basis, _ = np.linalg.qr(rng.normal(size=(512, 512)))
    report = dg.collapse_report(gaussian(n=4000, d=directions) @ basis[:directions])
    assert report.effective_rank == pytest.approx(directions, rel=0.02)
    assert report.verdict == verdict


def test_diverged_output_is_reported_and_rejected():
    z = gaussian(n=100)
    z[3, 4] = np.nan
    report = dg.collapse_report(z)
    assert report.verdict == "collapsed"
    assert "diverged" in report.sentence
    assert math.isnan(report.feature_std)
    with pytest.raises(InputError, match="NaN or infinity"):
        dg.feature_std(z)


@pytest.mark.parametrize("shape", [(3,), (0, 4), (4, 0), (2, 3, 4)])
def test_wrong_shape_is_named(shape):
    with pytest.raises(InputError, match="shape"):
        dg.correlation_strength(np.zeros(shape))
