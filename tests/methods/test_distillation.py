"""What is distillation's own: its teacher, the statistics of its features, and what it refuses."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import small_methods
from followers import N, make_method
from simsiam_tf import Distillation, recipe
from simsiam_tf.errors import InputError
from simsiam_tf.methods.distillation import Standardizer


def teacher():
    return small_methods.backbone(seed=7)


def test_the_standardizer_is_a_moving_average_by_hand():
    layer = Standardizer(2, momentum=0.5)
    rows = tf.constant([[0.0, 1.0], [2.0, 5.0]])
    np.testing.assert_allclose(layer.normalized(rows), rows / (1 + 1e-6), rtol=1e-6)
    for _ in range(2):
        layer.move(rows)
    # Of the batch 1 and 3, and by n - 1 the roots of 2 and 8; half, then three quarters of the way from 0 and 1.
    np.testing.assert_allclose(layer.mean, [0.75, 2.25], rtol=1e-6)
    np.testing.assert_allclose(layer.deviation, [0.25 + 0.75 * 2**0.5, 0.25 + 0.75 * 8**0.5], rtol=1e-6)
    layer.move(tf.constant([[0.0, 0.0]]))  # of a single row there is no deviation
    assert np.isfinite(layer.deviation).all()


def test_neither_teacher_nor_statistics_get_a_gradient():
    model = make_method("distillation", teacher=teacher())
    drawn = model.draw_views(np.random.default_rng(0).integers(0, 256, (N, 16, 16, 3), np.uint8), 0)
    frozen = [v.value for v in [*model.teacher.variables, *model.statistics.variables]]
    with tf.GradientTape() as tape:
        tape.watch(frozen)
        loss = model.objective(model.forward(drawn))
    found = tape.gradient(loss, frozen)
    assert found[: -len(model.statistics.variables)] == [None] * len(model.teacher.variables)
    assert not {id(v) for v in model.trainable_variables} & {id(v) for v in frozen}
    assert [group.name for group in model.groups()] == ["encoder"]


def test_the_teacher_that_is_given_stays_as_it_is():
    """The method trains beside a copy, also when the teacher is the student itself."""
    given = small_methods.backbone()
    model = small_methods.build("distillation", teacher=given)
    assert len(given.trainable_variables) == 6
    given.get_layer("conv0").kernel.assign_add(tf.ones_like(given.get_layer("conv0").kernel))
    before = [array.copy() for array in model.teacher.get_weights()]
    model.fit(small_methods.images(), batch_size=16, verbose=0)
    for ours, theirs in zip(model.teacher.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert np.abs(model.teacher.get_layer("conv0").kernel - given.get_layer("conv0").kernel).min() > 0.9


def test_a_saved_model_holds_its_teacher(tmp_path):
    model = small_methods.build("distillation", teacher=teacher())
    model.fit(small_methods.images(), batch_size=16, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    images = small_methods.images()[:4]
    np.testing.assert_array_equal(loaded.teacher(images), model.teacher(images))
    np.testing.assert_array_equal(loaded.statistics.deviation, model.statistics.deviation)
    assert not loaded.teacher.trainable_variables


def test_micro_batches_meet_one_normalisation_and_move_it_once():
    whole, parts = (small_methods.build("distillation", micro_batches=k) for k in (1, 4))
    for model in (whole, parts):
        for start in (0, 16):
            model.train_step(tf.constant(small_methods.images()[start : start + 16]))
    for ours, theirs in zip(whole.statistics.variables, parts.statistics.variables, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)


def test_the_statistics_are_float32_in_a_mixed_policy():
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = small_methods.build("distillation", teacher=teacher())
    small = tf.constant(np.random.default_rng(0).uniform(1, 1.001, (16, 8)), tf.float32)  # bfloat16 has two digits
    model.statistics.move(small)
    assert {v.dtype for v in model.statistics.variables} == {"float32"}
    np.testing.assert_allclose(model.statistics.mean, 0.05 * small.numpy().mean(axis=0), rtol=1e-5)
    assert np.isfinite(model.fit(small_methods.images(), batch_size=16, verbose=0).history["loss"][0])


def test_the_step_compiles():
    losses = []
    for jit in (False, True):
        model = small_methods.build("distillation")
        step = tf.function(model.train_step, jit_compile=jit, autograph=False)
        losses.append([float(step(tf.constant(small_methods.images()[:16]))["loss"]) for _ in range(3)])
    np.testing.assert_allclose(*losses, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "layers", "message"),
    [
        (None, (), "none given; give a trained encoder: a run folder or a .keras file, in a script a Keras model"),
        ((8, 8, 3), (keras.layers.Conv2D, 2, 3), r"from \(None, 8, 8, 3\) to \(None, 6, 6, 2\), not from images"),
        ((8,), (keras.layers.Dense, 2), r"from \(None, 8\) to \(None, 2\), not from images to \(n, d\) vectors"),
    ],
)
def test_what_gives_no_vectors_of_images_is_refused(shape, layers, message):
    given = None
    if shape is not None:
        kind, *sizes = layers
        given = keras.Sequential([keras.Input(shape), kind(*sizes)])
    with pytest.raises(InputError, match=f"^method.teacher: {message}"):
        Distillation(small_methods.backbone(), recipe("none", image_size=8), teacher=given)


def test_a_teacher_of_another_size_is_refused_and_one_of_the_views_is_not():
    square = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten()])
    model = small_methods.build("distillation", teacher=square)
    model.fit(small_methods.images(), batch_size=16, verbose=0)
    model.use_augmenter(recipe("none", image_size=4))
    message = "^method.teacher: it takes images of 8x8, the views are of 4x4; give its size as data.image_size, or"
    with pytest.raises(InputError, match=message):
        model.evaluate(small_methods.images(), batch_size=16, verbose=0)


def test_a_method_is_no_teacher_but_its_encoder_is():
    simsiam = small_methods.build("simsiam")
    with pytest.raises(InputError, match=r"^method.teacher: from .* not from images"):
        small_methods.build("distillation", teacher=simsiam)
    assert small_methods.build("distillation", teacher=simsiam.encoder).teacher.output_shape == (None, 8)
