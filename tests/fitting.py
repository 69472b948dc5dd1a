"""Fits of callbacks' tests, on 64 images of four classes."""

import numpy as np

CLASSES = np.arange(64) % 4


def run(model, images, callbacks, labels=None, epochs=2):
    return model.fit(images, labels, 16, epochs, 0, callbacks, shuffle=False).history
