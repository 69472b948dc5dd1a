"""The monitors in an ordinary model.fit, against the evaluators they call."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from fitting import CLASSES, run
from simsiam_tf import CollapseMonitor, KNNMonitor, LinearProbe
from simsiam_tf.callbacks import DivergenceMonitor, MonitorImages, Rates, SpectrumMonitor, ViewImages, view_grid
from simsiam_tf.errors import Diverged, InputError
from simsiam_tf.evaluation.knn import knn_accuracy


def test_knn_monitor_reports_what_knn_on_predictions_gives(small_model, colours):
    model = small_model()
    bank, queries = (colours[:40], CLASSES[:40]), (colours[40:], CLASSES[40:])
    history = run(model, colours, [KNNMonitor(bank, queries, every=1, k=7)])
    features = model.predict(colours, verbose=0)
    expected = knn_accuracy(features[:40], CLASSES[:40], features[40:], CLASSES[40:], k=7)
    assert history["knn_accuracy"][-1] == pytest.approx(expected)
    assert len(history["knn_accuracy"]) == 2


@pytest.mark.parametrize(("k", "temperature", "right"), [(1, 10.0, 1.0), (3, 10.0, 0.0), (3, 1e-3, 1.0)])
def test_knn_monitor_counts_its_k_neighbours_by_its_temperature(small_model, k, temperature, right):
    """A query on one neighbour of its class, with two of another class at 0.3 radian: at 0.1 the two would win."""

    class Given(MonitorImages):
        def features(self, model):
            return np.stack([np.cos(self.angles), np.sin(self.angles)], axis=1).astype("float32")

    bank, queries = Given(np.zeros((3, 4, 4, 3)), [1, 0, 0]), Given(np.zeros((1, 4, 4, 3)), [1])
    bank.angles, queries.angles = np.array([0.0, 0.3, 0.3]), np.array([0.0])
    monitor, logs = KNNMonitor(bank, queries, every=1, k=k, temperature=temperature), {}
    monitor.set_model(small_model(compiled=False))
    monitor.set_params({"epochs": 1})
    monitor.on_epoch_end(0, logs)
    assert logs == {"knn_accuracy": right}


def test_knn_monitor_measures_at_its_interval_and_at_the_end(small_model, colours):
    measured = []
    look = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: measured.append("knn_accuracy" in logs))
    pair = (colours, CLASSES)
    run(small_model(), colours, [KNNMonitor(pair, pair, every=2), look], epochs=5)
    assert measured == [False, True, False, True, True]


def test_shared_monitor_images_are_encoded_once_a_step(small_model, colours):
    class Counted(MonitorImages):
        passes = 0

        def batches(self):
            Counted.passes += 1
            return super().batches()

    pair = Counted(colours, CLASSES)
    callbacks = [KNNMonitor(pair, pair, every=1), LinearProbe(4, pair, every=1)]
    run(small_model(), colours, callbacks, CLASSES)
    assert Counted.passes == 2  # epochs


def test_linear_probe_learns_and_leaves_the_encoder_alone(small_model, colours):
    plain, probed = small_model(), small_model()
    run(plain, colours, [], CLASSES, epochs=8)
    probe = LinearProbe(4, (colours, CLASSES), every=1, learning_rate=0.02)
    history = run(probed, colours, [probe], CLASSES, epochs=8)
    assert history["val_probe_accuracy"][-1] > 0.9
    assert history["probe_accuracy"][-1] > history["probe_accuracy"][0]
    for a, b in zip(plain.trainable_variables, probed.trainable_variables, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert len(plain.variables) == len(probed.variables)


def test_linear_probe_learns_from_the_first_view(small_model, images):
    class Noting:
        metrics = ()

        def train_step(self, features, labels):
            self.features, self.labels = features, labels
            return {}

    model, probe = small_model(), Noting()
    model.attach_probe(probe)
    first, last = (model.backbone(view, training=True) for view in model.draw_views(images[:16], 0))
    model.train_step((tf.constant(images[:16]), tf.constant(CLASSES[:16])))
    np.testing.assert_allclose(probe.features, first, rtol=1e-5, atol=1e-6)
    assert np.abs(first - last).max() > 1e-3
    np.testing.assert_array_equal(probe.labels, CLASSES[:16])


def test_linear_probe_is_judged_by_its_running_statistics(small_model):
    probe, generator = LinearProbe(4), np.random.default_rng(3)
    probe.set_model(small_model(compiled=False))
    head, features = probe.head, generator.normal(3.0, 2.0, (64, 8)).astype("float32")
    mean, variance = generator.normal(size=8), generator.uniform(0.5, 2, 8)
    head.norm.moving_mean.assign(mean)
    head.norm.moving_variance.assign(variance)
    head.dense.kernel.assign(generator.normal(size=(8, 4)))

    def classes(mean, variance):
        return ((features - mean) / np.sqrt(variance + 1e-5) @ head.dense.kernel.numpy()).argmax(axis=1)

    before = [variable.numpy() for variable in probe.variables]
    np.testing.assert_array_equal(head.predict(features), classes(mean, variance))
    assert (classes(mean, variance) != classes(features.mean(axis=0), features.var(axis=0))).sum() > 5
    for old, new in zip(before, probe.variables, strict=True):
        np.testing.assert_array_equal(old, new)


def test_linear_probe_without_labels_in_fit_has_no_training_accuracy(small_model, colours):
    assert "probe_accuracy" not in run(small_model(), colours, [LinearProbe(4)])


def test_rates_of_both_optimizers(small_model, colours):
    history = run(small_model(), colours, [Rates(16)])
    base = 0.5 * 16 / 256
    assert history["learning_rate"] == pytest.approx([base, base / 2])  # cosine over two epochs
    assert history["predictor_learning_rate"] == pytest.approx([base, base])
    assert all(rate > 0 for rate in history["images_per_second"])
    assert history["images_per_second"][0] == pytest.approx(64 / history["epoch_seconds"][0])


def test_view_grid_shows_images_above_their_views(small_model, colours):
    model = small_model()
    grid = view_grid(model, colours[:3], step=5)
    assert grid.shape == (3 * 14, 3 * 14, 3)
    np.testing.assert_array_equal(grid[1:13, 1:13], colours[0])
    view = model.draw_views(colours[:3], 5)[1][2]
    np.testing.assert_allclose(grid[29:41, 29:41], view, atol=0.51)


def test_tensorboard_gets_scalars_and_views(small_model, colours, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    callbacks = [
        Rates(16),
        KNNMonitor((colours, CLASSES), (colours, CLASSES), every=1),
        CollapseMonitor(colours),
        ViewImages(colours[:4], tmp_path / "images"),
        keras.callbacks.TensorBoard(str(tmp_path), write_graph=False),
    ]
    run(small_model(), colours, callbacks)
    tags = {}
    for folder in {path.parent for path in tmp_path.rglob("events.out.tfevents.*")}:
        accumulator = EventAccumulator(str(folder))
        accumulator.Reload()
        for kind, names in accumulator.Tags().items():
            tags.setdefault(kind, set()).update(names if isinstance(names, list) else [])
    scalars = {"knn_accuracy", "feature_std", "predictor_learning_rate", "learning_rate", "images_per_second", "loss"}
    assert {f"epoch_{name}" for name in scalars} <= tags["tensors"] | tags["scalars"]
    assert "views" in " ".join(tags["tensors"] | tags["images"])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x: KNNMonitor((x, None), (x, CLASSES)), "bank.*no labels"),
        (lambda x: KNNMonitor(x, (x, CLASSES)), "bank.*pair"),
        (lambda x: KNNMonitor((x, CLASSES[:5]), (x, CLASSES)), "5 for 64"),
        (lambda x: LinearProbe(1), "num_classes: 1"),
        (lambda x: CollapseMonitor(x, patience=0), "patience: 0"),
    ],
)
def test_bad_arguments_are_named(colours, make, message):
    with pytest.raises(InputError, match=message):
        make(colours)


@pytest.mark.parametrize("callback", [LinearProbe(3), CollapseMonitor(np.zeros((4, 8, 8, 3), np.uint8))])
def test_a_foreign_model_is_refused(callback):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    with pytest.raises(InputError, match="SimSiam"):
        callback.set_model(model)


def test_an_update_that_overflows_alone_ends_the_epoch(small_model, images):
    """Loss and gradients were finite: only the weights tell."""
    model = small_model()
    model.train_step(tf.constant(images[:16]))
    monitor = DivergenceMonitor(steps_per_epoch=4)
    monitor.set_model(model)
    monitor.on_epoch_end(0)
    variance = model.backbone.get_layer("bn1").moving_variance
    variance.assign(tf.fill(variance.shape, np.inf))
    with pytest.raises(Diverged, match=r"step 1, batch 1 of 4 of epoch 1"):
        monitor.on_epoch_end(0)


def test_a_model_is_traced_once_for_all_who_watch_it(small_model, colours, monkeypatch):
    model, traced = small_model(), {"call": 0, "project": 0}

    def counted(name, original):
        def forward(*arguments, **options):
            traced[name] += 1
            return original(*arguments, **options)

        return forward

    for name in traced:
        monkeypatch.setattr(model, name, counted(name, getattr(model, name)))
    bank, queries = MonitorImages(colours, CLASSES, batch_size=32), MonitorImages(colours[32:], CLASSES[32:], 32)
    watchers = [KNNMonitor(bank, queries, 1, k=5), SpectrumMonitor(bank), CollapseMonitor(bank, 1)]
    run(model, colours, watchers)
    run(model, colours, watchers)
    assert traced == {"call": 1, "project": 1}
