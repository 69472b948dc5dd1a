"""The moving average of the encoder, against its recursion in NumPy, and who uses it."""

import keras
import numpy as np
import pytest

from simsiam_tf.errors import InputError


def test_the_average_follows_its_recursion(small_model, images):
    model = small_model(weight_average=0.3)
    expected = [np.array(v) for v in model.backbone.variables]
    for step in range(4):
        model.train_step(images[:16])
        momentum = min(0.3, (1 + step) / (10 + step))
        expected = [
            momentum * e + (1 - momentum) * np.array(v) for e, v in zip(expected, model.backbone.variables, strict=True)
        ]
    for ours, e in zip(model.average.variables, expected, strict=True):
        np.testing.assert_allclose(ours, e, rtol=1e-5, atol=1e-7, err_msg=ours.path)
    assert momentum == 0.3  # both arms of the minimum were met: 0.1, 0.18, 0.25, 0.3


def test_the_average_is_evaluated_and_not_trained(small_model, images):
    model, plain = small_model(weight_average=0.9), small_model()
    for each in (model, plain):
        each.fit(images, batch_size=16, epochs=2, shuffle=False, verbose=0)
    for ours, theirs in zip(model.backbone.variables, plain.backbone.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs, err_msg=ours.path)  # training does not know of it
    features = model.predict(images, verbose=0)
    np.testing.assert_allclose(features, model.average(images, training=False), rtol=1e-5, atol=1e-6)
    assert np.abs(features - plain.predict(images, verbose=0)).max() > 1e-3
    assert len(model.trainable_variables) == len(plain.trainable_variables)
    assert model.encoder is model.average
    assert plain.encoder is plain.backbone


def test_the_average_is_saved_with_the_model(small_model, images, tmp_path):
    model = small_model(weight_average=0.9)
    model.fit(images, batch_size=16, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(model.predict(images, verbose=0), loaded.predict(images, verbose=0))
    for each in (model, loaded):
        each.fit(images, batch_size=16, initial_epoch=1, epochs=2, shuffle=False, verbose=0)
    for ours, theirs in zip(model.average.variables, loaded.average.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs, err_msg=ours.path)


@pytest.mark.parametrize("value", [1.0, -0.1])
def test_bad_numbers_are_named(small_model, value):
    message = f"^method.weight_average: {value} is no value of it; give a number from 0 to below 1$"
    with pytest.raises(InputError, match=message):
        small_model(weight_average=value)
