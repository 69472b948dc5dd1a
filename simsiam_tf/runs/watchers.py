"""What looks on while a run is trained: the callbacks of a Config."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

import keras
import numpy as np

from simsiam_tf.callbacks import (
    CollapseMonitor,
    DivergenceMonitor,
    HeldOut,
    KNNMonitor,
    LinearProbe,
    MonitorImages,
    ProgressBar,
    Rates,
    RunRecord,
    SpectrumMonitor,
    ViewImages,
)
from simsiam_tf.callbacks.energy import EnergyMeter
from simsiam_tf.callbacks.heartbeat import Heartbeat
from simsiam_tf.runs.checkpointer import Checkpointer
from simsiam_tf.runs.event_files import EventFiles
from simsiam_tf.runs.interrupt import Interrupt
from simsiam_tf.runs.label_free import SampleViews
from simsiam_tf.runs.labelled import learns_labels
from simsiam_tf.runs.stop import SharedStop
from simsiam_tf.runs.workers import Workers
from simsiam_tf.settings.schema import Config

log = logging.getLogger("simsiam_tf")


@dataclass
class Watchers:
    """The callbacks of one worker, and those that the run speaks to by name.

    Args:
        callbacks: In the order in which they see the logs.
        stop: Ends training in all workers.
        probes: The linear probe, if there is one.
        record, monitor, spectra, knn, held_out, rates, checkpointer, events: Of the first worker; None in the others.
    """

    callbacks: list[keras.callbacks.Callback]
    stop: SharedStop
    probes: list[LinearProbe] = field(default_factory=list)
    record: RunRecord | None = None
    monitor: CollapseMonitor | None = None
    spectra: SpectrumMonitor | None = None
    knn: KNNMonitor | None = None
    held_out: HeldOut | None = None
    rates: Rates | None = None
    checkpointer: Checkpointer | None = None
    events: EventFiles | None = None

    def resume(self, model, workers: Workers) -> None:
        """Bring all workers to the newest checkpoint, if there is one, or else to where the first one is.

        Raises:
            InputError: no checkpoint of the folder can be used.
        """
        if self.checkpointer:
            self.checkpointer.resume(model)
        probes = [variable for probe in self.probes for variable in probe.variables]
        workers.share(model.weights + model.optimizer.variables + probes)
        if self.events:
            self.events.begin(model)
        self.stop.ask_monitors()

    def close(self) -> None:
        """End the progress bar's line, and see the last checkpoint written.

        Raises:
            InputError: it could not be.
        """
        for callback in self.callbacks:
            if isinstance(callback, ProgressBar):
                callback.close()
        if self.checkpointer:
            self.checkpointer.wait()


def make_watchers(config: Config, model, splits, folder, interrupt: Interrupt, steps_per_epoch: int, workers: Workers):
    """The watchers of this worker; those of another than the first decide what is trained, and when it ends.

    Where labels are learned, held-out ones watch. Nothing looks for a collapse of what cannot, see `MethodSettings`.
    """
    crop = config.data.image_size
    train = MonitorImages(splits.train, crop=crop)
    test = None if splits.test is None else MonitorImages(splits.test, crop=crop)
    judged = test is not None and test.labels is not None
    divergence = DivergenceMonitor(steps_per_epoch)
    learned = learns_labels(config)
    probes = [] if learned else _probes(config, model, train, test if judged and workers.chief else None)
    if not workers.chief:
        stop = SharedStop(workers, interrupt)
        return Watchers([divergence, *probes, stop], stop, probes)
    m = config.monitor
    record, rates, monitor = RunRecord(folder.metrics), Rates(config.optimizer.batch_size), None
    callbacks = [divergence, rates, Heartbeat(folder.lock)]
    if m.collapse_epochs and config.method.can_collapse:
        whole = {"epochs": config.optimizer.epochs, "steps_per_epoch": steps_per_epoch}
        monitor = CollapseMonitor(
            train, m.collapse_epochs, m.collapse_patience, stop=m.stop_on_collapse, path=folder.looks, **whole
        )
        callbacks.append(monitor)
    knn = held_out = spectra = None
    if m.spectrum_epochs and not learned:
        views = SampleViews(config, splits.train)
        spectra = SpectrumMonitor(train, m.spectrum_epochs, folder.spectra, views)
    if not learned:
        knn = _knn(config, train, test, judged)
    elif test is None:
        log.info("too few labels to hold any out: the last epoch is kept")
    else:
        held_out = HeldOut(test, record, config.method.patience, steps_per_epoch)
    callbacks += [each for each in (spectra, knn, held_out, *probes) if each]
    events = None
    if m.tensorboard:
        few = train.sample(8).images
        squares, sizes = few.whole(np.arange(len(few)))
        every = -(-config.optimizer.epochs // 10)
        views = ViewImages(squares, folder.tensorboard / "views", every, sizes)
        events = EventFiles(config, folder, record, monitor, views, steps_per_epoch)
    stop = SharedStop(workers, interrupt, [each for each in (monitor, held_out) if each])
    t = config.training
    checkpoints = folder.checkpoint_folder(t.keep_checkpoints)
    saved = probes, monitor, t.checkpoint_epochs, held_out
    checkpointer = Checkpointer(checkpoints, record, stop, divergence, *saved)
    energy = EnergyMeter() if EnergyMeter.available() else None
    last = energy, stop, record, events, ProgressBar(config.optimizer.epochs), checkpointer
    callbacks += [each for each in last if each]
    return Watchers(callbacks, stop, probes, record, monitor, spectra, knn, held_out, rates, checkpointer, events)


def _probes(config, model, train, queries):
    if not config.monitor.linear_probe or train.labels is None or train.labels.max() == 0:
        return []
    probe = LinearProbe(int(train.labels.max()) + 1, queries, every=config.monitor.knn_epochs or 10)
    probe.set_model(model)
    return [probe]


def _knn(config, train, test, judged):
    if train.labels is None:
        log.info("no labels: kNN monitor and linear probe are off")
    elif not judged:
        log.info("no labelled test images: no kNN, no evaluation; data.validation_fraction 0.2 holds some out")
    elif config.monitor.knn_epochs:
        m, e = config.monitor, config.evaluation
        given = {"k": e.neighbors, "temperature": e.temperature}
        fixed = {name: value for name, value in given.items() if value != "auto"}
        return KNNMonitor(train.sample(m.knn_bank), test, m.knn_epochs, **fixed)
    return None
