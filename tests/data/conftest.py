"""Small image folders, made on the spot."""

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def photo_folder(tmp_path):
    """Makes a folder with image files at these relative paths; picture i is flat, its red is 10 * i."""

    def make(*paths, size=(12, 10)):
        root = tmp_path / "photos"
        root.mkdir(exist_ok=True)
        for index, path in enumerate(paths):
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", size, (10 * index, 100, 200)).save(file)
        return root

    return make


@pytest.fixture
def truncate():
    """Makes a noisy JPEG at a path that stops half way: its header is good, its pixels are not."""

    def make(path):
        noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path, "JPEG")
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return make
