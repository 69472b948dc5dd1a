"""An image folder as a data source: which files are images, which sub-folders are splits or classes."""

import logging
import os
from collections import Counter
from pathlib import Path

import numpy as np

from simsiam_tf.data.files import FileImages
from simsiam_tf.errors import InputError
from simsiam_tf.settings.data import HEIC, PLACES
from simsiam_tf.settings.paths import files_in

log = logging.getLogger("simsiam_tf.data")


def folder(request, kind=FileImages):
    """Train and test images of the folder `request.path`, or of its `train` and `test` or `val` sub-folders.

    Sub-folders with images are classes in sorted order, if no image lies elsewhere; any other shape is
    unlabelled, and so is a single sub-folder. Hidden files and folders are left out, links are followed.

    Args:
        kind: The FileImages that opens the files; which ones, `PLACES` says for each source.

    Raises:
        InputError: no image files in a part, or a class in the test part only.
    """
    root = Path(request.path).expanduser()
    train_part, test_parts = _parts(root, request)
    train = _images(root, train_part, request, kind)
    if not test_parts or not request.own_test:
        return train, None
    tests, refused = [], []
    for part in test_parts:
        try:
            tests.append(_images(root, part, request, kind, class_names=train.class_names))
        except InputError as error:  # an empty test/, or one with a class "unknown", neither
            refused.append(error)
    if not tests:
        raise refused[0]
    for error in refused:
        log.warning("%s; left out", error)
    # A flat test/, whose labels are withheld, does not stand in the way of a labelled val/.
    labelled = [test for test in tests if test.labels is not None]
    chosen = labelled[0] if train.labels is not None and labelled else tests[0]
    if len(tests) > 1:
        log.info("test images: %s, of %s", chosen.name, ", ".join(f"{test.name}" for test in tests))
    return train, chosen


def _parts(root, request):
    """Name of the sub-folder to train on, "" for the whole folder, and of those to test on, the first choice first."""
    names = {entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith(".")}
    train = request.train_split
    tests = [name for name in (request.test_split, "test", "val", "validation") if name and name in names]
    if train in names and (tests or names == {train}):
        return train, list(dict.fromkeys(tests))
    return "", []


def _images(root, part, request, kind, class_names=None):
    place = PLACES[request.source]
    ids, folders = _listed(root, part, place)
    name = root.name + f"/{part}" * bool(part)
    if not ids:
        raise InputError(f"data.path: {root / part} has no files of these types; give {place.wanted}")
    parents = [folder.removeprefix(part).lstrip("/") for folder in folders]
    if not all(parents) or any("/" in parent for parent in parents) or (class_names is None and len(parents) == 1):
        return kind(root, name, request.form, ids)
    class_names = class_names or tuple(sorted(parents))
    unknown = sorted(set(parents) - set(class_names))
    if unknown:
        raise InputError(
            f"data.path: class {unknown[0]} of {root / part} is not among the training classes "
            f"{', '.join(class_names)}; give both parts the same sub-folders"
        )
    numbers = {folder: class_names.index(parent) for folder, parent in zip(folders, parents, strict=True)}
    labels = np.fromiter((numbers[image_id.rpartition("/")[0]] for image_id in ids), np.int64, len(ids))
    return kind(root, name, request.form, ids, labels, class_names)


def _listed(root, part, place):
    """Sorted ids of the images in a part, and the folders that hold any; says which files are left out, and why.

    No object is made for a file but its id: there may be millions.
    """
    ids, folders, others = [], [], Counter()
    for inside, names in files_in(root / part):
        folder = "/".join(filter(None, (part, inside)))
        images = [name for name in names if name.lower().endswith(place.endings)]
        if images:
            folders.append(folder)
            ids += [f"{folder}/{name}" for name in images] if folder else images
        if len(images) < len(names):
            rest = (os.path.splitext(name.lower()) for name in names if not name.lower().endswith(place.endings))
            others.update(ending or "no ending" for _, ending in rest)
    if others:
        counts = ", ".join(f"{count} {ending}" for ending, count in others.most_common(5))
        extra = place.extra if others.keys() & set(HEIC) else ""
        log.warning("%s: %d files of other types are left out: %s%s", root / part, sum(others.values()), counts, extra)
    ids.sort()
    return ids, folders
