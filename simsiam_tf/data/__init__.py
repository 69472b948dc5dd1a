"""Images in: sources, subsets, and the stream of training batches."""

from simsiam_tf.data.images import ArrayImages, ImageSet
from simsiam_tf.data.order import ContinualOrder, EpochOrder
from simsiam_tf.data.pipeline import training_batches
from simsiam_tf.data.service import BatchServer, Servers
from simsiam_tf.data.sources import SOURCES, Splits, from_arrays, load
from simsiam_tf.data.subsets import holdout, stratified_subset

__all__ = [
    "SOURCES",
    "ArrayImages",
    "BatchServer",
    "ContinualOrder",
    "EpochOrder",
    "ImageSet",
    "Servers",
    "Splits",
    "from_arrays",
    "holdout",
    "load",
    "stratified_subset",
    "training_batches",
]
