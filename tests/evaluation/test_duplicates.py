"""Near-duplicates: correlation of small versions against NumPy's, levels from known distributions, groups by hand."""

import duplicates as benchmark
import numpy as np
import pytest

from simsiam_tf.evaluation.duplicates import correlation, groups, level, small_gray


def pattern(seed=0, side=320):
    """A smooth gray picture."""
    from PIL import Image

    coarse = np.random.default_rng(seed).integers(0, 256, (7, 7), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))


def small(gray):
    return small_gray(np.repeat(gray[None, ..., None], 3, axis=-1))


def crop(gray, top, left, cut=16):
    return gray[top : top + len(gray) - cut, left : left + len(gray) - cut]


def test_small_versions_are_means_of_the_gray():
    frames = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    gray = frames @ [0.299, 0.587, 0.114]
    expected = gray.reshape(2, 32, 2, 32, 2).mean(axis=(2, 4))
    assert np.abs(small_gray(frames) - expected).max() <= 1.5


def test_it_is_pearsons_of_the_best_alignment():
    """Of unlike pictures no less than NumPy's of the whole, of the mirrored, and of one crop cut by hand."""
    a, b = small(pattern(1))[0].astype(float), small(pattern(2))[0].astype(float)

    def cells(image):
        return image.reshape(16, 2, 16, 2).mean(axis=(1, 3)).ravel()

    whole = np.corrcoef(cells(a), cells(b))[0, 1]
    mirrored = np.corrcoef(cells(a), cells(b[:, ::-1]))[0, 1]
    found = correlation(small(pattern(1)), small(pattern(2)))
    assert found.shape == (1,)
    assert max(whole, mirrored) - 1e-5 <= found[0] < 0.9


@pytest.mark.parametrize(("top", "left"), [(0, 0), (0, 16), (16, 8), (8, 8)])
@pytest.mark.parametrize("mirror", [False, True])
def test_a_crop_of_five_percent_wherever_is_found(top, left, mirror):
    whole = pattern()
    part = crop(whole, top, left)[:, :: -1 if mirror else 1]
    assert correlation(small(whole), small(part))[0] > 0.99
    assert correlation(small(part), small(whole))[0] > 0.99


def test_brightness_and_contrast_do_not_matter_but_upside_down_does():
    whole = pattern()
    assert correlation(small(whole), small((whole // 2 + 60).astype(np.uint8)))[0] > 0.999
    assert correlation(small(whole), small(255 - whole))[0] < 0.5
    assert correlation(small(whole), small(whole[::-1]))[0] < 0.9


def test_blank_pictures_are_alike_and_unlike_any_other():
    blank, other = small(np.full((64, 64), 250, np.uint8)), small(np.full((64, 64), 3, np.uint8))
    assert correlation(blank, other)[0] == pytest.approx(1)
    assert abs(correlation(blank, small(pattern()))[0]) < 1e-5


def test_many_pairs_are_compared_in_parts(monkeypatch):
    from simsiam_tf.evaluation import duplicates

    pictures = np.concatenate([small(pattern(seed)) for seed in range(12)])
    expected = correlation(pictures, pictures[::-1])
    monkeypatch.setattr(duplicates, "PAIRS", 5)
    np.testing.assert_allclose(correlation(pictures, pictures[::-1]), expected, atol=1e-6)
    np.testing.assert_allclose(expected, expected[::-1], atol=1e-5)  # of two, neither is the first
    assert correlation(pictures[:0], pictures[:0]).shape == (0,)


def test_the_level_misses_a_fortieth_of_the_worst_kind():
    found = level({"good": np.full(1000, 0.99), "bad": np.linspace(0.8, 1, 1001)})
    assert found == pytest.approx(0.8 + 0.025 * 0.2)


def test_the_level_is_raised_above_unrelated_pairs_and_copies_among_them_do_not_raise_it():
    """Normal after Fisher's transform: one in ten thousand lies above 3.719 deviations."""
    rng = np.random.default_rng(0)
    unrelated = np.tanh(rng.normal(0.1, 0.3, 200_000))
    copies = {"any": np.array([0.3, 0.4])}
    found = level(copies, unrelated)
    assert found == pytest.approx(np.tanh(0.1 + 0.3 * 3.719), abs=0.005)
    assert np.mean(unrelated >= found) == pytest.approx(1e-4, rel=0.5)
    assert level(copies, np.append(unrelated, np.full(1000, 0.999))) == pytest.approx(found, abs=0.01)
    assert level({"any": np.array([0.99, 0.99])}, unrelated) == pytest.approx(0.99)


def test_groups_are_what_pairs_join_the_largest_first():
    assert groups(9, [(7, 8), (1, 3), (5, 3)]).tolist() == [-1, 0, -1, 0, -1, 0, -1, 1, 1]
    assert groups(4, [(2, 3), (0, 1)]).tolist() == [0, 0, 1, 1]
    assert groups(3, []).tolist() == [-1, -1, -1]


def test_planted_pairs_are_judged_as_a_hand_would():
    """benchmarks/duplicates.py: one of two right ones found, one wrong, and one that is known to be alike."""
    planted = {"a2": ("a", "cropped"), "b2": ("b", "brighter")}
    found = {frozenset(pair) for pair in [("a", "a2"), ("a", "c"), ("a2", "d"), ("d", "a")]}
    judged = benchmark.judged(found, planted, known={frozenset("ad")})
    assert (judged["precision"], judged["recall"], judged["wrong"]) == (0.5, 0.5, [["a", "c"]])
    assert judged["recall_by_kind"] == {"saved anew": 0, "cropped": 1, "brighter": 0, "mirrored": 0}
