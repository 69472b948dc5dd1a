"""The stream of training batches: infinite, a pure function of the order and the step."""

import numpy as np
import tensorflow as tf

from simsiam_tf.data.order import EpochOrder
from simsiam_tf.errors import InputError


class Batches:
    """The batches of a set, or a part of each: `batches(step)` gives a list of arrays, those that `specs` describes.

    Attributes:
        specs: {name: (dtype, shape)}.

    Args, Raises: as `training_batches`.
    """

    def __init__(self, image_set, batch_size, seed, with_labels=False, with_rows=False, part=0, parts=1, order=None):
        if not 1 <= batch_size <= len(image_set):
            raise InputError(
                f"optimizer.batch_size: {batch_size} does not fit the {len(image_set)} images of "
                f"{image_set.name}; "
                f"use 1 to {len(image_set)}, or more images"
            )
        if batch_size % parts or not 0 <= part < parts:
            raise InputError(f"part: {part} of {parts} parts of a batch of {batch_size} images; give equal parts")
        if with_labels and image_set.labels is None:
            raise InputError(f"with_labels: {image_set.name} has no labels; use class sub-folders or give labels")
        self._set, self._share, self._part = image_set, batch_size // parts, part
        self._order = EpochOrder(len(image_set), batch_size, seed) if order is None else order
        self.specs = {"images": (np.uint8, (self._share, *image_set.image_shape))}
        if with_labels:
            self.specs["labels"] = np.int64, (self._share,)
        if with_rows:
            self.specs["rows"] = np.int64, (self._share,)
        if image_set.sized:
            self.specs["sizes"] = np.int32, (self._share, 2)

    def __call__(self, step):
        rows = self._order(int(step))[self._part * self._share :][: self._share]
        images, sizes = self._set.whole(rows)
        # After the images: a row whose file turns out bad takes over its replacement's label.
        labels = self._set.labels[rows] if "labels" in self.specs else None
        values = {"images": images, "labels": labels, "rows": rows, "sizes": sizes}
        return [values[name] for name in self.specs]


def training_batches(
    image_set,
    batch_size,
    seed,
    start_step=0,
    with_labels=False,
    with_rows=False,
    steps=None,
    stride=1,
    part=0,
    parts=1,
    order=None,
    servers=None,
):
    """Batches from step `start_step` on, the same whether or not the steps before were drawn.

    Unless `order` says otherwise, an epoch has len(image_set) // batch_size steps and visits each image at most once,
    in a fresh order; the remainder of an epoch is left out, as with PyTorch's drop_last.

    Args:
        image_set: ImageSet.
        batch_size: images in a batch.
        seed: 0 or a positive int.
        start_step: steps already done, over all epochs.
        with_labels: deliver (images, labels).
        with_rows: deliver {"images": ..., "rows": ...} in place of images, with their numbers in the set.
        steps: number of batches; None for no end.
        stride: deliver every `stride`-th step: with m input hosts, host i starts at step i and has stride m.
        part, parts: cut every batch into `parts` equal parts and deliver the one with number `part`, from 0.
        order: function of the step that gives the rows (batch_size,) of its batch, such as a ContinualOrder; default
            EpochOrder, with `seed`.
        servers: `Servers` that make the batches, of the default order; default: this process.

    Returns:
        tf.data.Dataset of uint8 (batch_size / parts, side, side, 3), or of (images, int64 (batch_size / parts,)). Where
        pictures have sizes of their own, {"images": ..., "sizes": ...} stands in place of images; sizes are int32
        (batch_size / parts, 2), the rows and columns that a picture takes from the top left corner. Row numbers are
        int64 (batch_size / parts,).

    Raises:
        InputError: the batch is larger than the set or has no such parts, labels are missing, or a number is negative.
    """
    if start_step < 0:
        raise InputError(f"start_step: {start_step} is negative; use 0 or the number of steps done")
    if stride < 1:
        raise InputError(f"stride: {stride} is below 1; use 1, or the number of input hosts")
    what = {"batch_size": batch_size, "seed": seed, "with_labels": with_labels, "with_rows": with_rows}
    what |= {"part": part, "parts": parts}
    batches = Batches(image_set, **what, order=order)
    make = batches if servers is None else servers.batches(batches.specs, what)

    def draw(step):
        drawn = tf.numpy_function(make, [step], [dtype for dtype, _ in batches.specs.values()])
        values = {
            name: tf.ensure_shape(value, shape)
            for value, (name, (_, shape)) in zip(drawn, batches.specs.items(), strict=True)
        }
        labels = values.pop("labels", None)
        images = values if len(values) > 1 else values["images"]
        return images if labels is None else (images, labels)

    dataset = tf.data.Dataset.counter(start=start_step, step=stride, dtype=tf.int64)
    if steps is not None:
        dataset = dataset.take(steps)
    # One at a time on purpose: decoding runs in parallel inside `whole`, and the next batches are made ahead.
    return dataset.map(draw, num_parallel_calls=servers and len(servers.addresses)).prefetch(2)
