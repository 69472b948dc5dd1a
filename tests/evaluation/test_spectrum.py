"""Singular values from Gram matrices in chunks: against NumPy's, far from the origin, and of constant channels."""

import tracemalloc

import numpy as np
import pytest

from simsiam_tf.evaluation import collapse
from simsiam_tf.evaluation import label_free as lf
from simsiam_tf.evaluation.spectrum import Spectrum, entropy_rank


def gaussian(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def with_spectrum(s):
    """Centred features (len(s) + 10, len(s)) of singular values s in random directions."""
    d = len(s)
    rows = gaussian(d + 10, d)
    u, _ = np.linalg.qr(rows - rows.mean(axis=0))
    v, _ = np.linalg.qr(gaussian(d, d, seed=1))
    return u * np.asarray(s, float) @ v.T


def anisotropic(n, d, seed=0):
    """Correlated features, off the origin."""
    return gaussian(n, d, seed=seed) * np.geomspace(1, 0.05, d) @ gaussian(d, d, seed=seed + 1) + np.linspace(-2, 5, d)


@pytest.mark.parametrize(("n", "d"), [(300, 40), (40, 40), (30, 100)])
@pytest.mark.parametrize("chunk", [1, 7, 1024])
def test_spectrum_equals_numpys_in_chunks_of_any_size(n, d, chunk):
    z = anisotropic(n, d)
    found = Spectrum(z, chunk)
    rank = min(n - 1, d)
    centred = np.linalg.svd(z - z.mean(axis=0), compute_uv=False)
    assert found.singular_values[:rank] == pytest.approx(centred[:rank], rel=1e-8)
    assert found.uncentred_singular_values[: min(n, d)] == pytest.approx(np.linalg.svd(z, compute_uv=False), rel=1e-8)
    assert found.singular_values.shape == found.uncentred_singular_values.shape == (d,)
    assert not found.uncentred_singular_values[n:].any()
    assert (found.n, found.d) == (n, d)


@pytest.mark.parametrize("chunk", [5, 1024])
def test_an_offset_far_above_the_spread_costs_no_digits(chunk):
    s = np.geomspace(1, 0.01, 20)
    z = with_spectrum(s)
    assert Spectrum(z + 1e4 * s[0], chunk).singular_values == pytest.approx(s, rel=1e-6)
    offset = z + np.where(np.arange(20) % 2, 1e4, -1e4)
    assert lf.nesum(offset) == pytest.approx(np.sum(s**2), rel=1e-8)
    direct = entropy_rank(np.linalg.svd(z + 100, compute_uv=False))
    assert lf.rankme(z + 100) == pytest.approx(direct, rel=1e-8)
    outlier = np.concatenate([np.full((1, 20), 100.0), z])  # It is the row about which the mean is found.
    expected = np.linalg.svd(outlier - outlier.mean(axis=0), compute_uv=False)
    assert Spectrum(outlier, chunk).singular_values == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("n", [20, 500])
def test_constant_channels_are_no_direction(n):
    """Float32 rounding of a constant is not spread, on either side of n = d."""
    z = gaussian(n, 24)
    noise = np.float32(0.1) * (1 + 1e-7 * gaussian(n, 24, seed=1))
    features = np.concatenate([z, noise], axis=1).astype(np.float32)
    for figure in (lf.nesum, collapse.effective_rank):
        assert figure(features) == pytest.approx(figure(z.astype(np.float32)), rel=1e-9)
    assert not Spectrum(features[:, 24:]).singular_values.any()
    assert lf.rankme(features[:, 24:]) == pytest.approx(1, abs=1e-5)


def test_constant_means_a_small_standard_deviation_about_the_mean():
    """One row of 500 that is e above 1: the deviation is e sqrt(499) / 500, wherever that row stands."""
    for row, share in ((0, 0.9), (0, 1.1), (250, 0.9), (250, 1.1)):
        channel = np.ones((500, 1))
        channel[row] += share * 1e-6 * 500 / np.sqrt(499)
        assert Spectrum(channel).singular_values.any() == (share > 1)


def test_memory_is_that_of_a_chunk_not_of_the_features(tmp_path):
    z = gaussian(20_000, 64).astype(np.float32)
    z.tofile(tmp_path / "features")
    mapped = np.memmap(tmp_path / "features", np.float32, "r", shape=z.shape)
    tracemalloc.start()
    spectrum = Spectrum(mapped)
    aligned = lf.alignment(mapped, mapped)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < z.nbytes * 0.7  # 3.6 MB; all of it in float64 would be 10 MB.
    assert spectrum.singular_values == pytest.approx(Spectrum(z.astype(np.float64)).singular_values, rel=1e-12)
    assert aligned == 0
