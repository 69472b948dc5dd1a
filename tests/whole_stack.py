"""An augmentation stack in which every layer has something to do, so that a new one joins the tests by itself."""

import inspect

from simsiam_tf.augment import Augmenter

# What is 0 by default is a probability or a strength that switches something on.
OFF = [name for name, each in inspect.signature(Augmenter).parameters.items() if each.default == 0]


def whole_stack(image_size):
    """The Augmenter with all that can be on at 0.4."""
    return Augmenter(image_size, min_area=0.3, max_area=0.9, **dict.fromkeys(OFF, 0.4))
