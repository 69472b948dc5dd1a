"""Seeded choices of rows: hold-out splits, label fractions, limits. Integers in, sorted int64 indices out."""

import numpy as np

from simsiam_tf.errors import InputError

# Every use draws from a stream of its own, so that a hold-out split never correlates with an epoch's order.
STREAMS = {"epoch": 1, "holdout": 2, "fraction": 3, "limit": 4, "early": 5, "permutation": 6, "chunk": 7}


def generator(seed, stream, part=0):
    """The NumPy generator of (seed, stream name, part): same arguments, same numbers.

    Raises:
        InputError: `seed` is negative.
    """
    if seed < 0:
        raise InputError(f"seed: {seed} is negative; use 0 or a positive whole number")
    return np.random.default_rng((seed, STREAMS[stream], part))


def holdout(n_or_labels, fraction, seed, stream="holdout"):
    """Split rows into (rest, held out), stratified when labels are given: every class then stays in the rest.

    Args:
        n_or_labels: number of rows, or their labels, int (n,).
        fraction: share to hold out, inside (0, 1); rounded to whole rows, per class with labels.
        seed: 0 or a positive int.
        stream: a key of `STREAMS`.

    Returns:
        Two sorted int64 arrays of row numbers, disjoint, together all rows.

    Raises:
        InputError: `fraction` is outside (0, 1), or so small or large that one side would be empty.
    """
    if not 0 < fraction < 1:
        raise InputError(
            f"data.validation_fraction: {fraction} is no share to hold out; give one between 0 and 1, such as 0.2"
        )
    groups = _groups(n_or_labels)
    n = sum(len(group) for group in groups)
    held = []
    for part, group in enumerate(groups):
        count = min(_rounded(fraction * len(group)), len(group) - 1)
        held.append(generator(seed, stream, part).permutation(group)[:count])
    held = np.sort(np.concatenate(held)) if held else np.empty(0, np.int64)
    if not 0 < len(held) < n:
        raise InputError(
            f"data.validation_fraction: {fraction} of {n} images leaves {len(held)} to validate on; "
            "use a larger fraction or more images"
        )
    return np.setdiff1d(np.arange(n), held), held


def stratified_subset(labels, fraction, seed):
    """Sorted rows of a class-balanced share of the labels: `fraction` of each class, rounded, at least one.

    With one seed, a smaller fraction is contained in a larger one.

    Raises:
        InputError: `labels` is None, empty or not one-dimensional; `fraction` is outside (0, 1].
    """
    if labels is None:
        raise InputError(
            "labels: none given, but a label fraction needs them; use class sub-folders or an array of labels"
        )
    if not 0 < fraction <= 1:
        raise InputError(f"fraction: {fraction} is no share; give one above 0, up to 1, such as 0.1")
    groups = _groups(labels)
    if not groups:
        raise InputError("labels: empty; a label fraction needs at least one labelled image")
    kept = []
    for part, group in enumerate(groups):
        count = max(1, _rounded(fraction * len(group)))
        kept.append(generator(seed, "fraction", part).permutation(group)[:count])
    return np.sort(np.concatenate(kept))


def limited(n, limit, seed):
    """Sorted rows of a random subset of `limit` of n rows; all rows if limit is None or not below n."""
    if limit is None or limit >= n:
        return np.arange(n)
    return np.sort(generator(seed, "limit").permutation(n)[:limit])


def _groups(n_or_labels):
    """Row numbers by class; one group if only a number of rows is given."""
    if np.ndim(n_or_labels) == 0:
        return [np.arange(n_or_labels)] if n_or_labels else []
    labels = np.asarray(n_or_labels)
    if labels.ndim != 1:
        raise InputError(f"labels: shape {labels.shape} is not (n,); give one whole number for each image")
    return [np.flatnonzero(labels == value) for value in np.unique(labels)]


def _rounded(count):
    return int(count + 0.5)  # Half up; round() would take 2 of 2.5 and 4 of 3.5.
