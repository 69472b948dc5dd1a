"""Figures without labels against closed forms, and against slow direct computations on random features."""

import itertools
import math

import numpy as np
import pytest
import scipy.linalg
import tensorflow as tf

from simsiam_tf.errors import InputError
from simsiam_tf.evaluation import collapse
from simsiam_tf.evaluation import label_free as lf
from simsiam_tf.evaluation.spectrum import Spectrum


def gaussian(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def with_spectrum(s, seed=0, centred=True):
    """Features (len(s) + 10, len(s)) of singular values s in random directions, the mean row being 0 or not."""
    d = len(s)
    rows = gaussian(d + 10, d, seed=seed)
    u, _ = np.linalg.qr(rows - rows.mean(axis=0) * centred)
    v, _ = np.linalg.qr(gaussian(d, d, seed=seed + 1))
    return u * np.asarray(s, float) @ v.T


def anisotropic(n, d, seed=0):
    """Correlated features, off the origin."""
    return gaussian(n, d, seed=seed) * np.geomspace(1, 0.05, d) @ gaussian(d, d, seed=seed + 1) + np.linspace(-2, 5, d)


def entropy_rank(weights):
    return math.exp(-sum(w / sum(weights) * math.log(w / sum(weights)) for w in weights if w > 0))


# RankMe, alpha-ReQ, NESum


def test_rankme_is_of_uncentred_features_and_of_singular_values_themselves():
    assert lf.rankme(np.eye(16)) == pytest.approx(16, rel=1e-9)  # Centred: 15.
    assert collapse.effective_rank(np.eye(16)) == pytest.approx(15, rel=1e-6)
    s = [9.0] * 2 + [1.0] * 18  # Half of the sum in 2 directions, half in 18; of the squares it is nine tenths.
    assert lf.rankme(with_spectrum(s, centred=False)) == pytest.approx(2 * math.sqrt(2 * 18), rel=1e-8)
    assert lf.rankme(np.outer(np.linspace(1, 2, 50), np.linspace(1, 3, 16))) == pytest.approx(1, abs=1e-5)
    assert lf.rankme(np.zeros((5, 3))) == 0


@pytest.mark.parametrize(("n", "d"), [(300, 40), (30, 100)])
def test_figures_of_the_spectrum_equal_those_of_an_svd(n, d):
    z = anisotropic(n, d)
    assert lf.rankme(z) == pytest.approx(entropy_rank(np.linalg.svd(z, compute_uv=False)), rel=1e-9)
    eigenvalues = np.linalg.eigvalsh(np.cov(z, rowvar=False))
    assert lf.nesum(z) == pytest.approx(eigenvalues.sum() / eigenvalues.max(), rel=1e-9)


def test_nesum_of_known_spectra():
    assert lf.nesum(with_spectrum(np.ones(12)) + 3) == pytest.approx(12, rel=1e-9)
    assert lf.nesum(with_spectrum([4.0, 2.0, 2.0, 1.0])) == pytest.approx(1 + 2 / 4 + 1 / 16, rel=1e-9)
    assert lf.nesum(gaussian(50, 1) * gaussian(1, 8, seed=1)) == pytest.approx(1, rel=1e-9)
    assert lf.nesum(np.ones((5, 3))) == 0


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0, 2.3])
def test_alpha_of_a_power_law_on_ranks_11_to_100(alpha):
    """Eigenvalues, which are squares, decay as i^-alpha there; the others must not count."""
    ranks = np.arange(1, 131)
    eigenvalues = ranks**-alpha * np.where(ranks <= 10, 7, 1) * np.where(ranks > 100, 0.3, 1)
    features = with_spectrum(np.sqrt(eigenvalues))
    assert lf.alpha_req(features + 5) == pytest.approx(alpha, abs=1e-8)


def test_alpha_is_a_fit_weighted_by_one_over_rank():
    z = anisotropic(400, 120)
    eigenvalues = np.linalg.eigvalsh(np.cov(z, rowvar=False))[::-1]
    ranks = np.arange(11, 101)

    def slope(power):  # polyfit squares its weights.
        return -np.polyfit(np.log(ranks), np.log(eigenvalues[10:100]), 1, w=ranks ** (-power / 2))[0]

    assert lf.alpha_req(z) == pytest.approx(slope(1), rel=1e-7)
    assert abs(slope(1) / slope(0) - 1) > 0.01
    assert abs(slope(1) / slope(2) - 1) > 0.01


def test_alpha_wants_20_ranks_above_the_tenth():
    for d, n in ((30, 40), (200, 31)):  # 30 nonzero eigenvalues: of all channels; of n - 1 directions.
        z = gaussian(n, d)
        eigenvalues = np.linalg.svd(z - z.mean(axis=0), compute_uv=False)[:30] ** 2
        ranks = np.arange(11, 31)
        expected = -np.polyfit(np.log(ranks), np.log(eigenvalues[10:]), 1, w=ranks**-0.5)[0]
        assert lf.alpha_req(z) == pytest.approx(expected, rel=1e-6)
    assert lf.alpha_req(gaussian(40, 29)) is None
    assert lf.alpha_req(gaussian(30, 200)) is None
    assert lf.alpha_req(np.ones((40, 200))) is None


def test_what_does_not_change_the_figures_of_the_spectrum():
    z = anisotropic(200, 40)
    rotation, _ = np.linalg.qr(gaussian(40, 40, seed=3))
    rows = np.random.default_rng(4).permutation(200)
    for figure in (lf.rankme, lf.alpha_req, lf.nesum):
        for same in (1e-5 * z, 1e5 * z, z @ rotation, z[rows], -z, Spectrum(z)):
            assert figure(same) == pytest.approx(figure(z), rel=1e-7)
    for figure in (lf.alpha_req, lf.nesum):
        assert figure(z - 50) == pytest.approx(figure(z), rel=1e-9)
    assert lf.rankme(z - 50) < 0.8 * lf.rankme(z)


# Alignment, uniformity


def unit(row):
    return row / math.sqrt(sum(value**2 for value in row))


def test_alignment_of_known_directions():
    z, lengths = gaussian(20, 6), np.linspace(0.1, 9, 20)[:, None]
    assert lf.alignment(z, lengths * z) == pytest.approx(0, abs=1e-15)
    assert lf.alignment(z, -lengths * z) == pytest.approx(4, rel=1e-12)
    eye = np.eye(6)
    assert lf.alignment(eye, 3 * np.roll(eye, 1, axis=0)) == pytest.approx(2, rel=1e-12)
    assert lf.alignment(eye, np.concatenate([eye[:3], -eye[3:]])) == pytest.approx(2, rel=1e-12)
    assert lf.alignment(eye, 0 * eye) == 1


def test_alignment_equals_the_slow_loop():
    first, second = anisotropic(2500, 5), anisotropic(2500, 5, seed=7)  # Three chunks of rows.
    distances = [sum((unit(a) - unit(b)) ** 2) for a, b in zip(first, second, strict=True)]
    assert lf.alignment(first, second) == pytest.approx(np.mean(distances), rel=1e-12)


def test_uniformity_of_known_points():
    lengths = np.linspace(0.1, 9, 10)[:, None]
    assert lf.uniformity(lengths * np.ones((1, 4))) == pytest.approx(0, abs=1e-12)
    assert lf.uniformity(np.eye(10) * lengths) == pytest.approx(-4, rel=1e-12)
    assert lf.uniformity([[1.0, 2.0], [-3.0, -6.0]]) == pytest.approx(-8, rel=1e-12)
    # 5 + 5 antipodal points: 20 of the 45 pairs coincide, 25 are opposite.
    assert lf.uniformity(lengths * np.where(np.arange(10) < 5, 1, -1)[:, None]) == pytest.approx(
        math.log((20 + 25 * math.exp(-8)) / 45), rel=1e-12
    )
    assert lf.uniformity([[2.0, 0.0], [0.0, 0.0]]) == pytest.approx(-2)  # A zero row is 1 away from all others.
    assert lf.uniformity(np.ones((1, 4))) is None


@pytest.mark.parametrize("chunk", [1, 7, 60, 256])
def test_uniformity_equals_the_slow_loop_in_chunks_of_any_size(chunk):
    z = anisotropic(60, 5)
    pairs = itertools.combinations(z, 2)
    expected = math.log(np.mean([math.exp(-2 * sum((unit(a) - unit(b)) ** 2)) for a, b in pairs]))
    assert lf.uniformity(z, chunk) == pytest.approx(expected, rel=1e-12)


# LiDAR


def crosses(between, within, seed=0):
    """Images at +-a_k along axis k, with views at +-b_k around each: Sb is diag(a^2 / d), Sw diag(b^2 / d)."""
    d = len(between)
    rotation, _ = np.linalg.qr(gaussian(d, d, seed=seed))
    means, views = np.diag(between), np.diag(within)
    return (np.concatenate([means, -means])[:, None] + np.concatenate([views, -views])) @ rotation + 5


def test_lidar_of_isotropic_clusters():
    d = 8
    flat = np.ones(d)
    assert lf.lidar(crosses(3 * flat, 0.1 * flat)) == pytest.approx(d, rel=1e-9)
    views = np.eye(d)[:, None] + 0.1 * np.concatenate([np.eye(d), -np.eye(d)])
    assert lf.lidar(views) == pytest.approx(d - 1, rel=1e-9)  # d means span d - 1 directions about their own.


def test_lidar_compares_images_with_views():
    """Along axis k the ratio of the variances is a^2 / (b^2 + d delta)."""
    a = np.geomspace(1, 0.05, 8)
    assert lf.lidar(crosses(a, 0.3 * a), delta=1e-15) == pytest.approx(8, rel=1e-6)
    b = np.array([1, 0.2, 0.5, 0.1, 3, 2, 0.3, 0.7])
    for delta in (1e-4, 0.5):
        expected = entropy_rank(a**2 / (b**2 + 8 * delta))
        assert lf.lidar(crosses(a, b), delta) == pytest.approx(expected, rel=1e-9)
    assert lf.lidar(crosses(a, b)) == pytest.approx(lf.lidar(crosses(a, b), 1e-4), rel=1e-12)
    assert lf.lidar(crosses(a, b) + 3e4) == pytest.approx(lf.lidar(crosses(a, b)), rel=1e-6)
    assert abs(entropy_rank(a**2 / (b**2 + 8e-4)) / entropy_rank(a**2 / b**2) - 1) > 1e-3


def test_lidar_of_identical_views_is_the_rank_of_the_images():
    images = anisotropic(50, 6)
    eigenvalues = np.linalg.eigvalsh(np.cov(images, rowvar=False))
    assert lf.lidar(np.repeat(images[:, None], 3, axis=1)) == pytest.approx(entropy_rank(eigenvalues), rel=1e-9)


def test_lidar_of_a_constant_encoder():
    assert lf.lidar(np.full((20, 4, 6), 0.1, np.float32)) == 0
    jitter = np.float32(0.1) * (1 + 1e-7 * gaussian(20, 4, 6))
    assert lf.lidar(jitter.astype(np.float32)) == 0


@pytest.mark.parametrize(("images", "count", "d"), [(60, 10, 8), (6, 3, 15), (700, 4, 5)])
def test_lidar_equals_the_matrices_written_out(images, count, d):
    views = anisotropic(images, d)[:, None] + 0.3 * gaussian(images, count, d, seed=2) @ gaussian(d, d, seed=3)
    means = [sum(image) / count for image in views]
    grand = sum(means) / images
    between = sum(np.outer(mean - grand, mean - grand) for mean in means) / images
    within = sum(
        np.outer(view - mean, view - mean) for image, mean in zip(views, means, strict=True) for view in image
    ) / (images * count)
    inverse = np.linalg.inv(scipy.linalg.sqrtm(within + 1e-4 * np.eye(d)))
    eigenvalues = np.linalg.eigvalsh(inverse @ between @ inverse)
    assert lf.lidar(views) == pytest.approx(entropy_rank(np.maximum(eigenvalues, 0)), rel=1e-8)


# All of them


def test_all_figures_come_from_one_gram_matrix(monkeypatch):
    features, views = anisotropic(300, 40).astype(np.float32), gaussian(50, 3, 40).astype(np.float32)
    expected = {
        "images": 300,
        "rankme": lf.rankme(features),
        "spectrum_auc": collapse.spectrum_auc(features),
        "effective_rank": collapse.effective_rank(features),
        "alpha_req": lf.alpha_req(features),
        "nesum": lf.nesum(features),
        "uniformity": lf.uniformity(features),
    }
    assert lf.label_free_figures(features, views) == pytest.approx(
        expected | {"alignment": lf.alignment(views[:, 0], views[:, 1]), "lidar": lf.lidar(views)}, rel=1e-12
    )
    decompositions, decompose = [], np.linalg.eigvalsh
    monkeypatch.setattr(np.linalg, "eigvalsh", lambda gram: decompositions.append(gram.shape) or decompose(gram))
    figures = lf.label_free_figures(tf.constant(features))
    assert figures == pytest.approx(expected, rel=1e-12)
    assert decompositions == [(40, 40)] * 2
    assert {type(figure) for figure in figures.values()} == {int, float}


def test_uniformity_is_that_of_evenly_spaced_rows():
    features = gaussian(3 * 4096, 8)
    features[1::3] = features[2::3] = 1.0
    assert lf.label_free_figures(features)["uniformity"] == lf.uniformity(features[::3])


def test_figures_that_cannot_be_computed_are_absent():
    assert set(lf.label_free_figures(gaussian(1, 8))) == {
        "images",
        "rankme",
        "spectrum_auc",
        "effective_rank",
        "nesum",
    }
    assert set(lf.label_free_figures(gaussian(20, 8))) >= {"uniformity"}


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_no_figure_can_be_made_of(bad):
    z = gaussian(3000, 4)
    z[2500, 1] = bad
    figures = lf.label_free_figures, lf.rankme, lf.uniformity, lambda f: lf.alignment(gaussian(3000, 4), f)
    for figure in (*figures, lambda f: lf.lidar(f.reshape(1500, 2, 4))):
        with pytest.raises(InputError, match="NaN or infinity"):
            figure(z)


def test_shapes_that_are_refused():
    with pytest.raises(InputError, match=r"features: shape \(3,\)"):
        lf.rankme(np.ones(3))
    with pytest.raises(InputError, match=r"second: shape \(4, 2\) beside \(3, 2\)"):
        lf.alignment(np.ones((3, 2)), np.ones((4, 2)))
    for shape in ((5, 4), (5, 1, 4), (0, 2, 4)):
        with pytest.raises(InputError, match="views: shape"):
            lf.lidar(np.ones(shape))
        with pytest.raises(InputError, match="views: shape"):
            lf.label_free_figures(gaussian(40, 4), np.ones(shape))
