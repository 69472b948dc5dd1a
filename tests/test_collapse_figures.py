"""Collapse figures against closed forms, two other SVDs, and what can be checked of the published figures.

The published AUC and rank (ResNet-18 on 1 % to 100 % of ImageNet) come from spectra that are not in this repository,
so they cannot be recomputed here. But either figure limits the other: of all spectra with a given AUC the geometric
one has the largest entropy, since the AUC is linear in s / sum(s).
"""

import math

import numpy as np
import pytest
import torch

from simsiam_tf.evaluation import collapse as dg


def gaussian(n, d, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


def with_spectrum(s, seed=0):
    """Centred features (len(s) + 10, len(s)) of singular values s, in random directions."""
    d = len(s)
    rows = gaussian(d + 10, d, seed)
    u, _ = np.linalg.qr(rows - rows.mean(axis=0))
    v, _ = np.linalg.qr(gaussian(d, d, seed + 1))
    return u * np.asarray(s, float) @ v.T


@pytest.mark.parametrize("d", [16, 256])
@pytest.mark.parametrize("n", [100, 1000, 10_000])
def test_isotropic_rows_at_growing_n(n, d):
    z = gaussian(n, d, seed=n)
    # Expected squares are 1/d exactly; the mean row takes 1/2n off, the rest is chance.
    assert dg.feature_std(z) * math.sqrt(d) == pytest.approx(1 - 1 / (2 * n), abs=1 / n + 4 / math.sqrt(2 * n * d))
    # r^2 of independent Gaussians is Beta(1/2, n/2 - 1), of which this is the mean root.
    expected = math.exp(math.lgamma((n - 1) / 2) - math.lgamma(n / 2)) / math.sqrt(math.pi)
    assert expected == pytest.approx(math.sqrt(2 / (math.pi * n)), rel=1 / n)
    assert dg.correlation_strength(z) == pytest.approx(expected, rel=4 / d)


@pytest.mark.parametrize("d", [4, 64])
def test_orthogonal_rows(d):
    z = np.eye(d) * np.linspace(1, 9, d)[:, None]  # Lengths must not count for the spread.
    assert dg.feature_std(z) == pytest.approx(math.sqrt(d - 1) / d, rel=1e-12)
    identity = np.eye(d)
    assert dg.correlation_strength(identity) == pytest.approx(1 / (d - 1), rel=1e-9)
    # Centring takes one direction, leaving d - 1 equal singular values and a zero.
    assert dg.spectrum_auc(identity) == pytest.approx((d + 2) / (2 * d), rel=1e-9)
    assert dg.effective_rank(identity) == pytest.approx(d - 1, rel=1e-6)


def test_orthogonal_columns():
    """A Walsh-Hadamard matrix less its constant column: no correlation at all, every direction equal."""
    hadamard = np.ones((1, 1))
    for _ in range(6):
        hadamard = np.block([[hadamard, hadamard], [hadamard, -hadamard]])
    z = hadamard[:, 1:]
    assert dg.correlation_strength(z) == pytest.approx(0, abs=1e-12)
    assert dg.singular_values(z) == pytest.approx(np.full(63, 8))
    assert dg.feature_std(z) * math.sqrt(63) == pytest.approx(1, rel=1e-12)
    report = dg.collapse_report(z)
    assert (report.verdict, report.effective_rank) == ("healthy", pytest.approx(63))


@pytest.mark.parametrize("share", [0.5, 0.1])
def test_two_points(share):
    """Rows +v and -v: spread 2 sqrt(p (1 - p)) of |v_i|/|v|, all else as collapsed as can be."""
    v = np.array([1.0, -2.0, 3.0, 4.0, -0.5, 1.0, 2.0, 6.0])
    z = np.where(np.arange(100) < 100 * share, 1, -1)[:, None] * v
    spread = 2 * math.sqrt(share * (1 - share)) * np.abs(v).mean() / np.linalg.norm(v)
    report = dg.collapse_report(z)
    assert report.feature_std == pytest.approx(spread, rel=1e-12)
    assert report.correlation_strength == pytest.approx(1, rel=1e-12)
    assert report.effective_rank == pytest.approx(1, abs=1e-5)
    assert dg.spectrum_auc(z) == pytest.approx(1, abs=1e-6)
    assert report.verdict == "collapsed"


def test_rank_one_and_an_offset():
    z = gaussian(300, 1) * gaussian(1, 32, seed=1) + 5
    assert dg.effective_rank(z) == pytest.approx(1, abs=1e-4)
    assert dg.spectrum_auc(z) == pytest.approx(1, abs=1e-5)
    assert dg.correlation_strength(z) == pytest.approx(1, rel=1e-9)


@pytest.mark.parametrize(("d", "ratio"), [(8, 0.5), (64, 0.9), (128, 0.99)])
def test_geometric_spectrum(d, ratio):
    features = with_spectrum(ratio ** np.arange(d))
    total = (1 - ratio**d) / (1 - ratio)
    auc = (1 - ratio * total / d) / (1 - ratio**d)
    mean_index = ratio / (1 - ratio) - d * ratio**d / (1 - ratio**d)
    entropy = math.log(total) - math.log(ratio) * mean_index
    assert dg.spectrum_auc(features) == pytest.approx(auc, rel=1e-6)
    assert dg.effective_rank(features) == pytest.approx(math.exp(entropy), rel=1e-6)


@pytest.mark.parametrize("d", [2, 10, 100])
def test_linear_spectrum(d):
    assert dg.spectrum_auc(with_spectrum(np.arange(d, 0, -1))) == pytest.approx((2 * d + 1) / (3 * d), rel=1e-9)


@pytest.mark.parametrize(("d", "m"), [(64, 64), (64, 16), (64, 1), (512, 100)])
def test_one_block(d, m):
    features = with_spectrum([3.0] * m + [0.0] * (d - m))
    assert dg.spectrum_auc(features) == pytest.approx(1 - (m - 1) / (2 * d), rel=1e-6)
    assert dg.effective_rank(features) == pytest.approx(m, rel=1e-4)


def test_two_blocks():
    """Half of the sum in 5 directions, half in 50: entropy is ln 2 and the mean of ln 5 and ln 50."""
    features = with_spectrum([10.0] * 5 + [1.0] * 50)
    assert dg.effective_rank(features) == pytest.approx(2 * math.sqrt(5 * 50), rel=1e-9)
    assert dg.spectrum_auc(features) == pytest.approx((0.5 * 6 / 2 + 50 * 0.5 + 0.5 * 51 / 2) / 55, rel=1e-9)


def test_what_does_not_change_the_figures():
    z = gaussian(200, 24) @ np.diag(np.linspace(0.1, 3, 24))
    rotation, _ = np.linalg.qr(gaussian(24, 24, seed=1))
    rows = np.random.default_rng(2).permutation(200)
    for figure in (dg.spectrum_auc, dg.effective_rank):
        for same in (1e-5 * z, 1e5 * z, z @ rotation, z - 50, z[rows], -z):
            assert figure(same) == pytest.approx(figure(z), rel=1e-9)
    scales = np.random.default_rng(3).uniform(0.01, 100, 24)
    for same in (z * scales, z + scales, z[rows], z[:, ::-1]):
        assert dg.correlation_strength(same) == pytest.approx(dg.correlation_strength(z), rel=1e-9)
    for same in (7 * z, z * np.linspace(1, 50, 200)[:, None], z[rows], z[:, ::-1]):
        assert dg.feature_std(same) == pytest.approx(dg.feature_std(z), rel=1e-12)


def test_correlation_strength_is_the_studys_but_for_the_diagonal():
    """Aczel's code gives mean |corrcoef| - 1/d, his table's caption the mean off the diagonal."""
    for d in (2, 16, 256):
        z = gaussian(300, d) + 0.5 * gaussian(300, 1, seed=1)
        study = np.abs(np.corrcoef(z, rowvar=False)).mean() - 1 / d
        assert dg.correlation_strength(z) * (d - 1) / d == pytest.approx(study, rel=1e-9)


@pytest.mark.parametrize(("n", "d"), [(500, 40), (40, 40), (30, 100)])
def test_singular_values_equal_numpys_and_pytorchs(n, d):
    features = gaussian(n, d) @ np.diag(np.geomspace(1, 1e-3, d)) + 2
    centred = features - features.mean(axis=0)
    found = dg.singular_values(features)[: min(n, d)]
    largest = found[0]
    assert np.abs(found - np.linalg.svd(centred, compute_uv=False)).max() < 1e-6 * largest
    assert np.abs(found - torch.linalg.svdvals(torch.tensor(centred)).numpy()).max() < 1e-6 * largest
    assert found[: min(n - 1, d)] == pytest.approx(np.linalg.svd(centred, compute_uv=False)[: n - 1], rel=1e-6)


# AUC and exp(entropy) of the ResNet-18 spectra that Li, Efros & Pathak 2022 published, d = 512.
PUBLISHED = {
    "1 %": (0.60976, 465.2),
    "5 %": (0.74803, 323.5),
    "10 %": (0.84492, 186.5),
    "20 %": (0.87871, 140.0),
    "50 %": (0.87142, 161.3),
    "100 %": (0.85775, 165.6),
}


@pytest.mark.parametrize(("auc", "rank"), PUBLISHED.values(), ids=PUBLISHED)
def test_published_pairs_are_possible_pairs(auc, rank):
    """The geometric spectrum of the published AUC has a higher rank, by less than a quarter."""
    low, high = 0.5, 1 - 1e-9
    for _ in range(60):  # Bisection: the AUC falls as the ratio rises.
        ratio = (low + high) / 2
        share = ratio ** np.arange(512)
        above = np.mean(np.cumsum(share) / share.sum()) > auc
        low, high = (ratio, high) if above else (low, ratio)
    features = with_spectrum(ratio ** np.arange(512))
    assert dg.spectrum_auc(features) == pytest.approx(auc, rel=1e-5)
    assert rank < dg.effective_rank(features) < 1.25 * rank
