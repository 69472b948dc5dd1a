"""Training batches: every image once an epoch, a fresh order each epoch, the same after any resume."""

import itertools
import logging

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework.config import disable_op_determinism  # no public way back

from simsiam_tf import data
from simsiam_tf.data import training_batches
from simsiam_tf.errors import InputError


def numbered(n=20, side=2):
    """Image i is filled with i and has label i % 4."""
    images = np.broadcast_to(np.arange(n, dtype=np.uint8)[:, None, None, None], (n, side, side, 3)).copy()
    return data.from_arrays(images, labels=np.arange(n) % 4)


def rows(dataset):
    return [batch[:, 0, 0, 0].tolist() for batch in dataset.as_numpy_iterator()]


def test_element_spec():
    spec = training_batches(numbered(), 5, seed=0).element_spec
    assert (spec.shape, spec.dtype) == ((5, 2, 2, 3), tf.uint8)
    images, labels = training_batches(numbered(), 5, seed=0, with_labels=True).element_spec
    assert (images.shape, images.dtype) == ((5, 2, 2, 3), tf.uint8)
    assert (labels.shape, labels.dtype) == ((5,), tf.int64)


def test_epochs_visit_every_image_once_in_fresh_orders():
    batches = rows(training_batches(numbered(), 5, seed=0, steps=12))
    epochs = [[*itertools.chain(*batches[i : i + 4])] for i in (0, 4, 8)]
    assert all(sorted(epoch) == list(range(20)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    assert epochs[0] != list(range(20))


def test_remainder_is_dropped():
    batches = rows(training_batches(numbered(20), 6, seed=0, steps=60))
    epochs = [[*itertools.chain(*batches[i : i + 3])] for i in range(0, 60, 3)]
    assert all(len(set(epoch)) == 18 for epoch in epochs)
    # It is another remainder in each epoch: no image is left out for good.
    assert set(itertools.chain(*epochs)) == set(range(20))


def test_shuffle_is_of_the_whole_set():
    """The mean distance of an image from its place is n / 3, within 5 standard deviations; a buffer's is its size."""
    n = 250
    batches = rows(training_batches(numbered(n), 10, seed=0, steps=50))
    first, second = np.argsort(np.reshape(batches, (2, n)))  # places of the images in two epochs
    deviation = np.sqrt(2 * n / 45)  # of a random permutation: Diaconis & Graham 1977, Spearman's footrule
    for a, b in [(first, np.arange(n)), (second, np.arange(n)), (first, second)]:
        assert abs(np.abs(a - b).mean() - n / 3) < 5 * deviation


@pytest.mark.parametrize("start", [1, 3, 4, 9])
def test_resume_equals_skip(start):
    whole = rows(training_batches(numbered(23), 5, seed=7, steps=14))
    assert rows(training_batches(numbered(23), 5, seed=7, start_step=start, steps=14 - start)) == whole[start:]


@pytest.mark.parametrize("start", [1, 4, 8])
def test_streamed_resume_equals_skip(photo_folder, start):
    """In a new process the set is found anew, and only what comes after `start` is decoded."""
    root = photo_folder(*(f"{i}.png" for i in range(11)))

    def batches(start_step):
        train = data.load("folder", path=str(root), image_size=4, memory_limit_gb=0).train
        stream = training_batches(train, 3, 7, start_step, steps=10 - start_step).as_numpy_iterator()
        return np.array([batch["images"] for batch in stream])

    np.testing.assert_array_equal(batches(start), batches(0)[start:])


@pytest.mark.parametrize("hosts", [1, 2, 3])
def test_hosts_share_the_steps(hosts):
    whole = rows(training_batches(numbered(23), 5, seed=7, start_step=2, steps=12))
    for host in range(hosts):
        steps = range(host, 12, hosts)
        shares = training_batches(numbered(23), 5, seed=7, start_step=2 + host, steps=len(steps), stride=hosts)
        assert rows(shares) == [whole[step] for step in steps]


@pytest.mark.parametrize("parts", [2, 4])
def test_parts_make_up_the_batches(parts):
    options = {"seed": 3, "start_step": 2, "steps": 7, "with_labels": True}
    whole = [*training_batches(numbered(), 8, **options).as_numpy_iterator()]
    streams = [training_batches(numbered(), 8, **options, part=part, parts=parts) for part in range(parts)]
    for batch, *pieces in zip(whole, *(stream.as_numpy_iterator() for stream in streams), strict=True):
        for index, array in enumerate(batch):
            assert {len(piece[index]) for piece in pieces} == {8 // parts}
            np.testing.assert_array_equal(np.concatenate([piece[index] for piece in pieces]), array)


def test_seeds():
    first, again, other = (rows(training_batches(numbered(), 5, seed=s, steps=4)) for s in (0, 0, 1))
    assert first == again
    assert first != other


def test_infinite_without_steps():
    dataset = training_batches(numbered(), 5, seed=0)
    assert dataset.cardinality() == tf.data.INFINITE_CARDINALITY
    assert training_batches(numbered(), 5, seed=0, steps=3).cardinality() == 3
    assert rows(dataset.take(9)) == rows(training_batches(numbered(), 5, seed=0, steps=9))


def test_labels_belong_to_images():
    for images, labels in training_batches(numbered(), 5, seed=0, with_labels=True, steps=8).as_numpy_iterator():
        np.testing.assert_array_equal(images[:, 0, 0, 0] % 4, labels)


def test_rows_are_the_images_numbers_in_the_set():
    numbers = []
    for batch in training_batches(numbered(), 5, seed=0, with_rows=True, steps=8).as_numpy_iterator():
        assert batch.keys() == {"images", "rows"}
        np.testing.assert_array_equal(batch["images"][:, 0, 0, 0], batch["rows"])
        numbers.append(batch["rows"].tolist())
    assert numbers == rows(training_batches(numbered(), 5, seed=0, steps=8))  # the same batches as without
    streams = [
        training_batches(numbered(), 6, seed=0, steps=3, with_rows=True, **a) for a in ({"part": 1, "parts": 2}, {})
    ]
    for part, whole in zip(*(stream.as_numpy_iterator() for stream in streams), strict=True):
        np.testing.assert_array_equal(part["rows"], whole["rows"][3:])
        np.testing.assert_array_equal(part["images"], whole["images"][3:])


def test_rows_beside_labels():
    dataset = training_batches(numbered(), 5, seed=0, with_labels=True, with_rows=True, steps=8)
    spec, labels = dataset.element_spec
    assert {name: (tuple(part.shape), part.dtype) for name, part in spec.items()} == {
        "images": ((5, 2, 2, 3), tf.uint8),
        "rows": ((5,), tf.int64),
    }
    assert (tuple(labels.shape), labels.dtype) == ((5,), tf.int64)
    for batch, labels in dataset.as_numpy_iterator():
        np.testing.assert_array_equal(batch["images"][:, 0, 0, 0], batch["rows"])
        np.testing.assert_array_equal(batch["rows"] % 4, labels)


def test_same_under_op_determinism():
    expected = rows(training_batches(numbered(), 5, seed=0, steps=6))
    tf.config.experimental.enable_op_determinism()
    try:
        assert rows(training_batches(numbered(), 5, seed=0, steps=6)) == expected
    finally:
        disable_op_determinism()


def test_two_iterations_and_two_streams_do_not_disturb_each_other():
    dataset = training_batches(numbered(), 5, seed=0, steps=6)
    pairs = list(zip(dataset.as_numpy_iterator(), dataset.as_numpy_iterator(), strict=True))
    assert all((a == b).all() for a, b in pairs)
    assert len(pairs) == 6


def test_images_are_not_constants_of_the_graph():
    images = data.from_arrays(np.zeros((300, 64, 64, 3), np.uint8))
    dataset = training_batches(images, 8, seed=0)
    graph = dataset._as_serialized_graph().numpy()  # no public way to see the graph
    assert len(graph) < 100_000 < images.nbytes


def test_keras_fit_takes_it():
    model = keras.Sequential([keras.Input((2, 2, 3)), keras.layers.Flatten(), keras.layers.Dense(4)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = model.fit(
        training_batches(numbered(), 5, seed=0, with_labels=True),
        steps_per_epoch=4,
        epochs=2,
        verbose=0,
        shuffle=False,
    )
    assert len(history.history["loss"]) == 2


@pytest.mark.parametrize("batch_size", [21, 0, -1])
def test_batch_larger_than_the_set(batch_size):
    with pytest.raises(InputError, match=rf"optimizer\.batch_size: {batch_size} .* 20 images .* use 1 to 20"):
        training_batches(numbered(), batch_size, seed=0)


def test_refusals():
    unlabelled = data.from_arrays(np.zeros((4, 2, 2, 3), np.uint8))
    with pytest.raises(InputError, match="with_labels: arrays has no labels"):
        training_batches(unlabelled, 2, seed=0, with_labels=True)
    with pytest.raises(InputError, match="seed: -1"):
        training_batches(numbered(), 5, seed=-1)
    with pytest.raises(InputError, match="start_step: -1"):
        training_batches(numbered(), 5, seed=0, start_step=-1)
    with pytest.raises(InputError, match="stride: 0"):
        training_batches(numbered(), 5, seed=0, stride=0)
    with pytest.raises(InputError, match="part: 1 of 3 parts of a batch of 5 images; give equal parts"):
        training_batches(numbered(), 5, seed=0, part=1, parts=3)


def test_streamed_and_labelled_batches_after_replacement(photo_folder, truncate, caplog):
    """The label of a replaced file is that of the picture delivered, already in the batch that meets it."""
    root = photo_folder(*(f"a/{i}.png" for i in range(3)), *(f"b/{i}.png" for i in range(3)))
    truncate(root / "a" / "9.jpg")
    train = data.load("folder", path=str(root), image_size=4, memory_limit_gb=0).train
    with caplog.at_level(logging.ERROR):
        batches = training_batches(train, 7, seed=0, with_labels=True, steps=2).as_numpy_iterator()
        for images, labels in itertools.islice(batches, 2):
            np.testing.assert_array_equal(images["images"][:, 0, 0, 0] >= 30, labels)
