"""What the network is shown: some images and two augmented views of each, as a picture in TensorBoard."""

import keras
import numpy as np
import tensorflow as tf

from simsiam_tf.augment import Resize


def view_grid(model, images, step=0, sizes=None):
    """One uint8 picture (rows, columns, 3): each image above its views, as the model draws them at `step`.

    Args:
        model: A method with `draw_views`.
        images: uint8 (n, h, w, 3).
        step: Training step whose randomness is used.
        sizes: int (n, 2), where pictures are smaller than the images, see `ImageSet.whole`; their middle is shown.
    """
    views = [np.asarray(view) for view in model.draw_views(tf.constant(images), step, sizes=sizes)]
    side = max(view.shape[1] for view in views)
    if sizes is None:
        originals = np.asarray(tf.image.resize(images, (side, side), antialias=True))
    else:
        originals = np.asarray(Resize(side)(images, (0, 0), sizes=sizes))
    rows = []
    for row in (originals, *views):  # a small view stands in the middle of its white square
        before = (side - row.shape[1]) // 2 + 1
        after = side + 2 - row.shape[1] - before
        padding = ((0, 0), (before, after), (before, after), (0, 0))
        rows.append(np.concatenate(list(np.pad(row, padding, constant_values=255)), axis=1))
    return np.clip(np.rint(np.concatenate(rows, axis=0)), 0, 255).astype(np.uint8)


class ViewImages(keras.callbacks.Callback):
    """Writes `view_grid` of the same images to TensorBoard, in the first epoch and every so many epochs.

    It does so after the first step, for which nobody has then to wait longer; the views are those of its beginning.
    Each shows other draws of the views; small ones are enlarged to at least 128 px, pixel by pixel.

    Args:
        images: uint8 (n, h, w, 3), few.
        log_dir: Folder of the event files.
        every: Epochs between two pictures; TensorBoard shows ten of them.
        sizes: As in `view_grid`.
    """

    def __init__(self, images, log_dir, every=50, sizes=None):
        super().__init__()
        self.images, self.log_dir, self.every, self.sizes = images, str(log_dir), every, sizes
        self._writer = self._newest = self._due = None

    def on_epoch_begin(self, epoch, logs=None):
        if epoch % self.every == 0 and epoch != self._newest:  # the rest of an epoch is no new one
            self._due = epoch, int(self.model.step.numpy())

    def on_train_batch_end(self, batch, logs=None):
        if self._due:
            self.write(*self._due)

    def write(self, epoch, step):
        """The views that the model draws at the step, with which the epoch begins."""
        self._writer = self._writer or tf.summary.create_file_writer(self.log_dir)
        self._newest, self._due = epoch, None
        grid = view_grid(self.model, self.images, step, self.sizes)
        times = -(-128 * len(self.images) // grid.shape[1])
        with self._writer.as_default():
            tf.summary.image("views", grid.repeat(times, axis=0).repeat(times, axis=1)[None], step)
        self._writer.flush()
