"""What can be said of the images, and what `data.path` is to each source."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import ClassVar, Literal, NamedTuple

from simsiam_tf.settings.types import BelowOne, Count, NonNegative, Section, setting

Source = Literal["digits", "tfds", "folder", "arrays"]


class Place(NamedTuple):
    """What has to be at `data.path`: in words, and if it is a folder the endings of the files that it holds.

    `extra` names what would have to be installed for further ones.
    """

    words: str
    endings: tuple[str, ...] = ()
    extra: str = ""

    @property
    def wanted(self) -> str:
        return f"{self.words}: {' '.join(self.endings)}{self.extra}"


HEIC = (".heic", ".heif", ".hif")


def pictures(with_heic: bool) -> Place:
    endings = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff")
    words = "a folder of image files"
    return (
        Place(words, endings + HEIC) if with_heic else Place(words, endings, "; HEIC needs the extra simsiam-tf[heic]")
    )


# None: the images have a name; TFDS makes the folder itself.
PLACES = {
    "digits": None,
    "tfds": None,
    "folder": pictures(with_heic=find_spec("pillow_heif") is not None),
    "arrays": Place("an .npz or .npy file"),
}


@dataclass(frozen=True)
class DataSettings(Section):
    """Images to train on and to test with.

    Args:
        source: digits (built in), tfds (a TensorFlow Datasets name), folder (of image files) or arrays (.npz or .npy).
        name: TFDS name, for example cifar10.
        path: Folder of images, array file, or TFDS data_dir.
        image_size: Side of the square the network sees, in pixels.
        store_size: Longer side at which larger pictures are kept for training, whole; default four times image_size,
            from 128 on 512 or more. Square arrays are resized to it. Evaluation does not depend on it.
        validation_fraction: Share of the training images held out by seed, and tested on: see evaluation.split.
        train_split: TFDS split to train on.
        test_split: TFDS split to test on.
        limit: Use only this many training images, drawn by seed.
        test_limit: Use only this many test images, drawn by seed.
        memory_limit_gb: Larger sets are streamed from disk.
    """

    prefix: ClassVar[str] = "data."
    source: Source = "tfds"
    name: str | None = None
    path: str | None = setting(None, free=True, own=True)
    image_size: Count = 32
    store_size: Count | None = None
    validation_fraction: BelowOne = 0.0
    train_split: str = "train"
    test_split: str = "test"
    limit: Count | None = None
    test_limit: Count | None = None
    memory_limit_gb: NonNegative = setting(4.0, free=True, own=True)
