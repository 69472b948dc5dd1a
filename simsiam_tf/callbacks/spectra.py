"""Keeps the singular spectra of features and projections while training."""

import zipfile

import keras
import numpy as np

from simsiam_tf.atomic import replacing
from simsiam_tf.callbacks.features import MonitorImages, projections_of, view_features
from simsiam_tf.errors import InputError
from simsiam_tf.evaluation.collapse import effective_rank, spectrum_auc
from simsiam_tf.evaluation.label_free import label_free_figures
from simsiam_tf.evaluation.spectrum import Spectrum

SAMPLE = 4096
KINDS = ("features", "projections")
NAMES = {"spectrum_auc": "auc", "effective_rank": "rank"}  # of label-free figures, in the logs


class SpectrumMonitor(keras.callbacks.Callback):
    """Adds "features_auc", "features_rank", "projections_auc" and "projections_rank" to the logs.

    They are those of un-augmented images in inference mode (Li, Efros & Pathak 2022, eq. 2; Roy & Vetterli 2007). So
    are the other label-free figures of the features, such as "features_nesum"; those that compare views of an image,
    "features_alignment" and "features_lidar", need the views. With method.weight_average the features are those of the
    average, the projections those of what is trained.

    Args:
        images: uint8 array (n, h, w, 3) or MonitorImages; 4,096 of them, evenly spaced, are used, which bounds the
            number of singular values that are not zero.
        every: Epochs between two looks; the network is looked at before it is trained, too, and at the end of the run,
            unless training ends before it. Logs begin with the first epoch; what the untrained network has stands in
            `looks` and their file.
        path: .npz file that keeps all looks, or None: "steps" (looks,), "features" and "projections" (looks, d), the
            singular values of the centred outputs, descending, and each figure by its name (looks,), NaN where it is
            not known.
        views: At least two views of the same images, each (images, h, w, 3) pixels: a list of arrays, or what draws
            them anew each time that it is iterated over. LiDAR's authors take 10 of 100 images. None: neither figure.

    Attributes:
        looks: Of each look its "step", its singular values, as the file has them, and its "figures" {name: value}.

    Raises:
        InputError: the model has no projections, or there is a single view.
    """

    def __init__(self, images, every=1, path=None, views=None):
        super().__init__()
        if every < 1:
            raise InputError(f"every: {every}; give 1 epoch or more")
        if views is not None and len(views) < 2:
            raise InputError(f"views: {len(views)} of them; give 2 or more views of the same images")
        self.images = (images if isinstance(images, MonitorImages) else MonitorImages(images)).sample(SAMPLE)
        self.every, self.path, self.views, self.looks = every, path, views, []
        self._project = None

    def set_model(self, model):
        super().set_model(model)
        self._project = projections_of(model, self)

    def on_train_begin(self, logs=None):
        """Take up the looks of an earlier part of the run, but for those that its checkpoint does not know of."""
        if self.path and not self.looks and self.path.is_file():
            self.looks = [look for look in read_looks(self.path) if look["step"] <= int(self.model.step.numpy())]
        if not self.looks and not int(self.model.step.numpy()):
            self.look(0)

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every == 0 or epoch + 1 == self.params["epochs"]:
            logs.update(self.look(int(self.model.step.numpy())))

    def look(self, step):
        """Keep the spectra at this step; returns their figures for the logs, none where an output is not finite."""
        features, z = self.images.features(self.model), self._project(self.images.batches())
        if not (np.isfinite(features).all() and np.isfinite(z).all()):
            return {}
        found = {"features": Spectrum(features), "projections": Spectrum(z)}
        values = {kind: spectrum.singular_values for kind, spectrum in found.items()}
        figures = self._figures(features, found["projections"])
        self.looks = [earlier for earlier in self.looks if earlier["step"] < step]
        self.looks.append({"step": step, **values, "figures": figures})
        if self.path:
            self._write()
        return figures

    def _figures(self, features, z):
        """Of features (n, d) and the projections' spectrum."""
        views = None if self.views is None else view_features(self.model, self.views)
        if views is not None and not np.isfinite(views).all():
            views = None
        known = label_free_figures(features, views)
        figures = {f"features_{NAMES.get(name, name)}": value for name, value in known.items() if name != "images"}
        return figures | {"projections_auc": spectrum_auc(z), "projections_rank": effective_rank(z)}

    def _write(self):
        arrays = {kind: np.stack([look[kind] for look in self.looks]) for kind in KINDS}
        for name in dict.fromkeys(name for look in self.looks for name in look["figures"]):
            arrays[name] = np.array([look["figures"].get(name, np.nan) for look in self.looks])
        with replacing(self.path) as partial:
            np.savez(partial, steps=[look["step"] for look in self.looks], **arrays)


def read_looks(path):
    """What a SpectrumMonitor has written, as its `looks`.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            columns = {name: file[name] for name in file.files}
        steps, spectra = columns.pop("steps"), {kind: columns.pop(kind) for kind in KINDS}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: no spectra can be read from it; remove it, and the looks begin anew") from error
    looks = []
    for i, step in enumerate(steps):
        figures = {name: float(column[i]) for name, column in columns.items() if not np.isnan(column[i])}
        looks.append({"step": int(step)} | {kind: each[i] for kind, each in spectra.items()} | {"figures": figures})
    return looks
