"""Features of a fixed set of images as the encoder now sees them, computed once per training step at most.

A model is traced once for all who watch it.
"""

import numpy as np

from simsiam_tf.errors import InputError
from simsiam_tf.evaluation.features import Extractor, features_of_views, forward_batch, in_batches


class MonitorImages:
    """Images that several callbacks look at, so that their features are computed once for all of them.

    Args:
        images: uint8 array (n, h, w, 3), or an ImageSet.
        labels: Integers (n,); default: the ImageSet's own. None where there are none.
        batch_size: Images per forward pass; default: `evaluation.features.forward_batch`.
        crop: Side of the centre crop that the encoder sees, for an ImageSet kept at a larger size.
    """

    def __init__(self, images, labels=None, batch_size=None, crop=None):
        self.images = images
        self.labels = getattr(images, "labels", None) if labels is None else np.asarray(labels)
        self.batch_size = batch_size or forward_batch(crop or getattr(images, "side", None) or images.shape[1])
        self.crop = crop
        self._model = self._features = None
        self._step = -1
        if self.labels is not None and len(self.labels) != len(images):
            raise InputError(f"labels: {len(self.labels)} for {len(images)} images; give one per image")

    def __len__(self):
        return len(self.images)

    def batches(self):
        """Arrays (batch_size, h, w, 3), the last one shorter."""
        if hasattr(self.images, "batches"):
            return self.images.batches(self.batch_size, crop=self.crop)
        return in_batches(self.images, self.batch_size)

    def sample(self, count):
        """Evenly spaced images of these, at most `count`: files and arrays are often sorted by class."""
        if count >= len(self):
            return self
        rows = np.linspace(0, len(self) - 1, count).astype(int)
        images = self.images.take(rows) if hasattr(self.images, "batches") else self.images[rows]
        labels = None if self.labels is None else self.labels[rows]
        return MonitorImages(images, labels, self.batch_size, self.crop)

    def features(self, model):
        """Features (n, d) of `model` at its present step."""
        step = int(model.step.numpy())
        if model is not self._model or step != self._step:
            self._features = _extractor(model, "features", model)(self.batches(), len(self))
            self._model, self._step = model, step
        return self._features


def view_features(model, views):
    """Features (images, views, d) of `model` of views (images, h, w, 3), as `MonitorImages.features` makes them."""
    return features_of_views(_extractor(model, "features", model), views)


def _extractor(model, kind, forward):
    """The one Extractor of a kind that a model has."""
    kept = vars(model).setdefault("_extractors", {})
    if kind not in kept:
        kept[kind] = Extractor(forward)
    return kept[kind]


def projections_of(model, callback):
    """Makes projections (n, d) of batches of images, in inference mode.

    Raises:
        InputError: the model has none; it names the callback that wants them.
    """
    if not hasattr(model, "project"):
        raise InputError(
            f"{type(callback).__name__}: {type(model).__name__} has no project(images); give it to a method such as "
            "SimSiam"
        )
    return _extractor(model, "projections", lambda images, training: model.project(images))


def as_monitor_images(value, name):
    """`value` itself if it is MonitorImages, else MonitorImages of the pair (images, labels).

    Raises:
        InputError: `value` is neither, or has no labels.
    """
    if not isinstance(value, MonitorImages):
        if not isinstance(value, tuple | list) or len(value) != 2:
            raise InputError(f"{name}: got {type(value).__name__}; give a pair (images, labels)")
        value = MonitorImages(*value)
    if value.labels is None:
        raise InputError(f"{name}: it has no labels, and this monitor needs them; leave the monitor out")
    return value
