"""What looks on while a run is trained: a Config's callbacks, brought to where the run was."""

from __future__ import annotations

import logging

import keras

from simsiam_tf.callbacks import (
    CollapseMonitor,
    DivergenceMonitor,
    KNNMonitor,
    LinearProbe,
    MonitorImages,
    ProgressBar,
    Rates,
    RunRecord,
    ViewImages,
)
from simsiam_tf.callbacks.heartbeat import Heartbeat
from simsiam_tf.runs.checkpointer import Checkpointer
from simsiam_tf.runs.interrupt import Interrupt
from simsiam_tf.runs.together import Together
from simsiam_tf.runs.workers import Workers
from simsiam_tf.settings.schema import Config

log = logging.getLogger("simsiam_tf")


def make_callbacks(config: Config, model, splits, folder, interrupt: Interrupt, steps_per_epoch: int, workers: Workers):
    """The callbacks in the order in which they see the logs, brought to the newest checkpoint.

    Workers without the folder have those that decide what is trained, and when it ends.
    """
    m = config.monitor
    crop = config.data.image_size
    train = MonitorImages(splits.train, crop=crop)
    test = None if splits.test is None else MonitorImages(splits.test, crop=crop)
    divergence = DivergenceMonitor(steps_per_epoch)
    judged = test is not None and test.labels is not None
    probes = []
    if m.linear_probe and train.labels is not None and train.labels.max() > 0:
        queries = test if judged and folder else None
        probes.append(LinearProbe(int(train.labels.max()) + 1, queries, every=m.knn_epochs or 10))
        probes[0].set_model(model)
    if not folder:
        together = Together(workers, interrupt)
        share_state(model, probes, together)
        return [divergence, *probes, together], together, None
    record = RunRecord(folder.metrics)
    callbacks: list[keras.callbacks.Callback] = [divergence, Rates(config.optimizer.batch_size), Heartbeat(folder.lock)]
    monitor = None
    if m.collapse_epochs:
        monitor = CollapseMonitor(train, m.collapse_epochs, m.collapse_patience, stop=m.stop_on_collapse)
        callbacks.append(monitor)
    if train.labels is None:
        log.info("no labels: kNN monitor and linear probe are off")
    elif not judged:
        log.info("no labelled test images: no kNN, no evaluation; data.validation_fraction 0.2 holds some out")
    elif m.knn_epochs:
        e = config.evaluation
        bank = train.sample(m.knn_bank)
        callbacks.append(KNNMonitor(bank, test, m.knn_epochs, k=e.neighbors, temperature=e.temperature))
    callbacks.extend(probes)
    if m.tensorboard:
        callbacks.append(ViewImages(next(iter(train.sample(8).batches())), folder.tensorboard / "images"))
        callbacks.append(keras.callbacks.TensorBoard(str(folder.tensorboard), write_graph=False))
    checkpoints = folder.checkpoint_folder(config.training.keep_checkpoints)
    together = Together(workers, interrupt, monitor)
    checkpointer = Checkpointer(
        checkpoints, record, together, divergence, probes, monitor, config.training.checkpoint_epochs
    )
    checkpointer.resume(model)
    share_state(model, probes, together)
    return [*callbacks, together, record, ProgressBar(config.optimizer.epochs), checkpointer], together, record


def share_state(model, probes, together: Together) -> None:
    """Bring all workers to where the first one is."""
    together.workers.share(model.weights + model.optimizer.variables + [v for probe in probes for v in probe.variables])
    together.ask_monitor()
