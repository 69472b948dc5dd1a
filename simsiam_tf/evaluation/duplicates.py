"""Which pictures are nearly the same: pairs of similar features whose small gray versions correlate, and their groups.

Features alone do not tell: an encoder trained on few pictures gives a picture and its brighter copy a smaller cosine
than two pictures of a kind. They propose pairs, which is what they are good at, and the correlation decides.
"""

from itertools import product
from statistics import NormalDist

import numpy as np
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

SMALL, CELLS = 32, 16  # side of the small gray versions, and of what is correlated of them
CUT = 0.05  # share of the side by which one of a pair may be cropped
FLAT = 1.0  # grays; a picture that varies by less has no pattern
PAIRS = 2048  # compared at once
MISSED, CHANCE = 0.025, 1e-4  # shares of copies that a level may miss, and of unrelated pairs that may reach it
USUAL = 0.95  # share of different pictures' pairs that surely are unrelated, however many copies there are


def small_gray(frames) -> np.ndarray:
    """Pictures uint8 (n, h, w, 3) as gray uint8 (n, 32, 32)."""
    small = np.empty((len(frames), SMALL, SMALL), np.uint8)
    for target, pixels in zip(small, frames, strict=True):
        target[:] = Image.fromarray(pixels).convert("L").resize((SMALL, SMALL), Image.Resampling.BOX)
    return small


def correlation(first, second) -> np.ndarray:
    """Largest correlation of the pixels of two pictures over mirroring either and cropping either by 5 %.

    Two pictures without any pattern correlate fully, one of them not at all.

    Args:
        first, second: `small_gray` of n pairs (n, 32, 32).

    Returns:
        float32 (n,), from -1 to 1.
    """
    return np.concatenate(
        [np.zeros(0, np.float32)]
        + [_correlation(first[i : i + PAIRS], second[i : i + PAIRS]) for i in range(0, len(first), PAIRS)]
    )


def _correlation(first, second):
    a, b = _parts(first), _parts(second)
    mirrored = np.flip(b, axis=3)  # crops lie symmetrically: those of the mirrored picture, in another order
    pairs = (a, b), (a, mirrored), (b, a), (mirrored, a)
    return np.max(
        [_vectors(crops) @ _vectors(whole[:, :1]).transpose(0, 2, 1) for whole, crops in pairs], axis=(0, 2, 3)
    )


def _parts(small):
    """The whole of each picture, then nine crops of it, of mean 0 and length 1: (n, 10, 16, 16)."""
    rows = ROWS @ small.astype(np.float32)[:, None]  # (n, 4, 16, 32)
    cells = np.stack([rows[:, i] @ COLUMNS[j] for i, j in PARTS], axis=1)
    centred = cells - cells.mean(axis=(2, 3), keepdims=True)
    length = np.linalg.norm(centred, axis=(2, 3), keepdims=True)
    return np.where(length < FLAT * CELLS, np.float32(1 / CELLS), centred / np.maximum(length, 1e-6))


def _vectors(parts):
    return parts.reshape(*parts.shape[:2], CELLS**2)


def _averages(begin, end):
    """Matrix (16, 32) of the means of 16 equal parts of [begin, end], as shares of 32 pixels."""
    edges = SMALL * (begin + (end - begin) * np.arange(CELLS + 1) / CELLS)
    pixels = np.arange(SMALL)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    weights = np.maximum(overlap, 0)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


ROWS = np.stack([_averages(0, 1), *(_averages(start, start + 1 - CUT) for start in (0, CUT / 2, CUT))])
COLUMNS = ROWS.transpose(0, 2, 1)  # (4, 32, 16)
PARTS = [(0, 0), *product((1, 2, 3), repeat=2)]


def level(copies, others=()) -> float:
    """From which similarity two pictures count as copies of one.

    So low that of each kind of copies at most 2.5 % are missed, but not so low that more than one in ten thousand
    unrelated pairs reach it. Two measures that each miss 2.5 % find 95 % together.

    Args:
        copies: {kind: similarities of pictures to a copy of that kind}.
        others: similarities of pairs of pictures, some of which may be copies of each other. Hence nothing is read from
            their largest: Fisher's transform of a correlation is nearly normal, and its tail follows from the rest.
    """
    wanted = min(float(np.quantile(each, MISSED)) for each in copies.values())
    if not len(others):
        return wanted
    middle, usual = np.quantile(np.arctanh(np.clip(others, -0.999999, 0.999999)), [0.5, USUAL])
    deviation = (usual - middle) / NormalDist().inv_cdf(USUAL)
    return max(wanted, float(np.tanh(middle + deviation * NormalDist().inv_cdf(1 - CHANCE))))


def groups(n, pairs) -> np.ndarray:
    """Connected components of pairs: int64 (n,), numbered from 0, the largest first; -1: none.

    Args:
        n: pictures.
        pairs: int (m, 2).
    """
    pairs = np.asarray(pairs, np.int64).reshape(-1, 2)
    links = coo_array((np.ones(len(pairs), np.int8), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    _, component = connected_components(links, directed=False)
    _, first, size = np.unique(component, return_index=True, return_counts=True)
    number = np.full(len(size), -1)
    order = np.lexsort((first, -size))
    order = order[size[order] > 1]
    number[order] = np.arange(len(order))
    return number[component]
