"""Features of images, in inference mode, and the checks that every evaluator makes of the arrays it gets."""

import errno
import math
import os
import tempfile
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import tensorflow as tf

from simsiam_tf.errors import InputError

IN_MEMORY = 4 * 2**30  # bytes of features that are kept in memory
CHECKED = 65_536  # rows at a time that are looked at for NaN


class Extractor:
    """Runs one model over batches of images; make it once and call it as often as needed.

    The compiled function lives in this object, so that a monitor which extracts every epoch traces once per
    batch size, and is freed with it.

    Args:
        model: callable Keras model, (n, h, w, 3) pixels -> (n, d).
        dtype: of the result.
    """

    def __init__(self, model, dtype="float32"):
        self._forward = tf.function(lambda images: tf.cast(model(images, training=False), dtype))

    def __call__(self, batches, n=None):
        """Features (n, d) of all images in `batches`: an iterable of arrays (b, h, w, 3) of one size b, of
        which only the last may be shorter. It is padded to b, since a new shape would be a new trace (and a
        new compilation).

        Args:
            n: Of all images, if it is known: features that need more than IN_MEMORY bytes are then kept in a temporary
                file, which is deleted with them.

        Raises InputError if there are no images, or if a batch is larger than the first.
        """
        features, done = [], 0
        for found in self._in_order(batches):
            if n is None:
                features.append(found)
                continue
            if not done:
                features = array(n, *found.shape[1:], dtype=found.dtype)
            features[done : done + len(found)] = found
            done += len(found)
        return np.concatenate(features) if n is None else features[:done]

    def _in_order(self, batches):
        """Features of each batch; two are computed at a time: a core each, or a GPU does while results are copied."""
        size, waiting = 0, deque()
        with ThreadPoolExecutor(2) as pool:
            for batch in batches:
                images, traced = np.asarray(batch), size
                size = size or len(images)
                if len(images) > size:
                    raise InputError(
                        f"batches: they grow from {size} to {len(images)} images; give one size, only the last shorter"
                    )
                if not traced:  # by this thread, which the model was made in
                    yield self._features(images, size)
                    continue
                waiting.append(pool.submit(self._features, images, size))
                if len(waiting) > 2:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        if not size:
            raise InputError("batches: no images in them; give at least one")

    def _features(self, images, size):
        padding = np.zeros((size - len(images), *images.shape[1:]), images.dtype)
        padded = np.concatenate([images, padding]) if len(padding) else images
        return self._forward(tf.constant(padded)).numpy()[: len(images)]

    def of(self, images, side=None, look=lambda batch: None):
        """Features (n, d) of an ImageSet, in a temporary file if they are many.

        Args:
            side: Of the centre crop that the model sees; default: the whole frames.
            look: Called with each batch.
        """

        def batches():
            for batch in images.batches(forward_batch(side or images.frame), crop=side):
                look(batch)
                yield batch

        return self(batches(), len(images))


def features_of_views(extractor, views):
    """Features (images, views, d) of an iterable of views, each (images, h, w, 3), in one batch each."""
    return np.stack([extractor([view]) for view in views], axis=1)


def array(*shape, dtype="float32"):
    """An empty array, in a temporary file where it is above IN_MEMORY bytes.

    Raises:
        InputError: the disk has no room for the file.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size <= IN_MEMORY:
        return np.empty(shape, dtype)
    with tempfile.TemporaryFile(prefix="simsiam_tf_features_") as file:  # the map outlives the handle
        _reserve(file, size)
        return np.memmap(file, dtype, "w+", shape=shape)


def _reserve(file, size):
    """Take the room on the disk at once, where the platform can: a map that finds none later ends the process."""
    try:
        getattr(os, "posix_fallocate", lambda *given: None)(file.fileno(), 0, size)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.EINVAL):  # by this file system
            return
        raise InputError(
            f"TMPDIR: {tempfile.gettempdir()} has no room for {size / 2**30:.1f} GiB of features ({error.strerror}); "
            "give a folder on a disk that has"
        ) from error


def extract(model, batches, dtype="float32"):
    """Features (n, d) of all images in `batches`, once; see `Extractor`, which does it repeatedly for one trace."""
    return Extractor(model, dtype)(batches)


def forward_batch(side):
    """Images of that side to pass forward at once: 256 up to 64 px, above that as many as have as many pixels."""
    return max(8, min(256, 256 * 64**2 // side**2))


def in_batches(images, batch_size=256):
    """Consecutive slices of an array of images (n, h, w, 3); the last may be shorter."""
    for start in range(0, len(images), batch_size):
        yield images[start : start + batch_size]


def raw_pixels(images):
    """The baseline that any encoder has to beat: uint8 (n, h, w, c) -> float32 (n, h * w * c) in [0, 1]."""
    images = np.asarray(images)
    return np.divide(images.reshape(len(images), -1), 255.0, dtype=np.float32)


@contextmanager
def full_float32():
    """Multiply float32 matrices in float32 while this context lasts (or the function that it decorates).

    TensorFlow's default on recent GPUs is TF32: factors of 10 bits. Features of networks that are untrained, or near
    collapse, have cosines that differ by less; 2 % of kNN predictions on an untrained ResNet-18 would change.
    """
    tf32 = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(tf32)


def as_features(name, features):
    """`features` as finite float32 (n, d), or InputError that calls it `name`."""
    features = np.asarray(features, dtype=np.float32)
    if features.ndim != 2 or 0 in features.shape:
        raise InputError(f"{name}: shape {features.shape} is not that of features; give (n, d), n and d at least 1")
    if not all(np.isfinite(rows).all() for rows in in_batches(features, CHECKED)):
        raise InputError(f"{name}: NaN or infinity among them; give features of an encoder that has not diverged")
    return features


def as_feature_pair(train_features, test_features):
    """Both as finite float32 (n, d) of the same d, or InputError."""
    train, test = as_features("train_features", train_features), as_features("test_features", test_features)
    if train.shape[1] != test.shape[1]:
        raise InputError(
            f"test_features: d = {test.shape[1]}, but {train.shape[1]} in train_features; give those of one encoder"
        )
    return train, test


def as_labels(name, labels, n):
    """`labels` as int64 (n,), or InputError that calls it `name`."""
    labels = np.asarray(labels)
    if labels.shape != (n,):
        raise InputError(f"{name}: shape {labels.shape} does not fit {n} features; give one label for each")
    if not np.issubdtype(labels.dtype, np.integer):
        raise InputError(f"{name}: {labels.dtype} are no class numbers; give whole numbers from 0")
    if labels.min(initial=0) < 0:
        raise InputError(f"{name}: {labels.min()} is no class number; give whole numbers from 0")
    return labels.astype(np.int64)


def as_num_classes(num_classes, labels):
    """`num_classes`, by default what the training labels need; InputError if that is more than given."""
    needed = int(labels.max()) + 1
    if num_classes is not None and num_classes < needed:
        raise InputError(
            f"num_classes: {num_classes}, but the training labels go up to {needed - 1}; give {needed} or more"
        )
    return num_classes or needed
