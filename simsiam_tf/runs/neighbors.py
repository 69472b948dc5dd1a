"""The pictures of a set that are nearest to given ones, as a picture and as JSON."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from simsiam_tf.atomic import replacing
from simsiam_tf.data.decode import UnreadableImage
from simsiam_tf.data.files import read_frame, shown
from simsiam_tf.data.renderings import Form
from simsiam_tf.errors import InputError
from simsiam_tf.evaluation.features import Extractor, forward_batch, in_batches
from simsiam_tf.evaluation.neighbors import nearest
from simsiam_tf.runs.embed import distinct
from simsiam_tf.settings.schema import Config

CELL, CAPTION, NAME = 1.2, 0.42, 17  # inches of a picture and of what stands below it, letters of a name
DRAWN = 20  # neighbours of each query at most: laying out hundreds of cells takes minutes


@dataclass(frozen=True)
class Found:
    """One query and its k neighbours, nearest first.

    Args:
        query: Its file.
        frame: uint8 (h, w, 3), what the encoder sees of it.
        ids: str (k,).
        cosine: float32 (k,).
        frames: uint8 (min(k, DRAWN), h, w, 3).
        labels: int64 (k,), or None.
        class_names: All names that labels are places in, or None.
    """

    query: Path
    frame: np.ndarray
    ids: np.ndarray
    cosine: np.ndarray
    frames: np.ndarray
    labels: np.ndarray | None = None
    class_names: tuple[str, ...] | None = None

    def captions(self) -> list[str]:
        """Of each neighbour its class, or else its id."""
        if self.labels is None:
            return [shown(name) for name in self.ids]
        if self.class_names is None:
            return [f"class {label}" for label in self.labels]
        return [shown(self.class_names[label]) for label in self.labels]

    def record(self) -> dict:
        """For JSON."""
        neighbors = [
            {"id": name, "cosine": cosine} for name, cosine in zip(self.ids.tolist(), self.cosine.tolist(), strict=True)
        ]
        if self.labels is not None:
            for neighbor, label in zip(neighbors, self.labels.tolist(), strict=True):
                neighbor["label"] = label
                if self.class_names is not None:
                    neighbor["class_name"] = self.class_names[label]
        return {"query": str(self.query), "neighbors": neighbors}


def query_frames(config: Config, paths: list[Path]) -> np.ndarray:
    """The frames uint8 (n, h, w, 3) of picture files, as the run's data have them.

    Raises:
        InputError: one of them cannot be decoded.
    """
    form, frames = Form(config.data.image_size, config.data.store_size), []
    for path in paths:
        try:
            frames.append(read_frame(path, form))
        except UnreadableImage as error:
            raise InputError(f"query: {shown(path)} cannot be decoded ({error}); give an intact picture") from error
    return np.stack(frames)


def look_up(backbone, images, queries: list[Path], frames: np.ndarray, k: int) -> list[Found]:
    """The k nearest of an ImageSet to each query, by the cosine of features.

    Args:
        backbone: Keras model, pixels -> (n, d).
        frames: Of the queries.
    """
    extract = Extractor(backbone)
    rows, features = distinct(images, extract.of(images))
    index, cosine = nearest(features, extract(in_batches(frames, forward_batch(images.frame))), k)
    labels, names = images.labels, images.class_names
    return [
        Found(
            query=query,
            frame=frame,
            ids=images.ids[near],
            cosine=each,
            frames=images.frames(near[:DRAWN]),
            labels=None if labels is None else labels[near],
            class_names=names,
        )
        for query, frame, near, each in zip(queries, frames, rows[index], cosine, strict=True)
    ]


def write(found: list[Found], path: Path) -> None:
    """A JSON list with an object per query: its file, and id, cosine and, where known, label and class of each."""
    with replacing(path) as partial:
        partial.write_text(json.dumps([each.record() for each in found], indent=2) + "\n")


def draw(found: list[Found], path: Path) -> None:
    """A PNG with a row per query: it, then its first 20 neighbours, with rank, cosine and class or name below each."""
    columns, rows = 1 + len(found[0].frames), len(found)
    figure = Figure(figsize=(CELL * columns, (CELL + CAPTION) * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for row, each in zip(axes, found, strict=True):
        _cell(row[0], each.frame, f"query\n{_short(shown(each.query.name))}")
        cells = zip(row[1:], each.frames, each.cosine, each.captions(), strict=False)
        for rank, (axis, frame, cosine, caption) in enumerate(cells, 1):
            _cell(axis, frame, f"{rank}: {cosine:.3f}\n{_short(caption)}")
        row[0].spines[:].set(visible=True, linewidth=2)
    with replacing(path) as partial, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph", UserWarning)  # a name in letters that the font lacks
        figure.savefig(partial, dpi=120)


def _cell(axis, frame, text):
    axis.imshow(frame, interpolation="nearest")
    axis.set(xticks=[], yticks=[])
    axis.set_xlabel(text, fontsize=7, labelpad=2, parse_math=False)
    axis.spines[:].set_visible(False)


def _short(text):
    """The end of a path tells more than its beginning."""
    return text if len(text) <= NAME else f"…{text[1 - NAME :]}"
