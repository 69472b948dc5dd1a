"""What only a run's encoder and images can show: neighbours, a map, a confusion matrix, a spectrum, views."""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.manifold import TSNE

from simsiam_tf.data.decode import UnreadableImage, read_images
from simsiam_tf.data.files import shown
from simsiam_tf.errors import InputError
from simsiam_tf.evaluation.features import Extractor
from simsiam_tf.evaluation.knn import knn_predict
from simsiam_tf.evaluation.neighbors import nearest
from simsiam_tf.evaluation.protocol import choose
from simsiam_tf.evaluation.spectrum import Spectrum
from simsiam_tf.pages import data_uri
from simsiam_tf.report import plots
from simsiam_tf.runs.build import build_backbone, load_data
from simsiam_tf.runs.folder import RunFolder
from simsiam_tf.runs.label_free import spaced
from simsiam_tf.settings import files

BANK, TESTED, MAPPED = 5000, 2000, 600  # images at most: to look among, to classify, on the map
QUERIES, NEIGHBOURS = 8, 10
TILE, DOT = 64, 32  # pixels of a picture in the rows of neighbours, and on the map
log = logging.getLogger("simsiam_tf")


@dataclass(frozen=True)
class Picture:
    """A picture of the page.

    Args:
        uri: Of its data.
        words: What it shows.
        right: Whether a neighbour is of its query's class; None where that is not known.
    """

    uri: str
    words: str
    right: bool | None = None


@dataclass(frozen=True)
class Map:
    """Features in the plane: points (x, y) in [0, 1], the class of each or None, and their pictures in one sheet."""

    points: list[tuple[float, float]]
    labels: list[int | None]
    words: list[str]
    sheet: str
    columns: int
    classes: list[str]


@dataclass(frozen=True)
class Details:
    """Of one run; a part that cannot be made is None, and `missing` says why."""

    views: Picture | None = None
    neighbours: list[tuple[Picture, list[Picture]]] | None = None
    map: Map | None = None
    confusion: str | None = None
    spectrum: str | None = None
    missing: str | None = None


def details(path: Path) -> Details:
    """Look at a finished run; without its data there are only its views."""
    folder, found, missing = RunFolder.existing(path), Details(), []
    try:
        config = files.read(folder.config)
    except InputError as error:
        return Details(missing=str(error))
    try:
        found = _looked_at(folder, config)
    except InputError as error:  # no data, or features that are not finite
        missing.append(str(error))
    try:
        views = _views(path / "views.png", config.method.num_views)
    except UnreadableImage as error:
        views = None
        missing.append(f"views.png: {error}")
    return replace(found, views=views, missing="; ".join(missing) or None)


def _views(path, count):
    if not path.is_file():
        return None
    (image,) = read_images(path, lambda size: size)
    counted = "one augmented view" if count == 1 else f"{count} augmented views"
    return Picture(_jpeg(image), f"images, and {counted} of each below them")


def _looked_at(folder, config):
    backbone, splits = folder.load_backbone(), load_data(config, views=False)
    side = config.data.image_size
    bank = splits.train.take(spaced(len(splits.train), BANK))
    tested = splits.test or splits.train
    queries = tested.take(spaced(len(tested), TESTED))
    known, asked = (_features(backbone, images, side) for images in (bank, queries))
    before = Spectrum(_features(build_backbone(config), bank, side))
    drawn = {"trained": Spectrum(known).singular_values, "untrained": before.singular_values}
    return Details(
        neighbours=_neighbours(bank, known, queries, asked, side, itself=splits.test is None),
        map=_map(queries, asked, side),
        confusion=_confusion(folder, bank, known, queries, asked, side) if splits.test is not None else None,
        spectrum=plots.spectrum(drawn),
    )


def _features(backbone, images, side):
    return Extractor(backbone).of(images, side)


def _pixels(images, side):
    return np.concatenate(list(images.batches(256, crop=side)))


def _neighbours(bank, known, queries, asked, side, itself):
    """Some queries, evenly spaced, with the most similar images of the bank; `itself`: they are in it."""
    rows = spaced(len(queries), QUERIES)
    near, cosines = nearest(known, asked[rows], NEIGHBOURS + itself)
    some, pictures = queries.take(rows), {}
    wanted = np.unique(near)
    for row, tile in zip(wanted, _pixels(bank.take(wanted), side), strict=True):
        pictures[row] = _jpeg(tile, TILE)
    found = []
    for i, tile in enumerate(_pixels(some, side)):
        pairs = zip(near[i], cosines[i], strict=True)
        others = [(row, cosine) for row, cosine in pairs if not (itself and bank.ids[row] == some.ids[i])]
        marks = [
            Picture(pictures[row], f"{_words(bank, row)}, cosine {cosine:.2f}", _same(some, i, bank, row))
            for row, cosine in others[:NEIGHBOURS]
        ]
        found.append((Picture(_jpeg(tile, TILE), _words(some, i)), marks))
    return found


def _same(queries, i, bank, row):
    if queries.labels is None or bank.labels is None:
        return None
    return bool(queries.labels[i] == bank.labels[row])


def _confusion(folder, bank, known, queries, asked, side):
    """Of the run's classifier where it has one, else of kNN on its encoder."""
    if bank.labels is None or queries.labels is None:
        return None
    if folder.classifier.is_file():
        name, predicted = "the classifier", _features(folder.load_classifier(), queries, side).argmax(axis=1)
    else:
        name, predicted = "kNN", knn_predict(known, bank.labels, asked, *choose(known, bank.labels))
    k = int(max(bank.labels.max(), queries.labels.max())) + 1
    counts = np.bincount(queries.labels * k + predicted, minlength=k * k).reshape(k, k)
    return plots.confusion(counts, _class_names(bank, k), name)


def _map(images, features, side):
    rows = spaced(len(images), MAPPED)
    if len(rows) < 10:
        return None
    images, unit = images.take(rows), _unit(features[rows])
    perplexity = min(30, (len(rows) - 1) / 3)
    points = TSNE(init="pca", perplexity=perplexity, random_state=0).fit_transform(unit)
    points = (points - points.min(axis=0)) / np.maximum(np.ptp(points, axis=0), 1e-12)
    columns = int(np.ceil(np.sqrt(len(rows))))
    sheet = Image.new("RGB", (columns * DOT, -(-len(rows) // columns) * DOT))
    for i, tile in enumerate(_pixels(images, side)):
        sheet.paste(Image.fromarray(tile).resize((DOT, DOT)), (i % columns * DOT, i // columns * DOT))
    labels = [None] * len(rows) if images.labels is None else images.labels.tolist()
    classes = [] if images.labels is None else _class_names(images, max(labels) + 1)
    words = [_words(images, i) for i in range(len(rows))]
    return Map(points.round(4).tolist(), labels, words, _jpeg(np.asarray(sheet)), columns, classes)


def _class_names(images, k):
    return [shown(str(name)) for name in images.class_names or range(k)]


def _words(images, row):
    name = shown(images.ids[row])
    if images.labels is None:
        return name
    label = images.labels[row]
    return f"{shown(images.class_names[label]) if images.class_names else label}: {name}"


def _unit(features):
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)


def _jpeg(pixels, side=None):
    """A data URI of pixels (h, w, 3), scaled to a side."""
    image, data = Image.fromarray(np.asarray(pixels, np.uint8)), io.BytesIO()
    if side and max(image.size) != side:
        way = Image.Resampling.BILINEAR if image.width > side else Image.Resampling.NEAREST
        image = image.resize((side, side), way)
    image.save(data, "JPEG", quality=75)
    return data_uri(data.getvalue(), "image/jpeg")
