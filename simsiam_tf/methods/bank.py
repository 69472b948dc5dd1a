"""A target for each image of the training set: a layer, hence part of every checkpoint."""

from pathlib import Path

import keras
import psutil
import tensorflow as tf

from simsiam_tf.errors import InputError
from simsiam_tf.methods.losses import unit_rows
from simsiam_tf.methods.targets import gathered


class ImageBank(keras.layers.Layer):
    """A vector of length 1 for each image, which moves towards what is seen of it (Chen & He 2021, sec. 5.2).

    Args:
        num_images: Rows.
        dim: d.
        momentum: Share of itself that a vector keeps at each visit; the first visit assigns.
        dtype: float32, or float16 for half of the memory.

    Raises:
        InputError: it takes more memory than there is.
    """

    def __init__(self, num_images, dim, momentum, dtype="float32", **kwargs):
        super().__init__(**kwargs)
        self.momentum = momentum
        self.nbytes = num_images * dim * tf.as_dtype(dtype).size
        message = (
            f"method.target: a bank of {num_images} x {dim} {dtype} takes {self.nbytes / 1e9:.3g} GB, more than there "
            "is; give bank_dtype float16, a smaller projection_dim, or target snapshot"
        )
        copies = 1 if tf.distribute.get_strategy().num_replicas_in_sync == 1 else 2  # `move` makes the second
        if copies * self.nbytes > free_memory():
            raise InputError(message)
        options = {"dtype": dtype, "initializer": "zeros", "trainable": False, "autocast": False}
        try:
            self.vectors = self.add_weight(name="vectors", shape=(num_images, dim), **options)
        except tf.errors.ResourceExhaustedError as error:  # on a GPU
            raise InputError(message) from error
        self.built = True

    def moved(self, rows, seen):
        """Where the vectors of `rows` (n,) stand, (n, d), when these (n, d) are seen; a vector never seen is zero."""
        before = tf.cast(tf.gather(self.vectors, rows), seen.dtype)
        return unit_rows(self.momentum * before + (1 - self.momentum) * seen)[0]

    def move(self, rows, seen):
        """Keep that, of all replicas."""
        moved = tf.cast(self.moved(rows, seen), self.vectors.dtype)
        if tf.distribute.get_strategy().num_replicas_in_sync == 1:
            self.vectors.value.scatter_nd_update(rows[:, None], moved)  # in place
        else:
            vectors = tf.tensor_scatter_nd_update(self.vectors, gathered(rows)[:, None], gathered(moved))
            self.vectors.assign(vectors)


def free_memory(group=Path("/sys/fs/cgroup")):
    """Bytes that this process can still take on the host: what the machine has, within what its container may."""
    free = psutil.virtual_memory().available
    try:
        limit, used = ((group / name).read_text().strip() for name in ("memory.max", "memory.current"))
    except OSError:
        return free
    return free if limit == "max" else min(free, int(limit) - int(used))
