"""An image folder as a data source: which files are images, which sub-folders are splits or classes."""

from pathlib import Path

from simsiam_tf.data.files import FileImages
from simsiam_tf.errors import InputError
from simsiam_tf.settings.data import PLACES
from simsiam_tf.settings.paths import files_in


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
    train_part, test_part = _parts(root, request)
    train = _images(root, train_part, request, kind)
    if test_part is None or not request.own_test:
        return train, None
    return train, _images(root, test_part, request, kind, class_names=train.class_names)


def _parts(root, request):
    """Names of the sub-folders to train on and to test on: "" means the whole folder."""
    names = {entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith(".")}
    train = request.train_split
    tests = [name for name in (request.test_split, "test", "val", "validation") if name and name in names]
    if train in names and (tests or names == {train}):
        return train, tests[0] if tests else None
    return "", None


def _images(root, part, request, kind, class_names=None):
    place = PLACES[request.source]
    ids = sorted(path.relative_to(root).as_posix() for path in files_in(root / part, place.endings))
    if not ids:
        raise InputError(
            f"data.path: {root / part} has no files of these types; give {place.words}: {' '.join(place.endings)}"
        )
    parents = _classes(ids, part)
    if parents is None or (class_names is None and len(set(parents)) == 1):
        return kind(root, root.name + f"/{part}" * bool(part), request.form, ids)
    class_names = class_names or tuple(sorted(set(parents)))
    unknown = sorted(set(parents) - set(class_names))
    if unknown:
        raise InputError(
            f"data.path: class {unknown[0]} of {root / part} is not among the training classes "
            f"{', '.join(class_names)}; give both parts the same sub-folders"
        )
    labels = [class_names.index(parent) for parent in parents]
    return kind(root, root.name + f"/{part}" * bool(part), request.form, ids, labels, class_names)


def _classes(ids, part):
    """The class folder of each file, or None if not all files lie exactly one folder deep."""
    folders = [image_id.removeprefix(part).strip("/").split("/")[:-1] for image_id in ids]
    if any(len(names) != 1 for names in folders):
        return None
    return [names[0] for names in folders]
