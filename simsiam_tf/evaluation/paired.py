"""Two classifiers on the same test images."""

import numpy as np

from simsiam_tf.errors import InputError


def paired_difference(right, other, z=1.959964) -> dict[str, float]:
    """How much more of the same images the first classifies right than the other.

    Args:
        right, other: bool (n,), whether each image was classified right.
        z: Half-width of the interval in standard errors of the paired difference; default: 95 %.

    Returns:
        {"difference", "low", "high"} in [-1, 1]; the interval is Agresti & Min's (2005), Wald's after half an image is
        added to each of the four cells of the table, since with few images Wald's own is far too narrow.

    Raises:
        InputError: not the same number of images.
    """
    right, other = np.asarray(right, float), np.asarray(other, float)
    if right.shape != other.shape or right.ndim != 1 or not len(right):
        raise InputError(f"right: {right.shape} and {other.shape} are not of the same images; give (n,) for both")
    first, second, n = np.sum(right > other) + 0.5, np.sum(right < other) + 0.5, len(right) + 2
    centre = (first - second) / n
    error = np.sqrt(first + second - (first - second) ** 2 / n) / n
    low, high = (float(np.clip(centre + sign * z * error, -1, 1)) for sign in (-1, 1))
    return {"difference": float(np.mean(right - other)), "low": low, "high": high}
