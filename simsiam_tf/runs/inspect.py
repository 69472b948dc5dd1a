"""What lies in a folder of pictures: near-duplicates, lonely ones, unreadable ones, and their sizes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from simsiam_tf.data.decode import UnreadableImage, read_images, shown_size
from simsiam_tf.data.files import threads
from simsiam_tf.data.renderings import to_frame
from simsiam_tf.data.variants import copies
from simsiam_tf.errors import InputError
from simsiam_tf.evaluation.duplicates import correlation, groups, level, small_gray
from simsiam_tf.evaluation.features import Extractor, forward_batch
from simsiam_tf.evaluation.neighbors import check_index, nearest_others
from simsiam_tf.runs.embed import distinct
from simsiam_tf.runs.label_free import spaced

NEIGHBORS = 20  # of each picture, that may be its duplicates
SAMPLE, PAIRS = 200, 4000  # pictures of which copies are made, and pairs of different ones
COPIED = 512  # px, the shorter side at which a JPEG is decoded to be copied, at least


@dataclass(frozen=True)
class Findings:
    """What is known of n pictures.

    Args:
        root: The folder that the ids begin in.
        ids: str (n,).
        sizes: int64 (n, 3): width and height as shown, bytes of the file; 0 where it has gone since.
        nearest: int64 (n,), row of the nearest other picture.
        cosine: float32 (n,), between the two.
        group: int64 (n,), number of the group of near-duplicates, or -1.
        unreadable: {id: reason}.
        levels: What counts as a pair: its least cosine, and unless that was given its least correlation.
    """

    root: Path
    ids: np.ndarray
    sizes: np.ndarray
    nearest: np.ndarray
    cosine: np.ndarray
    group: np.ndarray
    unreadable: dict[str, str] = field(default_factory=dict)
    levels: dict[str, float] = field(default_factory=dict)

    def __len__(self):
        return len(self.ids)

    def members(self) -> list[np.ndarray]:
        """Rows of each group, in the order of their numbers."""
        rows = np.argsort(self.group, kind="stable")
        ends = np.cumsum(np.bincount(self.group + 1))  # of those in no group, then of each group
        return np.split(rows, ends[:-1])[1:]


def inspect(backbone, images, root: Path, threshold: float | None = None) -> Findings:
    """Look at every picture of an ImageSet of files.

    Features are those of a picture and of its mirror image, added: both ways round are the same picture.

    Args:
        backbone: Keras model, pixels -> (n, d).
        images: ImageSet of the files below `root`.
        threshold: Cosine from which two pictures are a pair; default: copies of some of the pictures decide on a cosine
            and on a correlation of small gray versions, both of which a pair reaches.

    Raises:
        InputError: fewer than two pictures, or very many and no index library.
    """
    check_index(len(images))
    before, unreadable = images.ids.copy(), dict(images.skipped)
    extract = Extractor(lambda x, training: backbone(x, training=training) + backbone(x[:, :, ::-1], training=training))
    small = []
    rows, features = distinct(images, extract.of(images, look=lambda batch: small.append(small_gray(batch))))
    unreadable |= {str(name): "cannot be decoded" for name in np.setdiff1d(before, images.ids)}
    if len(rows) < 2:
        raise InputError(f"data: {root} has only one picture that can be read; give two or more to compare")
    small, ids = np.concatenate(small)[rows], images.ids[rows]
    index, cosine = nearest_others(features, NEIGHBORS)
    if threshold is None:
        levels = calibrated(extract, images.frame, [root / str(ids[row]) for row in spaced(len(ids), SAMPLE)])
    else:
        levels = {"cosine": threshold}
    return Findings(
        root=root,
        ids=ids,
        sizes=np.array(list(threads().map(lambda name: _file_size(root / name), ids.tolist())), np.int64),
        nearest=index[:, 0],
        cosine=cosine[:, 0],
        group=groups(len(ids), pairs(index, cosine, small, levels)),
        unreadable=unreadable,
        levels=levels,
    )


def pairs(index, cosine, small, levels) -> np.ndarray:
    """Near-duplicates int64 (m, 2), the lower row first, among the neighbours (n, k) of each row."""
    row, rank = np.nonzero(cosine >= levels["cosine"])
    found = np.unique(np.sort(np.stack([row, index[row, rank]], axis=1), axis=1), axis=0)
    if "correlation" in levels:
        found = found[correlation(small[found[:, 0]], small[found[:, 1]]) >= levels["correlation"]]
    return found


def calibrated(extract: Callable, side: int, files: list[Path]) -> dict[str, float]:
    """The cosine and the correlation from which two of these files would be copies, by copies made of them."""
    frames = [each for each in threads().map(lambda file: _copied(file, side), files) if each is not None]
    kinds = list(frames[0])
    stacked = np.stack([each[kind] for kind in kinds for each in frames])  # kinds x n, the original first
    features, small = _passed(extract, stacked)
    features /= np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    n = len(frames)
    of, small_of = ({kind: each[i * n : (i + 1) * n] for i, kind in enumerate(kinds)} for each in (features, small))
    original, small_original = of.pop(""), small_of.pop("")
    first, second = np.triu_indices(n, 1)
    some = spaced(len(first), PAIRS)
    # The encoder may find many pictures alike, that is why it does not decide alone.
    return {
        "cosine": level({kind: np.sum(original * each, axis=1) for kind, each in of.items()}),
        "correlation": level(
            {kind: correlation(small_original, each) for kind, each in small_of.items()},
            correlation(small_original[first[some]], small_original[second[some]]),
        ),
    }


def _copied(file, side):
    """{kind: frame} of a file and of copies of it; the file itself has no kind. None where it cannot be read."""
    try:
        (image,) = read_images(file, lambda size: (COPIED, COPIED))
    except UnreadableImage:
        return None
    return {kind: np.asarray(to_frame(each, side)) for kind, each in ({"": image} | copies(image)).items()}


def _passed(extract, frames):
    size = forward_batch(frames.shape[1])
    return extract(frames[i : i + size] for i in range(0, len(frames), size)), small_gray(frames)


def _file_size(path):
    try:
        return *shown_size(path), path.stat().st_size
    except (UnreadableImage, OSError):
        return 0, 0, 0
