"""What can be said of the images, and what `data.path` is to each source."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.util import find_spec
from typing import ClassVar, Literal, NamedTuple

from simsiam_tf.errors import InputError
from simsiam_tf.settings.types import BelowOne, Count, NonNegative, Section, setting, shown

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


PERMUTATION = "permutation.npy"  # in a run's folder
OF_CHUNKS = {"chunks": None, "rounds": 1, "repeat_batch": 1, "permutation": None}  # neutral, as without chunks
IN_EPOCHS = {"order": "epochs", "switch_epoch": None, "service": None} | OF_CHUNKS  # not about which images there are


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
        service: Hosts that decode the training images, host:port of each one's `simsiam-tf serve`, with commas between;
            null: this one does.
        order: In which training images come: epochs, each once; single_pass, one chunk of them after the other;
            accumulate, all chunks so far; last, the last chunk only; hybrid, single_pass and from a switch on epochs. A
            chunk is gone through as often as its steps allow (Li, Efros & Pathak 2022).
        chunks: Equal parts that the images are taken in; null: as many as a round has epochs, the paper's 100.
        rounds: How often the chunks are gone through, in equal shares of the epochs.
        switch_epoch: Epochs after which hybrid goes over to epochs; null: 40 % of them, as in the paper.
        repeat_batch: How often in a row a batch of a chunk comes, in other views.
        permutation: File of numpy.save with the order that chunks are cut from, such as the permutation.npy of another
            run; null: drawn by seed.
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
    service: str | None = setting(None, free=True, own=True)
    order: Literal["epochs", "single_pass", "accumulate", "last", "hybrid"] = "epochs"
    chunks: Count | None = None
    rounds: Count = 1
    switch_epoch: Count | None = None
    repeat_batch: Count = 1
    permutation: str | None = setting(None, own=True)

    def __post_init__(self):
        super().__post_init__()
        for name, neutral in OF_CHUNKS.items() if self.order == "epochs" else ():
            if (value := getattr(self, name)) != neutral:
                raise InputError(
                    f"data.{name}: {shown(value)}, but data.order epochs has no chunks; give {shown(neutral)}, or "
                    "another order, such as single_pass"
                )
        if self.service is not None:
            self._check_service()
        if self.switch_epoch is not None and self.order != "hybrid":
            raise InputError(
                f"data.switch_epoch: {self.switch_epoch}, but data.order is {self.order}; give null, or order hybrid"
            )

    @property
    def servers(self) -> tuple[str, ...]:
        """Addresses of `service`, none if this host decodes by itself."""
        return tuple(address.strip() for address in (self.service or "").split(",") if address.strip())

    def _check_service(self):
        if not self.servers or any(not re.fullmatch(r"[^\s:/]+:\d+", address) for address in self.servers):
            raise InputError(
                f"data.service: {shown(self.service)} is no list of servers; give host:port of each, such as first:5050"
            )
        if self.order != "epochs":
            raise InputError(
                f"data.service: {shown(self.service)}, but data.order is {self.order}; give null, or order epochs"
            )

    def switch(self, epochs: int) -> int | None:
        """Epochs of a whole run that come before the switch; None where there is none."""
        return (self.switch_epoch or max(1, 2 * epochs // 5)) if self.order == "hybrid" else None

    def check_epochs(self, epochs: int) -> None:
        """Refuse an order that a run of so many epochs cannot have.

        Raises:
            InputError: the rounds do not divide them, or the switch is not among them.
        """
        if epochs % self.rounds:
            raise InputError(f"data.rounds: {self.rounds} does not divide the {epochs} epochs; give a divisor of them")
        if self.order == "hybrid" and epochs < 2:
            raise InputError(f"data.order: hybrid, but {epochs} epoch; give 2 or more as optimizer.epochs, or another")
        if self.order == "hybrid" and self.switch(epochs) >= epochs:
            raise InputError(
                f"data.switch_epoch: {self.switch(epochs)} of {epochs} epochs; give fewer than optimizer.epochs"
            )
