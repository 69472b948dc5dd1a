"""The best epoch on held-out labels, and when it is long ago."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from simsiam_tf.callbacks import HeldOut

IMAGES, LABELS = np.zeros((6, 4, 4, 3), np.uint8), np.array([0, 0, 1, 1, 2, 2])


def held_out(rows=(), patience=2):
    return HeldOut((IMAGES, LABELS), SimpleNamespace(rows=list(rows)), patience, steps_per_epoch=5)


def row(epoch, accuracy, loss):
    return {"epoch": epoch, "step": 5 * epoch, "val_accuracy": accuracy, "val_loss": loss}


@pytest.mark.parametrize(
    ("figures", "best", "stopped"),
    [
        ([(0.5, 1.0)], 1, False),
        ([(0.5, 1.0), (0.4, 0.1)], 1, False),
        ([(0.5, 1.0), (0.4, 0.1), (0.4, 0.1)], 1, True),  # two epochs ago
        ([(0.5, 1.0), (0.5, 0.9), (0.5, 0.95)], 2, False),  # of the same accuracy, the lower loss
        ([(0.5, 1.0), (0.5, 1.0), (0.5, 1.0)], 1, True),  # of the same, the first
        ([(0.5, 1.0), (0.4, 0.1), (0.6, 3.0), (0.1, 1.0)], 3, False),
    ],
)
def test_the_best_epoch(figures, best, stopped):
    callback = held_out()
    callback.judge([row(epoch, *each) for epoch, each in enumerate(figures, 1)])
    assert (callback.best["epoch"], callback.stopped) == (best, stopped)


def test_without_an_epoch_there_is_no_best():
    callback = held_out()
    callback.judge([{"epoch": 1, "step": 3, "loss": 1.0}])
    assert (callback.best, callback.stopped) == (None, False)


class Model:
    """Logits by a table, at a step."""

    logits = tf.constant(np.random.default_rng(0).normal(size=(6, 3)), tf.float32)

    def __init__(self, step):
        self.step = tf.Variable(step)

    def __call__(self, images, training=False):
        return self.logits

    def classifier(self, features, training=False):
        return features


def test_figures_are_those_of_the_logits_and_of_whole_epochs_alone():
    callback, logs = held_out([row(1, 0.0, 9.0), row(7, 1.0, 0.0)]), {"loss": 1.0}  # the last of an earlier life
    callback.set_model(Model(10))
    callback.on_epoch_end(1, logs)
    logits = Model.logits.numpy().astype(float)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = -np.mean([np.log(p[n, label]) for n, label in enumerate(LABELS)])
    assert logs["val_loss"] == pytest.approx(expected, rel=1e-6)
    assert logs["val_accuracy"] == np.mean(p.argmax(axis=1) == LABELS)
    assert (callback.best["epoch"], callback.best["step"]) == (2, 10)
    part = {"loss": 1.0}
    callback.set_model(Model(13))
    callback.on_epoch_end(2, part)
    assert (part, callback.best["epoch"]) == ({"loss": 1.0}, 2)
