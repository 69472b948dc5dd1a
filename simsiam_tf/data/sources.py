"""Where images come from: one function for each `data.source`, and `load`, which makes splits of them."""

import dataclasses
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from simsiam_tf.data.decode import array_squares, first_line
from simsiam_tf.data.folder import folder
from simsiam_tf.data.images import ArrayImages, ImageSet
from simsiam_tf.data.loading import RawImages
from simsiam_tf.data.renderings import Form, array_frames, resized_side
from simsiam_tf.data.subsets import holdout, limited
from simsiam_tf.data.tfrecords import tfds
from simsiam_tf.errors import InputError
from simsiam_tf.settings.paths import check_data


class Splits(NamedTuple):
    """Images to train on, and to test with if there are any."""

    train: ImageSet
    test: ImageSet | None


@dataclasses.dataclass(frozen=True)
class Request:
    """What a source function gets to know; it returns (train, test or None), not yet limited or loaded."""

    source: str
    name: str | None
    path: str | None
    form: Form
    train_split: str
    test_split: str | None
    validation_fraction: float
    own_test: bool  # whether the source's own test images are wanted
    memory_limit: float
    seed: int
    views: bool


def load(
    source,
    *,
    image_size,
    name=None,
    path=None,
    store_size=None,
    validation_fraction=0.0,
    split="auto",
    train_split="train",
    test_split="test",
    limit=None,
    test_limit=None,
    seed=0,
    memory_limit_gb=4.0,
    views=True,
):
    """Find, split and, where they fit, load the images of a source.

    Images that cannot be decoded are skipped, counted and named by one warning of the logger
    "simsiam_tf.data".

    Args:
        source: a key of `SOURCES`.
        image_size: side in pixels that the network will see.
        name: TFDS name.
        path: what `settings.data.PLACES` says for the source, or TFDS data_dir.
        store_size: side up to which the pictures that views are cut from are kept; default four times image_size,
            from 128 px on 512 px, above 224 px 16/7 of it. Sets of square arrays are resized to it; default image_size,
            above 64 px their own side from 8/7 to 16/7 of it.
        validation_fraction: share of the training images held out by seed, stratified if labelled.
        split: what to test on: "test", the source's own test images; "validation", those held out; "auto", the latter
            if there are any.
        train_split, test_split: names of TFDS splits or of sub-folders.
        limit, test_limit: use only so many images, drawn by seed after the split.
        seed: seed of the hold-out split and the limits.
        memory_limit_gb: a train or test set above this size stays on disk and is decoded when read.
        views: whether views will be cut from the train set; if not, only its frames are kept. Of the test set only
            frames are kept: the squares of side image_size that are evaluated and embedded, see
            `renderings.to_frame`, which do not depend on store_size.

    Returns:
        Splits(train, test); test is None if the source has none and nothing is held out.

    Raises:
        InputError: an argument is out of range, or the source does not hold what is asked for.
    """
    if source not in SOURCES:
        raise InputError(f"data.source: {source} is unknown; use one of {', '.join(sorted(SOURCES))}")
    sizes = {"image_size": image_size, "store_size": store_size, "limit": limit, "test_limit": test_limit}
    for argument, value in sizes.items():
        if value is not None and value < 1:
            raise InputError(f"data.{argument}: {value} is below 1; use a positive whole number")
    if not 0 <= validation_fraction < 1:
        raise InputError(
            f"data.validation_fraction: {validation_fraction} is out of range; give 0 or more, below 1, such as 0.2"
        )
    if memory_limit_gb < 0:
        raise InputError(f"data.memory_limit_gb: {memory_limit_gb} is negative; use 0 to stream from disk, or more")
    held_out = validation_fraction > 0
    if split == "validation" and not held_out:
        raise InputError(
            "evaluation.split: validation, but data.validation_fraction 0 holds nothing out; give 0.2, or split test"
        )
    own_test, memory_limit = split == "test" or not held_out, memory_limit_gb * 1e9
    form = Form(image_size, store_size)
    request = Request(
        source, name, path, form, train_split, test_split, validation_fraction, own_test, memory_limit, seed, views
    )
    check_data(request)
    train, test = SOURCES[source](request)
    if split == "test" and test is None:
        raise InputError(f"evaluation.split: test, but data.source {source} has no test images here; give validation")
    if held_out:
        train, validation = _held_out(train, validation_fraction, seed)
        test = validation if test is None else test
    train = _ready(train, limit, request, views)
    return Splits(train, None if test is None else _ready(test, test_limit, request, views=False))


def from_arrays(images, labels=None, side=None):
    """A set of the user's own arrays, not copied if they already are uint8 squares of three channels.

    Args:
        images: uint8 (n, h, w) or (n, h, w, 1 | 3 | 4); transparency is laid over white.
        labels: whole numbers (n,) from 0, or None.
        side: side of the squares that are cut from the middle and resized; default the shorter of h and w.

    Raises:
        InputError: other types, shapes or lengths.
    """
    images, labels = _checked_arrays(np.asarray(images), labels, "images")
    return ArrayImages(array_squares(images, side or min(images.shape[1:3])), labels=labels)


def digits(request):
    """The 1,797 handwritten digits of scikit-learn, 8x8 pixels of 17 grays, as squares: the embedded default.

    They come without a test split, hence a fifth is held out unless `validation_fraction` says otherwise.
    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998 (the test part).
    """
    # The file alone: to import the package takes longer than all else here.
    package = Path(find_spec("sklearn").origin).parent
    rows = np.loadtxt(package / "datasets" / "data" / "digits.csv.gz", delimiter=",")
    pixels, labels = np.round(rows[:, :64].reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8), rows[:, 64].astype(int)
    form, bicubic = request.form, Image.Resampling.BICUBIC
    side, _ = form.of_shape(*pixels.shape[1:])
    images = array_squares(pixels, side, bicubic)
    frames = None if side == resized_side(form.frame) else array_frames(pixels, form.frame, bicubic)
    whole = ArrayImages(images, "digits", None, labels, tuple("0123456789"), None, frames, form.frame)
    return (whole, None) if request.validation_fraction else _held_out(whole, 0.2, request.seed)


def arrays(request):
    """An .npz file with `images` and perhaps `labels`, `test_images`, `test_labels`, or an .npy of images.

    An .npy file is mapped, not read, so that it may exceed the memory.
    """
    path = Path(request.path).expanduser()
    content = _read_arrays(path)
    if "images" not in content:
        raise InputError(f"data.path: {path} holds {', '.join(content)}; save it with numpy.savez(path, images=...)")
    train = _raw(content, "", path, request)
    has_test = "test_images" in content and request.own_test
    return train, _raw(content, "test_", path, request) if has_test else None


def _read_arrays(path):
    try:
        if path.suffix == ".npy":
            return {"images": np.load(path, mmap_mode="r", allow_pickle=False)}
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            return dict(content)
    except Exception as error:
        # BadZipFile, EOFError, OSError, zlib.error, ValueError for pickled objects, and more.
        raise InputError(
            f"data.path: {path} cannot be read as NumPy arrays ({first_line(error)}); "
            "save it with numpy.save or numpy.savez"
        ) from error


def _raw(content, prefix, path, request):
    where = f"data.path: {path}, {prefix}images"
    images, labels = _checked_arrays(content[f"{prefix}images"], content.get(f"{prefix}labels"), where)
    return RawImages(images, f"{path.stem}/{'test' if prefix else 'train'}", request.form, labels)


def _checked_arrays(images, labels, where):
    channels = images.shape[3] if images.ndim == 4 else 1
    if images.ndim not in (3, 4) or channels not in (1, 3, 4) or 0 in images.shape:
        raise InputError(
            f"{where}: shape {images.shape} is not that of images; give (n, h, w) or (n, h, w, channels) with 1, 3 or 4"
        )
    if images.dtype != np.uint8:
        raise InputError(
            f"{where}: pixels are {images.dtype}, not uint8 from 0 to 255; convert, for [0, 1] by "
            "(images * 255).round().astype('uint8')"
        )
    if labels is None:
        return images, None
    labels = np.asarray(labels)
    if labels.shape != (len(images),) or not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0:
        raise InputError(
            f"{where}: labels of shape {labels.shape} and type {labels.dtype} do not fit {len(images)} "
            "images; give one whole number from 0 for each"
        )
    return images, labels


def _held_out(images, fraction, seed):
    rest, held = holdout(len(images) if images.labels is None else images.labels, fraction, seed)
    return images.take(rest), images.take(held)


def _ready(images, limit, request, views):
    if limit is not None and limit < len(images):
        images = images.take(limited(len(images), limit, request.seed))
    images = images.measured()
    images.views = views
    return images.load() if images.nbytes <= request.memory_limit else images.checked()


SOURCES = {"digits": digits, "tfds": tfds, "folder": folder, "arrays": arrays}
