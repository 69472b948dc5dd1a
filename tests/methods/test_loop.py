"""The loop of `fit`: blocks of steps, the last one shorter, and what the host reads and decides."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src import backend
from tensorflow.python.framework.ops import _EagerTensorBase

from simsiam_tf.methods.loop import HOST, _several


class Calls(keras.callbacks.Callback):
    """The last batch of each call, and how often values were read in it."""

    def __init__(self, reads):
        super().__init__()
        self.reads, self.ends, self.counts = reads, [], []

    def on_train_batch_begin(self, batch, logs=None):
        self.before = len(self.reads)

    def on_train_batch_end(self, batch, logs=None):
        self.ends.append(batch)
        self.counts.append(len(self.reads) - self.before)


@pytest.fixture
def calls(monkeypatch):
    reads, read = [], _EagerTensorBase._numpy
    monkeypatch.setattr(_EagerTensorBase, "_numpy", lambda self: reads.append(self.device) or read(self))
    of_keras = backend.convert_to_numpy  # takes a tensor's memory as it is, where that is on a CPU
    monkeypatch.setattr(backend, "convert_to_numpy", lambda value: reads.append(value.device) or of_keras(value))
    return Calls(reads)


def train(model, images, callbacks, per_execution, **options):
    model.compile(model.optimizer, steps_per_execution=per_execution)
    model.fit(images, epochs=2, verbose=0, shuffle=False, callbacks=callbacks, **options)
    return int(model.step.numpy())


@pytest.mark.parametrize(("per_execution", "ends"), [(3, [2, 3]), (4, [3]), (100, [3]), (1, [0, 1, 2, 3])])
def test_an_epoch_is_the_fewest_calls_of_which_each_is_one_round_trip(small_model, images, calls, per_execution, ends):
    """Of 64 images. A call has its logs for the host, all in one, and of several steps how many it took."""
    assert train(small_model(), images, [calls], per_execution, batch_size=16) == 8
    assert calls.ends == ends * 2
    assert calls.counts[len(ends) :] == [1 + int(per_execution > 1)] * len(ends)
    assert all(device.endswith(HOST) for device in calls.reads)


def test_calls_of_any_length_give_the_same_weights_and_figures(small_model, images):
    def trained(per_execution):
        model = small_model()
        train(model, images, [], per_execution, batch_size=16)
        return model.get_weights(), model.history.history

    weights, history = trained(1)
    for per_execution in (3, 4, 7):
        other, same = trained(per_execution)
        assert same == history
        for one, two in zip(weights, other, strict=True):
            np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("per_execution", [1, 3, 20])
def test_a_dataset_of_unknown_length_is_taken_to_its_end_and_not_a_step_further(small_model, images, per_execution):
    batches = tf.data.Dataset.from_tensor_slices(images).batch(16).filter(lambda batch: True)
    with pytest.warns(UserWarning, match="ran out of data"):
        assert train(small_model(), batches, [], per_execution) == 8


def test_an_endless_dataset_is_not_read_beyond_the_epoch(small_model, images, calls):
    batches = tf.data.Dataset.from_tensor_slices(images).batch(16).repeat()
    assert train(small_model(), batches, [calls], 2, steps_per_epoch=5) == 10
    assert calls.ends == [1, 3, 4, 1, 3, 4]


def test_a_dataset_is_shared_out_to_epochs_to_its_last_batch(small_model, images):
    """Two times four batches are four epochs of two; Keras's own count would take 12 for gone after three."""
    batches = tf.data.Dataset.from_tensor_slices(images).batch(16).repeat(2)
    model = small_model()
    model.compile(model.optimizer, steps_per_execution=3)
    model.fit(batches, epochs=4, steps_per_epoch=2, verbose=0, shuffle=False)
    assert int(model.step.numpy()) == 8


def test_evaluation_and_eager_steps_go_by_blocks_too(small_model, images):
    model = small_model()
    model.compile(model.optimizer, steps_per_execution=3)
    found = model.evaluate(images, batch_size=16, verbose=0, return_dict=True)["loss"]
    model.compile(model.optimizer, steps_per_execution=1)
    assert found == model.evaluate(images, batch_size=16, verbose=0, return_dict=True)["loss"]
    model.compile(model.optimizer, steps_per_execution=3, run_eagerly=True)
    model.fit(images[:32], batch_size=8, epochs=1, verbose=0)
    assert int(model.step.numpy()) == 4


def test_what_decides_on_the_next_step_is_an_int32_on_the_cpu():
    """On a GPU a bool that a loop carries is copied there and back; int32 stays in the host's memory."""
    total = tf.Variable(0.0)

    @tf.function
    def one_step(batch):
        return {"total": total.assign_add(tf.reduce_sum(batch))}

    one = tf.function(lambda batches: one_step(batches.get_next()))
    several = tf.function(_several(one, one_step))
    batches = iter(tf.data.Dataset.from_tensor_slices([1.0, 2.0, 4.0, 8.0]))
    graph = several.get_concrete_function(batches, tf.constant(3)).graph
    loop = next(op for op in graph.get_operations() if op.type in ("While", "StatelessWhile"))
    functions = [graph._get_function(loop.get_attr(part).name).graph for part in ("cond", "body")]
    decide = {"Less", "SelectV2", "Cast"}
    found = {op.type: op for function in functions for op in function.get_operations() if op.type in decide}
    assert found.keys() == decide
    assert {name: op.device for name, op in found.items()} == dict.fromkeys(decide, f"/device:{HOST}")
    assert tf.bool not in [each.dtype for each in loop.inputs]
    assert [int(several(batches, tf.constant(3))[0]) for _ in range(3)] == [3, 1, 0]
    assert float(total) == 15
