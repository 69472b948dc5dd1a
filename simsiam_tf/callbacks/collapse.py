"""Says, while training, whether the representation is collapsing, and ends a run that has collapsed."""

import logging

import keras

from simsiam_tf.callbacks.features import MonitorImages
from simsiam_tf.errors import InputError
from simsiam_tf.evaluation.collapse import collapse_report
from simsiam_tf.evaluation.features import Extractor

log = logging.getLogger("simsiam_tf.collapse")
SAMPLE = 512


class CollapseMonitor(keras.callbacks.Callback):
    """Adds "feature_std", "correlation_strength" and "effective_rank" of the projections to the logs.

    The projections are those of un-augmented images in inference mode. A verdict in words is logged whenever it
    changes; see `evaluation.collapse.collapse_report` for its thresholds.

    Args:
        images: uint8 array (n, h, w, 3) or MonitorImages; 512 of them, evenly spaced, are used.
        every: Epochs between two looks; the last epoch is always looked at.
        patience: "collapsed" verdicts in a row that end the training.
        grace_steps: Steps before a verdict counts towards `patience`: an untrained network can look collapsed.
        stop: False reports and goes on.

    Attributes:
        verdict: "healthy", "at risk" or "collapsed"; None before the first look.
        sentence: The verdict with its figures.
        stopped: "collapsed" if training was ended for it, else None.
    """

    def __init__(self, images, every=5, patience=3, grace_steps=50, stop=True):
        super().__init__()
        if patience < 1:
            raise InputError(f"patience: {patience}; give 1 or more")
        self.images = (images if isinstance(images, MonitorImages) else MonitorImages(images)).sample(SAMPLE)
        self.every, self.patience, self.grace_steps, self.stop = every, patience, grace_steps, stop
        self.verdict = self.sentence = self.stopped = None
        self.in_a_row = 0
        self._extractor = None

    def set_model(self, model):
        super().set_model(model)
        if not hasattr(model, "project"):
            raise InputError(
                f"CollapseMonitor: {type(model).__name__} has no project(images); give it to a method such as SimSiam"
            )
        self._extractor = Extractor(lambda images, training: model.project(images))

    def projections(self):
        """Projections (n, d) of the sample at the present step."""
        return self._extractor(self.images.batches())

    @property
    def state(self):
        """What a resumed run has to know, as plain values."""
        return {name: getattr(self, name) for name in ("verdict", "sentence", "stopped", "in_a_row")}

    @state.setter
    def state(self, values):
        for name, value in values.items():
            setattr(self, name, value)

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every and epoch + 1 != self.params["epochs"]:
            return
        report = collapse_report(self.projections())
        logs["feature_std"] = report.feature_std
        logs["correlation_strength"] = report.correlation_strength
        logs["effective_rank"] = report.effective_rank
        if report.verdict != self.verdict:
            level = logging.INFO if report.verdict == "healthy" else logging.WARNING
            log.log(level, "epoch %d: %s", epoch + 1, report.sentence)
        self.verdict, self.sentence = report.verdict, report.sentence
        counts = report.verdict == "collapsed" and int(self.model.step.numpy()) > self.grace_steps
        self.in_a_row = self.in_a_row + 1 if counts else 0
        if self.in_a_row >= self.patience:
            self._end(epoch)

    def _end(self, epoch):
        if not self.stop:
            return
        self.stopped = "collapsed"
        self.model.stop_training = True
        log.error(
            "epoch %d: training ended, the run has collapsed (%s). Usual causes: learning rate or weight decay too "
            "high, and, in SimSiam, a missing stop-gradient or predictor.",
            epoch + 1,
            self.sentence,
        )
