"""Image folders of tests, and how to tell their pictures apart."""

import numpy as np

from simsiam_tf import data


def load(path, image_size=8, **arguments):
    return data.load("folder", path=str(path), image_size=image_size, **arguments)


def reds(image_set):
    return np.concatenate(list(image_set.batches(4)))[:, 0, 0, 0].tolist()
