"""Says, while training, whether the representation is collapsing, and ends a run that has collapsed."""

import logging
import math

import keras

from simsiam_tf.callbacks.features import MonitorImages, projections_of
from simsiam_tf.callbacks.record import write_rows
from simsiam_tf.errors import InputError
from simsiam_tf.evaluation.collapse import collapse_figures
from simsiam_tf.evaluation.verdict import GRACE, judge

log = logging.getLogger("simsiam_tf.collapse")
SAMPLE = 512


class CollapseMonitor(keras.callbacks.Callback):
    """Adds "feature_std", "correlation_strength" and "effective_rank" of the projections to the logs.

    The projections are those of un-augmented images in inference mode. A verdict in words is logged whenever it
    changes; see `evaluation.verdict.judge`, which sees all looks so far.

    Args:
        images: uint8 array (n, h, w, 3) or MonitorImages; 512 of them, evenly spaced, are used.
        every: Epochs between two looks, or "auto": 40 to 79 looks in a run, within its epochs if there are fewer. The
            last epoch is always looked at.
        patience: "collapsed" verdicts in a row that end the training.
        grace_steps: Steps before looks count: an untrained network can look collapsed.
        stop: False reports and goes on.
        path: CSV file that keeps all looks, or None.
        epochs, steps_per_epoch: Of the whole run; default: those of the present `fit`.

    Attributes:
        looks: Of each look its step and figures, as `collapse_figures` has them.
        verdict: "healthy", "at risk" or "collapsed"; None before the first look.
        sentence: The verdict with its figures.
        stopped: "collapsed" if training was ended for it, else None.
    """

    LOOKS = 40

    def __init__(
        self,
        images,
        every="auto",
        patience=3,
        grace_steps=GRACE,
        stop=True,
        path=None,
        epochs=None,
        steps_per_epoch=None,
    ):
        super().__init__()
        if patience < 1:
            raise InputError(f"patience: {patience}; give 1 or more")
        self.images = (images if isinstance(images, MonitorImages) else MonitorImages(images)).sample(SAMPLE)
        self.every, self.patience, self.grace_steps, self.stop = every, patience, grace_steps, stop
        self.path, self.looks = path, []
        self.epochs, self.steps_per_epoch = epochs, steps_per_epoch
        self.verdict = self.sentence = self.stopped = None
        self.in_a_row = 0
        self._extractor = None

    def set_model(self, model):
        super().set_model(model)
        self._extractor = projections_of(model, self)

    @classmethod
    def looks_in_epoch(cls, epochs):
        """Looks that "auto" has in an epoch of so many."""
        return math.ceil(cls.LOOKS / epochs)

    def projections(self):
        """Projections (n, d) of the sample at the present step."""
        return self._extractor(self.images.batches())

    @property
    def state(self):
        """What a resumed run has to know, as plain values."""
        return {name: getattr(self, name) for name in ("looks", "verdict", "sentence", "stopped", "in_a_row")}

    @state.setter
    def state(self, values):
        for name, value in values.items():
            setattr(self, name, value)
        self._write()

    def on_epoch_begin(self, epoch, logs=None):
        self._begin = self._step = int(self.model.step.numpy())

    def on_train_batch_end(self, batch, logs=None):
        before, self._step = self._step, self._begin + batch + 1
        steps = self.steps_per_epoch or self.params["steps"]
        if self.every != "auto" or not steps or self._step % steps == 0:
            return
        parts = self.looks_in_epoch(self.epochs or self.params["epochs"])
        if self._step * parts // steps > before * parts // steps:
            self.look(self._step)

    def on_epoch_end(self, epoch, logs=None):
        every = max(1, (self.epochs or self.params["epochs"]) // self.LOOKS) if self.every == "auto" else self.every
        if (epoch + 1) % every == 0 or epoch + 1 == self.params["epochs"]:
            logs.update(self.look(int(self.model.step.numpy())))
        if self.in_a_row >= self.patience and self.stop:
            self._end(epoch)

    def look(self, step):
        """Judge the projections at this step; returns their figures for the logs."""
        figures = collapse_figures(self.projections())
        self.looks = [earlier for earlier in self.looks if earlier["step"] < step] + [{"step": step, **figures}]
        self._write()
        found = judge(self.looks, self.grace_steps)
        if found.verdict != self.verdict:
            level = logging.INFO if found.verdict == "healthy" else logging.WARNING
            log.log(level, "step %d: %s", step, found.sentence)
        self.verdict, self.sentence = found.verdict, found.sentence
        counts = found.verdict == "collapsed" and step > self.grace_steps
        self.in_a_row = self.in_a_row + 1 if counts else 0
        return {name: figures[name] for name in ("feature_std", "correlation_strength", "effective_rank")}

    def _write(self):
        if self.path:
            write_rows(self.path, self.looks)

    def _end(self, epoch):
        self.stopped = "collapsed"
        self.model.stop_training = True
        log.error(
            "epoch %d: training ended, the run has collapsed (%s). Usual causes: learning rate or weight decay too "
            "high, and, in SimSiam, a missing stop-gradient or predictor.",
            epoch + 1,
            self.sentence,
        )
