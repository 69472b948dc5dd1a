"""The collapse monitor among the callbacks of a run."""

import logging

import keras
import numpy as np
import pytest

from fitting import CLASSES, run
from simsiam_tf import CollapseMonitor
from simsiam_tf.callbacks import MonitorImages
from simsiam_tf.data import from_arrays
from simsiam_tf.evaluation.collapse import collapse_report


def test_collapse_monitor_reports_the_projections(small_model, colours):
    model = small_model()
    history = run(model, colours, [CollapseMonitor(colours)])
    expected = collapse_report(np.asarray(model.project(colours)))
    assert history["feature_std"][-1] == pytest.approx(expected.feature_std, rel=1e-4)
    assert history["correlation_strength"][-1] == pytest.approx(expected.correlation_strength, rel=1e-4)
    assert history["effective_rank"][-1] == pytest.approx(expected.effective_rank, rel=1e-3)


def collapsed(small_model):
    """A model all of whose projections are one vector."""
    model = small_model(head_norm="hidden")
    kernel, bias = model.projector.stages[-1].variables
    kernel.assign(kernel * 0)
    bias.assign(bias * 0 + 1)
    for optimizer in model.optimizer.optimizers:
        optimizer._learning_rate = keras.optimizers.schedules.ExponentialDecay(0.0, 1, 1.0)
    return model


def test_collapse_monitor_ends_a_collapsed_run(small_model, colours, caplog):
    monitor = CollapseMonitor(colours, every=1, patience=2, grace_steps=0)
    with caplog.at_level(logging.INFO, "simsiam_tf.collapse"):
        history = run(collapsed(small_model), colours, [monitor], epochs=6)
    assert len(history["loss"]) == 4  # three looks say it, the fourth confirms it
    assert (monitor.verdict, monitor.stopped) == ("collapsed", "collapsed")
    assert "training ended" in caplog.text


def test_collapse_monitor_gives_a_new_network_time(small_model, colours):
    monitor = CollapseMonitor(colours, every=1, patience=1, grace_steps=8)
    assert len(run(collapsed(small_model), colours, [monitor], epochs=6)["loss"]) == 5  # steps 12, 16 and 20 count


@pytest.mark.parametrize(
    ("epochs", "every", "steps"),
    [
        (2, 1, [4, 8]),
        (2, "auto", [1, 2, 3, 4, 5, 6, 7, 8]),  # 40 looks in 8 steps: at every one
        (20, "auto", [2 * step for step in range(1, 41)]),
        (40, "auto", [4 * step for step in range(1, 41)]),
        (80, "auto", [8 * step for step in range(1, 41)]),
        (3, 2, [8, 12]),  # the last epoch is looked at in any case
    ],
)
def test_collapse_monitor_looks_forty_times(small_model, colours, epochs, every, steps):
    """As `fit` calls it, at made-up projections."""
    monitor, model = CollapseMonitor(colours, every), small_model()
    monitor.projections = lambda: np.random.default_rng(0).normal(size=(40, 16))
    monitor.set_model(model)
    monitor.set_params({"epochs": epochs, "steps": 4})
    for epoch in range(epochs):
        monitor.on_epoch_begin(epoch)
        for batch in range(4):
            model.step.assign_add(1)
            monitor.on_train_batch_end(batch)
        monitor.on_epoch_end(epoch, {})
    assert [look["step"] for look in monitor.looks] == steps


def test_a_resumed_run_has_the_looks_of_one_in_one_piece(small_model, colours, tmp_path):
    """A checkpoint is of the end of an epoch; what was seen after it is seen again."""
    whole = {"epochs": 4, "steps_per_epoch": 4}
    straight = CollapseMonitor(colours, path=tmp_path / "straight.csv", **whole)
    run(small_model(), colours, [straight], epochs=4)
    first = CollapseMonitor(colours, path=tmp_path / "parts.csv", **whole)
    model = small_model()
    run(model, colours, [first], epochs=2)
    state = {name: value[:] if isinstance(value, list) else value for name, value in first.state.items()}
    weights = [variable.numpy() for variable in model.weights + model.optimizer.variables]
    run(model, colours, [first], epochs=1)  # lost
    for variable, value in zip(model.weights + model.optimizer.variables, weights, strict=True):
        variable.assign(value)
    second = CollapseMonitor(colours, path=tmp_path / "parts.csv", **whole)
    second.state = state
    model.fit(colours, None, 16, 4, 0, [second], shuffle=False, initial_epoch=2)
    assert [look["step"] for look in second.looks] == list(range(1, 17))
    assert second.looks == straight.looks
    assert (tmp_path / "parts.csv").read_text() == (tmp_path / "straight.csv").read_text()
    assert (second.verdict, second.sentence) == (straight.verdict, straight.sentence)


def test_a_sample_is_spread_over_sorted_images(colours):
    order = np.argsort(CLASSES, kind="stable")
    for images in (colours[order], from_arrays(colours[order], CLASSES[order])):
        sample = MonitorImages(images, CLASSES[order]).sample(8)
        assert np.bincount(sample.labels).tolist() == [2, 2, 2, 2]
        np.testing.assert_array_equal(next(iter(sample.batches()))[0], colours[order][0])
    assert len(CollapseMonitor(np.zeros((600, 4, 4, 3), np.uint8)).images) == 512


def test_collapse_monitor_goes_on_when_told_to(small_model, colours):
    monitor = CollapseMonitor(colours, every=1, patience=1, grace_steps=0, stop=False)
    history = run(collapsed(small_model), colours, [monitor], epochs=3)
    assert len(history["loss"]) == 3
    assert monitor.verdict == "collapsed"
    assert monitor.stopped is None
