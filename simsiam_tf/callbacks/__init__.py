"""Keras callbacks: for any `fit` of a method of this package. Thin; evaluation and diagnostics do the work."""

from simsiam_tf.callbacks.collapse import CollapseMonitor
from simsiam_tf.callbacks.divergence import DivergenceMonitor
from simsiam_tf.callbacks.features import MonitorImages
from simsiam_tf.callbacks.held_out import HeldOut
from simsiam_tf.callbacks.knn import KNNMonitor
from simsiam_tf.callbacks.linear import LinearProbe
from simsiam_tf.callbacks.progress import ProgressBar
from simsiam_tf.callbacks.record import Rates, RunRecord
from simsiam_tf.callbacks.spectra import SpectrumMonitor
from simsiam_tf.callbacks.views import ViewImages, view_grid

__all__ = [
    "CollapseMonitor",
    "DivergenceMonitor",
    "HeldOut",
    "KNNMonitor",
    "LinearProbe",
    "MonitorImages",
    "ProgressBar",
    "Rates",
    "RunRecord",
    "SpectrumMonitor",
    "ViewImages",
    "view_grid",
]
