"""Seeded subsets: counts per class, disjointness, nesting, and refusals."""

import numpy as np
import pytest

from simsiam_tf.data.subsets import STREAMS, generator, holdout, limited, stratified_subset
from simsiam_tf.errors import InputError

LABELS = np.repeat([0, 1, 2, 3], [100, 50, 10, 1])


def test_stratified_counts_round_per_class_and_keep_one():
    rows = stratified_subset(LABELS, 0.1, seed=0)
    np.testing.assert_array_equal(np.bincount(LABELS[rows]), [10, 5, 1, 1])
    rows = stratified_subset(LABELS, 0.01, seed=0)
    np.testing.assert_array_equal(np.bincount(LABELS[rows]), [1, 1, 1, 1])
    np.testing.assert_array_equal(np.bincount(LABELS[stratified_subset(LABELS, 0.25, 0)]), [25, 13, 3, 1])
    assert (np.diff(rows) > 0).all()
    np.testing.assert_array_equal(stratified_subset(LABELS, 1.0, seed=3), np.arange(161))


def test_stratified_is_seeded_and_nested():
    rows = stratified_subset(LABELS, 0.1, seed=0)
    np.testing.assert_array_equal(rows, stratified_subset(LABELS, 0.1, seed=0))
    assert not np.array_equal(rows, stratified_subset(LABELS, 0.1, seed=1))
    assert set(stratified_subset(LABELS, 0.01, seed=0)) <= set(rows)
    # Rows are chosen at random, not from the start of each class.
    assert rows[0] != 0 or rows[9] > 20


@pytest.mark.parametrize("fraction", [0, -0.1, 1.01])
def test_stratified_fraction_out_of_range(fraction):
    with pytest.raises(InputError, match=rf"fraction: {fraction}"):
        stratified_subset(LABELS, fraction, seed=0)


@pytest.mark.parametrize(
    ("labels", "message"), [(None, "none given"), ([], "empty"), ([[0, 1], [1, 0]], r"shape \(2, 2\)")]
)
def test_stratified_bad_labels(labels, message):
    with pytest.raises(InputError, match=message):
        stratified_subset(labels, 0.5, seed=0)


@pytest.mark.parametrize("rows", [161, LABELS])
def test_holdout_is_a_partition(rows):
    rest, held = holdout(rows, 0.2, seed=0)
    np.testing.assert_array_equal(np.sort(np.concatenate([rest, held])), np.arange(161))
    assert len(held) == 32
    assert (np.diff(rest) > 0).all()
    assert (np.diff(held) > 0).all()
    np.testing.assert_array_equal(held, holdout(rows, 0.2, seed=0)[1])
    assert not np.array_equal(held, holdout(rows, 0.2, seed=1)[1])


def test_holdout_is_stratified():
    rest, held = holdout(LABELS, 0.2, seed=0)
    np.testing.assert_array_equal(np.bincount(LABELS[held], minlength=4), [20, 10, 2, 0])
    np.testing.assert_array_equal(np.bincount(LABELS[rest]), [80, 40, 8, 1])
    # A class never leaves the training part.
    np.testing.assert_array_equal(np.bincount(LABELS[holdout(LABELS, 0.99, seed=0)[0]]), [1, 1, 1, 1])


@pytest.mark.parametrize(("rows", "fraction"), [(10, 0.0), (10, 1.0), (10, -1), (10, 0.01), (1, 0.5), (0, 0.5)])
def test_holdout_refuses_empty_sides(rows, fraction):
    with pytest.raises(InputError, match=rf"data\.validation_fraction: {fraction}"):
        holdout(rows, fraction, seed=0)


def test_limited():
    np.testing.assert_array_equal(limited(5, None, 0), np.arange(5))
    np.testing.assert_array_equal(limited(5, 9, 0), np.arange(5))
    rows = limited(1000, 10, seed=0)
    assert len(set(rows)) == 10
    assert (np.diff(rows) > 0).all()
    assert rows[-1] > 100
    assert not np.array_equal(rows, limited(1000, 10, seed=1))


def test_streams_differ():
    draws = {tuple(generator(seed, name).permutation(20)) for seed in (0, 1) for name in STREAMS}
    assert len(draws) == 2 * len(STREAMS)
    with pytest.raises(InputError, match="seed: -1"):
        generator(-1, "epoch")
