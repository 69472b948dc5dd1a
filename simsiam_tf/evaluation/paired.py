"""Two classifiers on the same test images."""

import numpy as np

from simsiam_tf.errors import InputError


def paired_difference(right, other, z=1.959964) -> dict[str, float]:
    """How much more of the same images the first classifies right than the other.

    Args:
        right, other: bool (n,), whether each image was classified right.
        z: Half-width of the interval in standard errors of the paired difference; default: 95 %.

    Returns:
        {"difference", "low", "high"} in [-1, 1], by the normal approximation (McNemar's setting).

    Raises:
        InputError: not the same number of images.
    """
    right, other = np.asarray(right, float), np.asarray(other, float)
    if right.shape != other.shape or right.ndim != 1 or not len(right):
        raise InputError(f"right: {right.shape} and {other.shape} are not of the same images; give (n,) for both")
    differences = right - other
    mean, error = float(differences.mean()), float(differences.std() / np.sqrt(len(differences)))
    return {"difference": mean, "low": max(-1.0, mean - z * error), "high": min(1.0, mean + z * error)}
