"""Encoders side by side without labels: singular spectra of features and projections, and all figures of them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from simsiam_tf.atomic import replacing
from simsiam_tf.errors import InputError
from simsiam_tf.evaluation.collapse import collapse_figures, spectrum_auc
from simsiam_tf.evaluation.features import Extractor
from simsiam_tf.evaluation.label_free import label_free_figures
from simsiam_tf.evaluation.spectrum import Spectrum, explained
from simsiam_tf.interop.export import load_keras
from simsiam_tf.runs.build import build_backbone, load_images
from simsiam_tf.runs.folder import RunFolder
from simsiam_tf.runs.label_free import ROWS, LabelFree, forecast, spaced
from simsiam_tf.runs.labelled import learns_labels
from simsiam_tf.runs.trained import trained_method, untrained_method
from simsiam_tf.settings import files
from simsiam_tf.settings.data import DataSettings
from simsiam_tf.settings.schema import Config


@dataclass(frozen=True)
class Part:
    """One output of an encoder: its singular values (d,), centred, and its figures by name."""

    singular_values: np.ndarray
    figures: dict

    @property
    def as_json(self) -> dict:
        s = self.singular_values
        return self.figures | {"singular_values": s.tolist(), "explained": explained(s).tolist()}


@dataclass(frozen=True)
class Diagnosis:
    """Of one encoder.

    Args:
        name: As pictures and tables call it.
        images: How many were looked at.
        parts: "features"; of a run also "untrained", those of a fresh encoder of its seed, "projections", and
            "untrained projections", those of a fresh method.
        forecast: Of a run's linear probe, from its training images, like those of the fit; see `evaluation.forecast`.
        missing: Why there are no projections, if they were to be had.
    """

    name: str
    images: int
    parts: dict[str, Part] = field(default_factory=dict)
    forecast: dict | None = None
    missing: str | None = None


def of_run(folder: RunFolder, name: str, where: str) -> Diagnosis:
    """Look at a finished run.

    Args:
        where: "train" or "test" of its own images, an image folder, or an .npz or .npy file; at most 25,600 evenly
            spaced ones are used.

    Raises:
        InputError: its training is not complete, or there are no such images.
    """
    config, backbone = files.read(folder.config), folder.load_backbone()
    look, parts, missing = LabelFree(config, load_images(config, where)), {}, None
    for key, network in (("features", backbone), ("untrained", build_backbone(config))):
        outputs = look.features(network)
        parts[key] = Part(Spectrum(outputs).singular_values, look.figures(network, outputs))
    if learns_labels(config):
        return Diagnosis(name, len(look.rows), parts, missing="its head is a classifier, which learns from labels")
    try:
        method = trained_method(folder, backbone).method
        parts["projections"] = _projections(look, method)
        parts["untrained projections"] = _projections(look, untrained_method(folder))
    except InputError as error:
        missing = str(error)
    both = {"encoder": parts["features"].figures, "untrained": parts["untrained"].figures}
    return Diagnosis(name, len(look.rows), parts, forecast(config, both) if where == "train" else None, missing)


def _projections(look, method):
    z = look.features(lambda images, training: method.project(images))
    return Part(Spectrum(z).singular_values, {"spectrum_auc": spectrum_auc(z)} | collapse_figures(z))


def of_encoder(file: Path, name: str, where: str, side: int) -> Diagnosis:
    """Look at an exported encoder: without the views of a run, hence without the figures that need them.

    Args:
        file: .keras, pixels (n, h, w, 3) in [0, 255] -> (n, d).
        where: An image folder, or an .npz or .npy file.
        side: Of the frames that it sees, in pixels.

    Raises:
        InputError: it does not load, gives no vectors, or there are no such images.
    """
    backbone = load_keras(file)
    if len(backbone.output_shape) != 2:
        raise InputError(f"RUN_OR_ENCODER: {file} gives {backbone.output_shape}; give an encoder, (n, d)")
    wanted = backbone.input_shape[1:3]
    if any(length not in (None, side) for length in wanted):
        raise InputError(f"image_size: {side}, but {file} takes images of {wanted[0]}x{wanted[1]}; give its size")
    images = load_images(Config(data=DataSettings(image_size=side)), where)
    rows = spaced(len(images), ROWS)
    outputs = Extractor(backbone).of(images.take(rows), side)
    part = Part(Spectrum(outputs).singular_values, label_free_figures(outputs))
    return Diagnosis(name, len(rows), {"features": part})


def write(diagnoses: list[Diagnosis], path: Path) -> None:
    """All of it as JSON: a list with an entry for each encoder."""
    content = [
        {"name": each.name, "images": each.images}
        | {key: part.as_json for key, part in each.parts.items()}
        | ({"forecast": each.forecast} if each.forecast else {})
        for each in diagnoses
    ]
    with replacing(path) as partial:
        partial.write_text(json.dumps(content, indent=1) + "\n")
