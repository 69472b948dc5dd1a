"""What a method may ask of a batch, and views that are not alike."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from simsiam_tf import SimSiam, make_optimizer, recipe
from simsiam_tf.callbacks import view_grid
from simsiam_tf.data import from_arrays, training_batches
from simsiam_tf.errors import InputError
from simsiam_tf.runs.build import build_augmenter
from simsiam_tf.settings.augmentation import AugmentationSettings, ViewSettings
from simsiam_tf.settings.methods.simsiam import SimSiamSettings
from simsiam_tf.settings.schema import Config, DataSettings
from small_methods import BATCH, SIDE, STEPS, backbone, build, images, labels, small


@keras.saving.register_keras_serializable(package="tests")
class Asking(SimSiam):
    """Sums up what it is given of a batch."""

    reads = frozenset({"labels", "rows"})

    def build_heads(self, feature_dim):
        super().build_heads(feature_dim)
        self.seen = self.add_weight(name="seen", shape=(2,), dtype="int64", initializer="zeros", trainable=False)

    def after_step(self, outputs, batch):
        self.seen.assign_add([tf.reduce_sum(batch.rows), tf.reduce_sum(batch.rows * batch.labels)])


def test_a_method_that_asks_gets_row_numbers_and_labels():
    model = Asking(backbone(), recipe("none", image_size=SIDE), **small("simsiam"))
    model.compile(make_optimizer(model, 4, batch_size=BATCH, epochs=1))
    stream = training_batches(from_arrays(images(), labels()), BATCH, seed=3, with_labels=True, with_rows=True)
    model.fit(stream, steps_per_epoch=4, verbose=0, shuffle=False)
    rows = np.arange(64)  # an epoch visits each image once
    assert model.seen.numpy().tolist() == [rows.sum(), (rows * labels()).sum()]


def test_views_are_drawn_by_their_own_augmenters():
    whole, small_crop = recipe("none", image_size=8), recipe("none", image_size=4)
    model = build("simsiam", num_views=3)
    model.use_augmenter([whole, small_crop, small_crop])
    views = model.draw_views(tf.constant(images()[:2]), 0)
    assert [view.shape[1] for view in views] == [8, 4, 4]
    np.testing.assert_array_equal(views[0], images()[:2])


def config(*views, **options):
    method = SimSiamSettings(num_views=sum(view.count for view in views) or 2)
    return Config(
        method=method, data=DataSettings(image_size=16), augmentation=AugmentationSettings(views=views, **options)
    )


def test_kinds_of_views_become_augmenters():
    """Each kind takes what it leaves out from the common values, and its size from the images."""
    large = ViewSettings(min_area=0.14, count=2)
    little = ViewSettings(recipe="none", size=8, min_area=0.05, max_area=0.14, count=3)
    augmenters = build_augmenter(config(large, little, recipe="cifar10", flip=0.25))
    assert [each.image_size for each in augmenters] == [16, 16, 8, 8, 8]
    assert [(each.min_area, each.max_area) for each in augmenters[1:3]] == [(0.14, 1.0), (0.05, 0.14)]
    assert [each.flip for each in augmenters] == [0.25] * 5
    assert [each.grayscale for each in augmenters[1:3]] == [0.2, 0.0]
    assert augmenters[0] is augmenters[1]
    assert augmenters[2] is augmenters[4]


def test_without_kinds_there_is_one_augmenter_for_all():
    augmenter = build_augmenter(config(recipe="imagenet", hue=0.0), image_size=12)
    assert (augmenter.image_size, augmenter.hue, augmenter.blur_probability) == (12, 0.0, 0.5)


def test_the_views_must_be_as_many_as_the_method_has():
    with pytest.raises(InputError, match=r"augmentation.views: 3, but the method has 2; give as many"):
        SimSiam(backbone(), [recipe("none", image_size=8)] * 3)
    with pytest.raises(InputError, match=r"method.num_views: 1 is no value of it; give a whole number 2 or more"):
        SimSiam(backbone(), num_views=1)


def test_settings_refuse_views_that_the_method_has_no_use_for():
    kinds = AugmentationSettings(views=(ViewSettings(count=3),))
    with pytest.raises(InputError, match=r"augmentation.views: 3, but simsiam has 2; give as many"):
        Config(augmentation=kinds)
    with pytest.raises(InputError, match=r"augmentation.view_sizes: views have sizes of their own, too"):
        AugmentationSettings(view_sizes=(8, 12), views=(ViewSettings(size=8, count=2),))
    with pytest.raises(InputError, match=r"augmentation.views.min_area: 0.5 is above max_area 0.2; give less"):
        ViewSettings(min_area=0.5, max_area=0.2)


def test_small_views_are_shown_in_the_middle_of_large_ones():
    model = SimSiam(backbone(), [recipe("none", image_size=8), recipe("none", image_size=4)], **small("simsiam"))
    grid = view_grid(model, images()[:3])
    assert grid.shape == (30, 30, 3)
    np.testing.assert_array_equal(grid[11:19, 1:9], images()[0])
    np.testing.assert_array_equal(grid[23:27, 3:7], model.draw_views(images()[:1], 0)[1][0])
    assert (grid[20:23] == 255).all()


def test_a_saved_method_keeps_its_kinds_of_views(tmp_path):
    model = SimSiam(backbone(), [recipe("none", image_size=8), recipe("none", image_size=4)], **small("simsiam"))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert [each.image_size for each in loaded.augmenters] == [8, 4]


def test_a_batch_in_parts_is_one_step_with_the_mean_of_their_gradients():
    """Each part passes the networks by itself, so BatchNorm sees it alone; the views are those of the whole batch."""
    parts, twin = build("simsiam", micro_batches=4), build("simsiam")
    batch = tf.constant(images()[:BATCH])
    parts.train_step(batch)
    gradients = []
    for start in range(0, BATCH, BATCH // 4):
        with tf.GradientTape() as tape:
            views = [view[start : start + BATCH // 4] for view in twin.draw_views(batch, 0)]
            loss = twin.objective(twin.forward(views))
        gradients.append(tape.gradient(loss, twin.trainable_variables))
    twin.optimizer.apply([tf.add_n(each) / 4 for each in zip(*gradients, strict=True)], twin.trainable_variables)
    for ours, by_hand in zip(parts.variables, twin.variables, strict=True):
        if not ours.path.endswith("/step"):
            np.testing.assert_allclose(ours, by_hand, rtol=1e-5, atol=1e-6, err_msg=ours.path)


def test_what_follows_a_step_in_parts_is_given_the_whole_batch():
    given = []

    class Noting(SimSiam):
        reads = frozenset({"labels", "rows"})

        def after_step(self, outputs, batch):
            given.append((outputs, batch))

    model = Noting(backbone(), recipe("none", image_size=SIDE), micro_batches=2, **small("simsiam"))
    model.compile(make_optimizer(model, 4, batch_size=BATCH, epochs=1))
    data = {"images": tf.constant(images()[:BATCH]), "rows": tf.range(BATCH)}
    model.train_step((data, tf.constant(labels()[:BATCH])))
    ((outputs, batch),) = given
    assert [each.shape for each in outputs["z"]] == [(BATCH, 16)] * 2
    assert batch.rows.numpy().tolist() == list(range(BATCH))
    assert np.isfinite(model.loss_tracker.result())


def test_a_batch_is_taken_in_equal_parts():
    model = build("simsiam", micro_batches=3)
    with pytest.raises(InputError, match=r"^micro_batches: 3 does not divide a batch of 16; give a divisor$"):
        model.train_step(tf.constant(images()[:BATCH]))


def test_the_spread_of_the_loss_is_that_of_the_epochs_steps():
    model, noted = build("simsiam"), []
    objective = model.objective
    model.objective = lambda outputs, batch: noted.append(objective(outputs, batch)) or noted[-1]
    model.compile(make_optimizer(model, STEPS, batch_size=BATCH, epochs=2), run_eagerly=True)
    for _ in range(2):  # the second epoch knows nothing of the first
        noted.clear()
        history = model.fit(images(), batch_size=BATCH, shuffle=False, verbose=0).history
        assert history["loss"] == pytest.approx([np.mean(noted)], rel=1e-5)
        assert history["loss_std"] == pytest.approx([np.std(noted)], rel=1e-5)
