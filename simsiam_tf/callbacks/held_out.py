"""Labels that a classifier is not trained on: how it does on them after each epoch, and when to end."""

import keras
import numpy as np
from scipy.special import log_softmax

from simsiam_tf.callbacks.features import as_monitor_images


class HeldOut(keras.callbacks.Callback):
    """Adds "val_loss" and "val_accuracy" to the logs, and finds the best epoch: of the highest accuracy, of equals the
    lowest loss, of equals the first.

    Epochs that were begun and are not at their end are not judged. Put it before the RunRecord, and hand `stopped` to
    whoever ends the training.

    Args:
        images: Pair (images, labels), or MonitorImages.
        record: RunRecord, whose rows are the epochs before.
        patience: Epochs without a better one after which it is time to stop.
        steps_per_epoch: Of the run.

    Attributes:
        best: The row of the best epoch, None while there is none.
        stopped: Whether it is time.
    """

    def __init__(self, images, record, patience, steps_per_epoch):
        super().__init__()
        self.images = as_monitor_images(images, "images")
        self.record, self.patience, self.steps_per_epoch = record, patience, steps_per_epoch
        self.best, self.stopped = None, False

    def figures(self):
        """Mean cross entropy, not smoothed, and accuracy at the present step."""
        features, labels = self.images.features(self.model), self.images.labels
        logits = np.asarray(self.model.classifier(features, training=False), np.float64)
        loss = -log_softmax(logits, axis=1)[np.arange(len(labels)), labels].mean()
        return {"val_loss": float(loss), "val_accuracy": float(np.mean(logits.argmax(axis=1) == labels))}

    def judge(self, rows):
        """Bring `best` and `stopped` up to date with the rows of all epochs so far."""
        judged = [row for row in rows if "val_accuracy" in row]
        self.best = max(judged, key=lambda row: (row["val_accuracy"], -row["val_loss"]), default=None)
        self.stopped = bool(judged) and judged[-1]["epoch"] - self.best["epoch"] >= self.patience

    def on_epoch_end(self, epoch, logs=None):
        step = int(self.model.step.numpy())
        if step % self.steps_per_epoch == 0:
            logs.update(self.figures())
            earlier = [row for row in self.record.rows if row["epoch"] <= epoch]
            self.judge([*earlier, {"epoch": epoch + 1, "step": step, **logs}])
