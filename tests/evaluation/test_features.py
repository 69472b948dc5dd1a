"""Extraction does not depend on the batches, traces once, and runs in inference mode."""

import errno
import os
import tempfile

import keras
import numpy as np
import pytest
import tensorflow as tf

from simsiam_tf.errors import InputError
from simsiam_tf.evaluation import features as module
from simsiam_tf.evaluation import knn, linear, neighbors
from simsiam_tf.evaluation.features import Extractor, as_labels, extract, full_float32, in_batches, raw_pixels


def images(n, size=6, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, size, size, 3), dtype=np.uint8)


@pytest.fixture
def encoder():
    """A small network with a BatchNorm, whose statistics are set apart from those of any batch."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((None, None, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(5, 3),
            keras.layers.BatchNormalization(),
            keras.layers.GlobalAveragePooling2D(),
        ]
    )
    model.layers[-2].moving_mean.assign(np.arange(5.0))
    return model


class Counting:
    """Counts how often the model's Python code runs, that is, how often it is traced."""

    def __init__(self, model):
        self.model, self.calls, self.shapes = model, 0, []

    def __call__(self, batch, training):
        assert training is False
        self.calls += 1
        self.shapes.append(batch.shape[0])
        return self.model(batch, training=training)


def test_features_do_not_depend_on_the_batch_size(encoder):
    data = images(23)
    whole = encoder(data.astype("float32"), training=False).numpy()
    for batch_size in (1, 5, 8, 23, 100):
        features = extract(encoder, in_batches(data, batch_size))
        assert features.shape == (23, 5)
        assert features.dtype == np.float32
        np.testing.assert_allclose(features, whole, atol=1e-6)


def test_batch_norm_is_in_inference_mode(encoder):
    before = [v.numpy() for v in encoder.variables]
    features = extract(encoder, in_batches(images(16), 8))
    # Batch statistics would make the mean of every channel zero; the moving mean was put far away.
    assert np.abs(features.mean(axis=0)[1:]).min() > 0.5
    for variable, value in zip(encoder.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def test_one_trace_for_all_batches_and_calls(encoder):
    counting = Counting(encoder)
    extractor = Extractor(counting)
    for n in (20, 13, 9):
        assert extractor(in_batches(images(n), 8)).shape == (n, 5)
    assert counting.calls == 1
    assert counting.shapes == [8]


def test_weights_that_change_between_calls_are_seen(encoder):
    extractor = Extractor(encoder)
    before = extractor([images(4)])
    encoder.layers[-2].beta.assign_add(np.full(5, 2.0))
    np.testing.assert_allclose(extractor([images(4)]), before + 2, atol=1e-5)


def test_dtype_and_tensors(encoder):
    features = extract(encoder, tf.data.Dataset.from_tensor_slices(images(5)).batch(2), dtype="float64")
    assert features.dtype == np.float64
    assert features.shape == (5, 5)


def test_no_images_and_growing_batches_are_errors(encoder):
    with pytest.raises(InputError, match="no images"):
        extract(encoder, [])
    with pytest.raises(InputError, match="grow from 2 to 3"):
        extract(encoder, [images(2), images(3)])


def test_raw_pixels():
    data = np.array([[[[0, 51, 255]]], [[[255, 0, 0]]]], np.uint8)
    np.testing.assert_allclose(raw_pixels(data), [[0, 0.2, 1], [1, 0, 0]], rtol=1e-6)
    assert raw_pixels(data).dtype == np.float32


@pytest.mark.parametrize("labels", [[0, 1], [[0], [1], [2]], [0, 1, -1], [0.0, 1.0, 2.0], ["a", "b", "c"]])
def test_bad_labels_are_named(labels):
    with pytest.raises(InputError, match="train_labels"):
        as_labels("train_labels", labels, 3)


@pytest.mark.parametrize("default", [True, False])
def test_full_float32_is_restored(default):
    enabled = tf.config.experimental.tensor_float_32_execution_enabled
    before = enabled()
    tf.config.experimental.enable_tensor_float_32_execution(default)
    try:
        with full_float32():
            assert not enabled()
        assert enabled() is default
        with pytest.raises(ZeroDivisionError), full_float32():
            raise ZeroDivisionError
        assert enabled() is default
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)


@pytest.mark.parametrize(
    ("module", "product", "evaluate"),
    [
        (neighbors, "_nearest", lambda: knn.knn_accuracy(np.eye(3), [0, 1, 2], np.eye(3), [0, 1, 2])),
        (linear, "_train_epoch", lambda: linear.linear_probe(np.eye(3), [0, 1, 2], np.eye(3), [0, 1, 2], epochs=1)),
    ],
)
def test_evaluators_multiply_in_full_float32(module, product, evaluate, monkeypatch):
    """TF32 would change the predictions on a GPU; here, only the setting during the products can be seen."""
    seen, original = [], getattr(module, product)

    def spy(*arguments):
        seen.append(tf.config.experimental.tensor_float_32_execution_enabled())
        return original(*arguments)

    monkeypatch.setattr(module, product, spy)
    evaluate()
    assert seen == [False]


def test_many_features_are_kept_in_a_file_that_goes_with_them(encoder, monkeypatch, tmp_path):
    pictures = images(10)
    expected = Extractor(encoder)(in_batches(pictures, 4))
    assert isinstance(Extractor(encoder)(in_batches(pictures, 4), 10), np.ndarray)
    monkeypatch.setattr(module, "IN_MEMORY", expected.nbytes - 1)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    found = Extractor(encoder)(in_batches(pictures, 4), 10)
    assert isinstance(found, np.memmap)
    np.testing.assert_array_equal(found, expected)
    assert list(tmp_path.iterdir()) == []  # it has no name already


def test_a_disk_without_room_for_the_features_is_named(monkeypatch, tmp_path):
    """Pages of a sparse file that the disk has no room for would end the process with SIGBUS."""
    asked = []

    def full(handle, start, size):
        asked.append((start, size))
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(module, "IN_MEMORY", 0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(os, "posix_fallocate", full)
    words = rf"^TMPDIR: {tmp_path} has no room for 1.5 GiB of features \(No space left on device\); give a folder"
    with pytest.raises(InputError, match=words):
        module.array(3 * 2**20, 128)
    assert asked == [(0, 3 * 2**29)]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("able", [True, False])
def test_room_is_taken_where_the_platform_can(monkeypatch, tmp_path, able):
    """Elsewhere, the file is sparse."""
    if not able:
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
    with (tmp_path / "features").open("wb") as file:
        module._reserve(file, 100_000)
    assert (tmp_path / "features").stat().st_size == 100_000 * (able and hasattr(os, "posix_fallocate"))
    monkeypatch.setattr(module, "IN_MEMORY", 0)
    assert isinstance(module.array(100, 10), np.memmap)
