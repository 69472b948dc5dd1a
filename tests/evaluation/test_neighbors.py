"""Nearest features against a slow loop: order, ties, chunks, and the index of very many."""

import numpy as np
import pytest

from simsiam_tf.errors import InputError
from simsiam_tf.evaluation import neighbors
from simsiam_tf.evaluation.neighbors import nearest, nearest_others


def slow_nearest(features, queries, k):
    """(index, cosine), one pair at a time, in float64."""
    found = []
    for query in queries.astype(float):
        lengths = [np.linalg.norm(row) * np.linalg.norm(query) for row in features.astype(float)]
        cosines = [row @ query / length if length else 0.0 for row, length in zip(features, lengths, strict=True)]
        found.append(sorted(((-cosine, index) for index, cosine in enumerate(cosines)))[:k])
    found = np.array(found)
    return found[..., 1].astype(int), -found[..., 0]


def features(n=90, d=6, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, d)) * rng.uniform(0.1, 10, (n, 1))).astype(np.float32)


@pytest.mark.parametrize("k", [1, 7, 90, 500])
@pytest.mark.parametrize("chunk", [256, 1, 13, 1000])
def test_equals_the_slow_loop(k, chunk):
    bank, queries = features(), features(40, seed=1)
    bank[5] = queries[3] = 0
    index, cosine = nearest(bank, queries, k, chunk)
    expected = slow_nearest(bank, queries, k)
    assert (index.dtype, cosine.dtype, index.shape) == (np.int64, np.float32, (40, min(k, 90)))
    np.testing.assert_array_equal(index, expected[0])
    np.testing.assert_allclose(cosine, expected[1], atol=1e-6)


def test_of_equals_the_lower_index_comes_first():
    """Signs of four axes: every product is exact."""
    bank = np.array([[1, 1, 1, -1], [1, 1, 1, 1], [1, 1, -1, 1], [2, 2, 2, 2], [-1, -1, -1, -1]])
    index, cosine = nearest(bank, [[3, 3, 3, 3]], 5)
    assert index.tolist() == [[1, 3, 0, 2, 4]]
    assert cosine.tolist() == [[1, 1, 0.5, 0.5, -1]]


def test_a_query_among_the_features_is_its_own_nearest():
    bank = features(300, 16)
    index, cosine = nearest(bank, bank[40:60] * 7, 2)
    assert index[:, 0].tolist() == list(range(40, 60))
    np.testing.assert_allclose(cosine[:, 0], 1, atol=1e-6)
    assert cosine.max() <= 1


def test_others_are_all_but_oneself_and_copies_are_others():
    bank = features(30)
    bank[20], bank[21] = bank[4], 2 * bank[4]
    index, cosine = nearest_others(bank, 3)
    expected = [
        [i for i in slow_nearest(bank, bank[row : row + 1], 30)[0][0] if i != row][:3] for row in range(len(bank))
    ]
    np.testing.assert_array_equal(index, expected)
    assert index[4, :2].tolist() == [20, 21]
    np.testing.assert_allclose(cosine[4, :2], 1, atol=1e-6)
    assert nearest_others(bank[:3], 99)[0].shape == (3, 2)


def test_few_cosines_are_held_at_once(monkeypatch):
    seen = []
    whole = neighbors._nearest
    monkeypatch.setattr(neighbors, "BANK", 27)
    monkeypatch.setattr(neighbors, "_nearest", lambda q, bank, k: seen.append(len(q) * len(bank)) or whole(q, bank, k))
    nearest(features(), features(), 5, 10)
    assert max(seen) <= 270
    assert sum(seen) == 90 * 90


def test_the_index_finds_nearly_what_all_pairs_do():
    pytest.importorskip("faiss")
    rng = np.random.default_rng(0)
    bank = np.repeat(rng.normal(size=(200, 16)), 10, axis=0) + 0.1 * rng.normal(size=(2000, 16))
    exact, cosine = nearest_others(bank, 5)
    index, by_index = nearest_others(bank, 5, exact=100)
    assert np.mean(index == exact) > 0.98
    assert not (index == np.arange(2000)[:, None]).any()
    np.testing.assert_allclose(
        by_index[:, 0][index[:, 0] == exact[:, 0]], cosine[:, 0][index[:, 0] == exact[:, 0]], atol=1e-5
    )


def test_very_many_need_the_index_library(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "faiss", None)
    with pytest.raises(InputError, match=r"data: 5 pictures are more than the 4 .*;.* pip install faiss-cpu=="):
        nearest_others(features(5), 2, exact=4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.ones((3, 2)), np.ones((3, 4)), 1), "queries: d = 4, but 2 in features"),
        ((np.ones((3, 2)), np.ones((3, 2)), 0), "k: 0"),
        ((np.full((3, 2), np.nan), np.ones((3, 2)), 1), "features: NaN"),
        ((np.ones((3, 2)), np.ones(2), 1), "queries: shape"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        nearest(*arguments)


def test_one_alone_has_no_others():
    with pytest.raises(InputError, match="features: only one"):
        nearest_others(np.ones((1, 2)), 1)


def test_what_an_index_did_not_reach_leaves_no_hole():
    """Rows of which the search found themselves twice, or not at all."""
    cosine = np.float32([[1, 0.5, -1], [0.9, 0.8, 0.7]])
    index = np.array([[0, 4, 0], [3, 4, 5]])
    left = neighbors.without(np.array([0, 1]), cosine, index)
    assert left[1].tolist() == [[4, 0], [3, 4]]
    assert left[0].tolist() == [[0.5, -1], np.float32([0.9, 0.8]).tolist()]
