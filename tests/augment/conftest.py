"""Images for the tests of the augmentations: smooth ones made here, and photographs if present."""

import numpy as np
import pytest
from PIL import Image


def smooth_image(height, width, seed):
    """Natural-like: a coarse random field of full range, blown up, and a little grain. (h, w, 3) uint8."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (5, 5, 3), np.uint8))
    grain = rng.normal(0, 4, (height, width, 3))
    return np.clip(np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)) + grain, 0, 255).astype(
        np.uint8
    )


@pytest.fixture
def batch():
    """A function (size, n) -> uint8 (n, size, size, 3)."""
    return lambda size, n=8: np.stack([smooth_image(size, size, seed) for seed in range(n)])


@pytest.fixture
def photos(shared_data):
    """Ten photographs of mixed sizes, uint8 (h, w, 3)."""
    files = sorted((shared_data / "photos").glob("*/*.jpg"))[::30]
    return [np.asarray(Image.open(file).convert("RGB")) for file in files]


@pytest.fixture
def close_to_pillow():
    """Assert agreement with Pillow's images: no pixel by more than 2 levels, half a level on average."""

    def check(ours, pillows):
        difference = np.abs(np.asarray(ours) - np.stack([np.asarray(image, np.float32) for image in pillows]))
        assert difference.max() <= 2
        assert difference.mean() < 0.5

    return check
