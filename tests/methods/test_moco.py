"""MoCo v2 against a slow reference in PyTorch that was written from the papers, and what is its own."""

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import torch

import oracle.moco
from followers import WIDTH, N, arrays, load, make_method, set_rate, state, step_and_loss, views
from parity import assert_close
from simsiam_tf import methods
from simsiam_tf.methods.losses import info_nce
from simsiam_tf.methods.targets import Queue

ROOT = Path(__file__).parents[2]
SIZES = {"projector_hidden": 12, "projection_dim": 8, "queue": 64}


def weights(model):
    return arrays(encoder=[model.backbone, model.projector], key=model.target.networks)


@pytest.mark.parametrize("symmetric", [False, True])
def test_ten_steps_are_the_oracles(symmetric):
    """Loss, both networks with their moving statistics, and the queue, which is filled anew on the way."""
    ours = make_method("moco", **SIZES, momentum=0.9, temperature=0.2, symmetric=symmetric)
    theirs = oracle.moco.MoCo(width=WIDTH, hidden=12, dim=8, size=64).double()
    load(theirs, weights(ours))
    theirs.queue.copy_(torch.tensor(ours.queue.rows.numpy()))
    rate = 0.03 * N / 256
    sgd = torch.optim.SGD(theirs.encoder.parameters(), rate, momentum=0.9, weight_decay=5e-4)
    before = weights(ours)
    for step in range(10):
        set_rate(sgd, step, rate)
        loss = oracle.moco.train_step(theirs, sgd, *views(ours, step), 0.9, 0.2, symmetric)
        assert step_and_loss(ours) == pytest.approx(loss, abs=1e-9)
        keys = {name: value.clone() for name, value in theirs.key.state_dict().items()}
        theirs.update_key(0.9)  # ours has moved already
        assert_close(weights(ours), state(theirs), bound=1e-8)
        np.testing.assert_allclose(ours.queue.rows, theirs.queue, rtol=0, atol=1e-9)
        theirs.key.load_state_dict(keys)
    for name, array in weights(ours).items():
        assert np.abs(array - before[name]).max() > 1e-7, name


def queued_before_the_loss(patch):
    objective = methods.MoCo.objective

    def early(self, outputs, batch=None):
        self.after_step(outputs, batch)
        return objective(self, outputs, batch)

    patch.setattr(methods.MoCo, "objective", early)


def temperature_of_one(patch):
    patch.setattr(methods.moco, "info_nce", lambda query, key, rows, temperature: info_nce(query, key, rows, 1.0))


def target_in_inference_mode(patch):
    call = methods.targets.Follower.call
    patch.setattr(methods.targets.Follower, "call", lambda self, inputs, training=None: call(self, inputs, False))


def keys_not_normalised(patch):
    patch.setattr(methods.moco, "unit_rows", lambda keys: [keys])


@pytest.mark.parametrize(
    "mutate", [queued_before_the_loss, temperature_of_one, target_in_inference_mode, keys_not_normalised]
)
def test_parity_fails_under(mutate, monkeypatch):
    ours = make_method("moco", **SIZES, momentum=0.9, temperature=0.2)
    theirs = oracle.moco.MoCo(width=WIDTH, hidden=12, dim=8, size=64).double()
    load(theirs, weights(ours))
    theirs.queue.copy_(torch.tensor(ours.queue.rows.numpy()))
    sgd = torch.optim.SGD(theirs.encoder.parameters(), 0.03 * N / 256, momentum=0.9, weight_decay=5e-4)
    views(ours, 0)  # traced before the mutation
    mutate(monkeypatch)
    with pytest.raises(AssertionError, match="relative error"):
        two_steps(ours, theirs, sgd)


def two_steps(ours, theirs, sgd):
    """The key network of the reference is one move behind, so it is left out."""
    for step in range(2):
        oracle.moco.train_step(theirs, sgd, *views(ours, step), 0.9, 0.2)
        step_and_loss(ours)
        found = {k: v for k, v in weights(ours).items() if k.startswith("encoder")}
        wanted = {k: v for k, v in state(theirs).items() if k.startswith("encoder")}
        queues = {"queue": ours.queue.rows.numpy()}, {"queue": theirs.queue.numpy()}
        assert_close(found | queues[0], wanted | queues[1], bound=1e-8)


def test_info_nce_is_the_papers():
    rows = np.random.default_rng(0).normal(size=(20, 5))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    query, key, negatives = rows[:4], rows[4:8], rows[8:]
    expected = oracle.moco.loss_by_loop(query, key, negatives, 0.2)
    assert float(info_nce(query * 3, key, negatives * 2, 0.2)) == pytest.approx(expected, abs=1e-12)
    same = np.ones((4, 5))
    assert float(info_nce(same, same, np.ones((7, 5)), 0.2)) == pytest.approx(math.log(8), abs=1e-12)


def test_the_queue_is_a_ring():
    queue = Queue(5, 2)
    first = queue.rows.numpy()
    np.testing.assert_allclose(np.linalg.norm(first, axis=1), 1, rtol=1e-6)
    queue.push(tf.constant([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]))
    np.testing.assert_array_equal(queue.rows.numpy()[:, 0], [1, 2, 3, *first[3:, 0]])
    queue.push(tf.constant([[4.0, 4.0], [5.0, 5.0], [6.0, 6.0]]))
    np.testing.assert_array_equal(queue.rows.numpy()[:, 0], [6, 2, 3, 4, 5])
    queue.push(tf.reshape(tf.repeat(tf.range(10.0, 17.0), 2), [7, 2]))  # more than fit: the last five, from place 1 on
    np.testing.assert_array_equal(queue.rows.numpy()[:, 0], [16, 12, 13, 14, 15])


def test_neither_keys_nor_queue_get_a_gradient():
    model = make_method("moco", **SIZES)
    drawn = model.draw_views(np.random.default_rng(0).integers(0, 256, (N, 16, 16, 3), np.uint8), 0)
    with tf.GradientTape() as tape:
        loss = model.objective(model.forward(drawn))
    frozen = [v.value for v in [*model.target.variables, *model.queue.variables]]
    assert tape.gradient(loss, frozen) == [None] * len(frozen)
    assert not {id(v) for v in model.trainable_variables} & {id(v) for v in model.queue.variables}


def test_shuffled_keys_come_back_in_order_from_other_batches(tmp_path):
    """In inference mode shuffling changes nothing; in training mode each key was normalised among other images."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    environment = os.environ | {"PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": "-1"}
    command = [sys.executable, __file__, str(tmp_path / "keys.npz")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    keys = np.load(tmp_path / "keys.npz")
    np.testing.assert_allclose(keys["shuffled/False"], keys["plain/False"], atol=1e-5)
    assert np.abs(keys["shuffled/True"] - keys["plain/True"]).max() > 1e-3


def write_keys(file):
    """Keys on two devices whose BatchNorms are their own: {"shuffled/True": (n, d), ...} by way and training mode."""
    from simsiam_tf.networks.layers import BatchNorm
    from simsiam_tf.runs.workers import Workers
    from small_methods import BATCH, build, images

    [cpu] = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = Workers("mirrored").strategy
    with strategy.scope():
        model = build("moco", shuffle=True)
    for layer in model._flatten_layers():
        if isinstance(layer, BatchNorm):
            layer.synchronized = False
    halves = tf.constant(np.split(images()[:BATCH].astype("float32"), 2))

    @tf.function
    def keys(training):
        def part():
            own = halves[tf.distribute.get_replica_context().replica_id_in_sync_group]
            return model._shuffled(own, 1, training), model.target(own, training=training)

        return strategy.run(part)

    found = {}
    for training in (False, True):
        for name, parts in zip(("shuffled", "plain"), keys(training), strict=True):
            rows = [each.numpy() for each in strategy.experimental_local_results(parts)]
            found[f"{name}/{training}"] = np.concatenate(rows)
    np.savez(file, **found)


if __name__ == "__main__":  # two devices have to be declared before TensorFlow starts
    write_keys(sys.argv[1])
