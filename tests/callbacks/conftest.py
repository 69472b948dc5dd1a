import numpy as np
import pytest

from fitting import CLASSES


@pytest.fixture
def colours():
    """64 images of 12 px of four colours with noise; class = colour."""
    palette = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200], [200, 200, 40]])
    noise = np.random.default_rng(2).integers(-30, 31, (64, 12, 12, 3))
    return np.clip(palette[CLASSES][:, None, None] + noise, 0, 255).astype(np.uint8)
