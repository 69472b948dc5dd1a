"""What a script may give to `compile` and `fit`, looked at before the first step."""

import numpy as np
import tensorflow as tf

from simsiam_tf.errors import InputError

CHANNELS = "give (n, h, w, 3), gray ones three times over"


def check_compiled(model):
    """Refuse what a method would silently ignore.

    Raises:
        InputError: `compile` was given a loss or metrics.
    """
    for key, attribute in {"loss": "_compile_loss", "metrics": "_compile_metrics"}.items():
        if getattr(model, attribute, None) is not None:
            raise InputError(f"{key}: {type(model).__name__} has its own; give compile(optimizer=...) alone")


def check_images(x):
    """Look at the images that `fit` was given: an array, a dict that holds one, or a tf.data.Dataset of them.

    Raises:
        InputError: they are no images (n, h, w, 3), or floats of at most 1, which would be black.
    """
    if isinstance(x, tf.data.Dataset):
        spec = _images(x.element_spec[0] if isinstance(x.element_spec, tuple) else x.element_spec)
        _check_shape(spec.shape)
        if spec.dtype.is_floating:
            first = next(iter(x.take(1)))
            _check_range(_images(first[0] if isinstance(first, tuple) else first))
        return
    images = _images(x)
    if isinstance(images, np.ndarray | tf.Tensor):
        _check_shape(tf.TensorShape(images.shape))
        _check_range(images[:1000])


def check_labels(model, x, y, callbacks):
    """Refuse labels that the model, or a `LinearProbe` among the callbacks, has no class for.

    Args:
        x, y: As `fit` gets them; of a tf.data.Dataset the first batch is looked at.

    Raises:
        InputError: they are not from 0 to num_classes - 1, or the model learns from labels and there are none.
    """
    learned = "labels" in model.reads
    readers = [*(callbacks or ()), *([model] if learned else ())]
    counts = [getattr(reader, "num_classes", None) for reader in readers]
    classes = [count for count in counts if count is not None]
    labelled = y is not None
    if isinstance(x, tf.data.Dataset):
        labelled = isinstance(x.element_spec, tuple) and len(x.element_spec) > 1
        if classes and labelled:
            y = next(iter(x.take(1)), (None, None))[1]
    if learned and not labelled and isinstance(x, tf.data.Dataset | np.ndarray | tf.Tensor | dict):
        raise InputError(f"labels: none given, but {type(model).__name__} learns from them; give fit(images, labels)")
    if classes and isinstance(y, np.ndarray | tf.Tensor | list) and len(y):
        low, high = int(np.min(y)), int(np.max(y))
        if low < 0 or high >= min(classes):
            raise InputError(f"labels: {low} to {high}, for {min(classes)} classes; give 0 to {min(classes) - 1}")


def _images(x):
    return x["images"] if isinstance(x, dict) and "images" in x else x


def _check_shape(shape):
    if shape.rank is not None and (shape.rank != 4 or shape[-1] not in (None, 3)):
        raise InputError(f"images: their shape is {tuple(shape)}; {CHANNELS}")


def _check_range(images):
    if len(images) and tf.as_dtype(images.dtype).is_floating and (highest := float(np.max(images))) <= 1:
        raise InputError(f"images: floats up to {highest:g}, which are black; give pixels from 0 to 255")
