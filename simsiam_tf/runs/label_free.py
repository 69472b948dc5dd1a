"""What can be said of a run's encoder without labels, on the images it was trained on."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from simsiam_tf.evaluation.features import Extractor, features_of_views, full_float32
from simsiam_tf.evaluation.forecast import shipped
from simsiam_tf.evaluation.label_free import label_free_figures
from simsiam_tf.methods.views import TEST_STREAM, Views
from simsiam_tf.runs.build import build_augmenter, build_backbone
from simsiam_tf.settings.schema import Config

ROWS = 25_600  # as many as RankMe's authors took (Garrido et al. 2023)
IMAGES, VIEWS = 100, 10  # LiDAR's classes and samples (Thilak et al. 2024)


class SampleViews:
    """The same 10 views of the same 100 images of a run whenever it is iterated over, each (images, h, w, 3).

    They are drawn anew each time: at 224 px all of them take 600 MB.

    Args:
        config: Of the run: its views, of the first kind, and its seed.
        images: ImageSet that was trained on; 100 evenly spaced ones are used, cut to their frames.
    """

    def __init__(self, config: Config, images):
        augmenter = build_augmenter(config)
        first = augmenter[0] if isinstance(augmenter, list) else augmenter
        self._views, self._seed = Views([first] * VIEWS), config.seed
        self._images = next(images.take(spaced(len(images), IMAGES)).batches(IMAGES))

    def __len__(self):
        return VIEWS

    def __iter__(self):
        views = self._views.one_by_one(tf.constant(self._images), self._seed, 0, TEST_STREAM)
        for _ in range(VIEWS):
            with full_float32():  # as in training; a GPU's TF32 would draw other pixels
                view = next(views).numpy()
            yield view


class LabelFree:
    """Figures of any encoder on the same images and views of a run.

    Args:
        config: Of the run: its views, of the first kind, which are cut from the frames here, and its seed.
        images: ImageSet that was trained on; at most 25,600 evenly spaced ones are used, for views 100 of them.
    """

    def __init__(self, config: Config, images):
        self.config, self.images = config, images
        self.rows, self.views = spaced(len(images), ROWS), SampleViews(config, images)

    def features(self, network):
        """What a network makes of its images, (n, d)."""
        return Extractor(network).of(self.images.take(self.rows), self.config.data.image_size)

    def figures(self, backbone, features) -> dict:
        """As `evaluation.label_free.label_free_figures` has them.

        Args:
            backbone: Keras model, pixels -> (n, d).
            features: What it makes of the images.
        """
        return label_free_figures(features, features_of_views(Extractor(backbone), self.views))


def judged_without_labels(config: Config, backbone, images, features=None, untrained_features=None) -> dict:
    """Figures of the trained backbone and of the one that it began as, and what `evaluation.forecast` makes of them.

    Args:
        features, untrained_features: (n, d) of all images, where they are known.

    Returns:
        {"label_free": {"encoder": figures, "untrained": figures}, "forecast"}.
    """
    found = LabelFree(config, images)

    def figures(network, known):
        return found.figures(network, found.features(network) if known is None else known[found.rows])

    both = {
        "encoder": figures(backbone, features),
        "untrained": figures(build_backbone(config), untrained_features),
    }
    return {"label_free": both, "forecast": forecast(config, both)}


def forecast(config: Config, both: dict) -> dict:
    """As `Model.forecast`; none where targets stand still: a student's spectra are its teacher's (docs/collapse.md).

    Args:
        both: {"encoder", "untrained": figures}.
    """
    if not config.method.can_collapse:
        return {"outside": f"{config.method.name} takes its features' spread from what it is taught"}
    return shipped().forecast(both)


def spaced(n, most):
    """At most so many rows of n, evenly spaced: files are often sorted by class."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).astype(int))
