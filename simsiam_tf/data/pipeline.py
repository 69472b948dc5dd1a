"""The stream of training batches: infinite, a pure function of the order and the step."""

import tensorflow as tf

from simsiam_tf.data.order import EpochOrder
from simsiam_tf.errors import InputError


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

    Returns:
        tf.data.Dataset of uint8 (batch_size / parts, side, side, 3), or of (images, int64 (batch_size / parts,)). Where
        pictures have sizes of their own, {"images": ..., "sizes": ...} stands in place of images; sizes are int32
        (batch_size / parts, 2), the rows and columns that a picture takes from the top left corner. Row numbers are
        int64 (batch_size / parts,).

    Raises:
        InputError: the batch is larger than the set or has no such parts, labels are missing, or a number is negative.
    """
    if not 1 <= batch_size <= len(image_set):
        raise InputError(
            f"optimizer.batch_size: {batch_size} does not fit the {len(image_set)} images of "
            f"{image_set.name}; "
            f"use 1 to {len(image_set)}, or more images"
        )
    if start_step < 0:
        raise InputError(f"start_step: {start_step} is negative; use 0 or the number of steps done")
    if stride < 1:
        raise InputError(f"stride: {stride} is below 1; use 1, or the number of input hosts")
    if batch_size % parts or not 0 <= part < parts:
        raise InputError(f"part: {part} of {parts} parts of a batch of {batch_size} images; give equal parts")
    if with_labels and image_set.labels is None:
        raise InputError(f"with_labels: {image_set.name} has no labels; use class sub-folders or give labels")
    order = EpochOrder(len(image_set), batch_size, seed) if order is None else order

    share = batch_size // parts
    specs = {"images": (tf.uint8, image_set.image_shape)}  # type, and shape of one
    if with_labels:
        specs["labels"] = tf.int64, ()
    if with_rows:
        specs["rows"] = tf.int64, ()
    if image_set.sized:
        specs["sizes"] = tf.int32, (2,)

    def batch(step):
        rows = order(int(step))[part * share :][:share]
        images, sizes = image_set.whole(rows)
        # After the images: a row whose file turns out bad takes over its replacement's label.
        labels = image_set.labels[rows] if with_labels else None
        values = {"images": images, "labels": labels, "rows": rows, "sizes": sizes}
        return [values[name] for name in specs]

    def draw(step):
        drawn = tf.numpy_function(batch, [step], [dtype for dtype, _ in specs.values()])
        values = {
            name: tf.ensure_shape(value, [share, *shape])
            for value, (name, (_, shape)) in zip(drawn, specs.items(), strict=True)
        }
        labels = values.pop("labels", None)
        images = values if len(values) > 1 else values["images"]
        return images if labels is None else (images, labels)

    dataset = tf.data.Dataset.counter(start=start_step, step=stride, dtype=tf.int64)
    if steps is not None:
        dataset = dataset.take(steps)
    # Sequential on purpose: decoding runs in parallel inside `whole`, and the next batches are made ahead.
    return dataset.map(draw).prefetch(2)
