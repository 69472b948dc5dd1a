"""kNN accuracy while training: the monitor of Chen & He 2021 (figure 2), after Wu et al. 2018."""

import math

import keras

from simsiam_tf.callbacks.features import as_monitor_images
from simsiam_tf.evaluation.knn import knn_accuracy

NEIGHBORS, TEMPERATURE = 200, 0.1  # of Wu et al. 2018


class KNNMonitor(keras.callbacks.Callback):
    """Adds "knn_accuracy" to the logs: weighted kNN on backbone features, cosine similarity.

    Args:
        bank: Pair (images, labels) that holds the neighbours.
        queries: Pair (images, labels) that is classified.
        every: Epochs between two measurements; the last epoch is always measured.
        k: Neighbours.
        temperature: Of the weights exp(cos / temperature).

    Raises:
        InputError: a pair has no labels, or not one per image.
    """

    def __init__(self, bank, queries, every=10, k=NEIGHBORS, temperature=TEMPERATURE):
        super().__init__()
        self.bank = as_monitor_images(bank, "bank")
        self.queries = as_monitor_images(queries, "queries")
        self.every, self.k, self.temperature = every, k, temperature

    def on_epoch_end(self, epoch, logs=None):
        due = (epoch + 1) % self.every == 0 or epoch + 1 == self.params["epochs"]
        if not due or not math.isfinite(logs.get("loss", 0.0)):
            return
        logs["knn_accuracy"] = self.accuracy(lambda images: images.features(self.model))

    def accuracy(self, features):
        """The same of another encoder; `features` gives (n, d) of MonitorImages."""
        bank, queries = features(self.bank), features(self.queries)
        return knn_accuracy(
            bank, self.bank.labels, queries, self.queries.labels, k=self.k, temperature=self.temperature
        )
