"""An image folder as a data source: which files are images, which sub-folders are splits or classes."""

import os
from pathlib import Path

from simsiam_tf.data.files import FileImages
from simsiam_tf.errors import InputError

EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff")


def folder(request):
    """Train and test images of the folder `request.path`, or of its `train` and `test` or `val` sub-folders.

    Sub-folders with images are classes in sorted order, if no image lies elsewhere; any other shape is
    unlabelled, and so is a single sub-folder. Hidden files and folders are left out, links are followed.

    Raises:
        InputError: no such folder, no image files in it, or a class in the test part only.
    """
    if request.path is None:
        raise InputError("data.path: none given, but data.source folder needs one; give a folder of image files")
    root = Path(request.path).expanduser()
    try:
        train_part, test_part = _parts(root, request)
    except OSError as error:
        raise InputError(
            f"data.path: {root} cannot be opened ({error.strerror}); give a folder of image files"
        ) from error
    train = _images(root, train_part, request.form)
    if test_part is None or not request.own_test:
        return train, None
    return train, _images(root, test_part, request.form, class_names=train.class_names)


def _parts(root, request):
    """Names of the sub-folders to train on and to test on: "" means the whole folder."""
    names = {entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith(".")}
    train = request.train_split
    tests = [name for name in (request.test_split, "test", "val", "validation") if name and name in names]
    if train in names and (tests or names == {train}):
        return train, tests[0] if tests else None
    return "", None


def _images(root, part, form, class_names=None):
    ids = sorted(_image_files(root, part))
    if not ids:
        known = " ".join(EXTENSIONS)
        raise InputError(f"data.path: {root / part} has no image files; give a folder with files of type {known}")
    parents = _classes(ids, part)
    if parents is None or (class_names is None and len(set(parents)) == 1):
        return FileImages(root, root.name + f"/{part}" * bool(part), form, ids)
    class_names = class_names or tuple(sorted(set(parents)))
    unknown = sorted(set(parents) - set(class_names))
    if unknown:
        raise InputError(
            f"data.path: class {unknown[0]} of {root / part} is not among the training classes "
            f"{', '.join(class_names)}; give both parts the same sub-folders"
        )
    labels = [class_names.index(parent) for parent in parents]
    return FileImages(root, root.name + f"/{part}" * bool(part), form, ids, labels, class_names)


def _image_files(root, part):
    """Paths relative to `root`, with forward slashes."""
    visited = set()
    for directory, names, files in os.walk(root / part, followlinks=True):
        real = os.path.realpath(directory)
        if real in visited:  # A link to a folder above would be walked for ever.
            names.clear()
            continue
        visited.add(real)
        names[:] = [name for name in names if not name.startswith(".")]
        for name in files:
            if name.lower().endswith(EXTENSIONS) and not name.startswith("."):
                yield Path(directory, name).relative_to(root).as_posix()


def _classes(ids, part):
    """The class folder of each file, or None if not all files lie exactly one folder deep."""
    folders = [image_id.removeprefix(part).strip("/").split("/")[:-1] for image_id in ids]
    if any(len(names) != 1 for names in folders):
        return None
    return [names[0] for names in folders]
