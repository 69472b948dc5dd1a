"""Several devices give what one gives; which cluster a worker finds itself in."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from simsiam_tf import recipe
from simsiam_tf.data import ArrayImages
from simsiam_tf.errors import InputError
from simsiam_tf.runs import workers as distribution
from simsiam_tf.settings.schema import Config, SGDSettings, TrainingSettings

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """{run: {variable: array}} of `replicas.py`."""
    file = tmp_path_factory.mktemp("replicas") / "runs.npz"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "-1"}
    command = [sys.executable, str(ROOT / "tests" / "replicas.py"), str(file)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    runs = {}
    for name, array in np.load(file).items():
        run, variable = name.split("/", 1)
        runs.setdefault(run, {})[variable] = array
    return runs


def differences(a, b):
    assert a.keys() == b.keys()
    return {name: np.abs(a[name].astype("float64") - b[name]).max() for name in a}


def test_two_devices_train_the_weights_of_one(runs):
    """Weights, velocities of both optimizers, moving statistics, the probe with its optimizer, and the epochs' logs."""
    found = differences(runs["one"], runs["two"])
    for part in ("conv0", "moving_variance", "encoder/", "predictor/", "velocity", "probe", "loss"):
        assert any(part in name for name in found), part
    assert max(found.values()) < 1e-5, max(found.items(), key=lambda item: item[1])
    assert np.ptp(runs["one"]["loss"]) > 0.01


def test_two_devices_take_images_in_chunks_as_one_does(runs):
    """The paper's hybrid: a chunk an epoch, and from the last epoch on all of them."""
    assert max(differences(runs["chunks_one"], runs["chunks_two"]).values()) < 1e-5
    assert max(differences(runs["one"], runs["chunks_one"]).values()) > 1e-2


def test_without_synchronisation_each_device_normalises_its_part(runs):
    """As one device does whose BatchNorm sees the halves of the batch one by one."""
    assert max(differences(runs["halves"], runs["two_unsynchronized"]).values()) < 1e-5
    assert max(differences(runs["one"], runs["two_unsynchronized"]).values()) > 1e-3


def test_several_steps_a_call_train_the_weights_of_one_a_call(runs):
    """Five steps an epoch, as three and two; what the last call of an epoch gives are its logs."""
    assert max(differences(runs["two"], runs["calls"]).values()) == 0


@pytest.mark.parametrize("per_execution", ["1", "3"])
def test_two_devices_take_a_dataset_of_unknown_length_to_its_end(runs, per_execution):
    assert runs["ends"][per_execution] == 4


def test_two_devices_compiled_each_by_itself_train_as_uncompiled(runs):
    assert max(differences(runs["two_unsynchronized"], runs["compiled"]).values()) < 1e-5
    assert "BatchNorm over all of them" in str(runs["refused"]["why"])


def test_a_loss_scale_is_kept_over_devices(runs):
    """It doubles after each seven steps; an overflow in one device halves it, and nobody takes the step."""
    found = differences(runs["scaled_one"], runs["scaled_two"])
    assert max(found.values()) < 1e-5, max(found.items(), key=lambda item: item[1])
    assert runs["scaled_two"]["dynamic_scale 0"] == 4096
    assert runs["overflow"]["scale"].tolist() == [32, 32]
    assert runs["overflow"]["moved"] == 0


def test_every_device_knows_that_one_has_diverged(runs):
    np.testing.assert_array_equal(runs["diverged"]["at"], [0, 0])


def test_a_part_of_a_batch_gets_the_views_that_it_has_in_the_whole():
    augmenter = recipe("imagenet", image_size=10)
    images = np.random.default_rng(0).integers(0, 256, (12, 14, 14, 3), dtype=np.uint8)
    seed = tf.constant([1, 2])
    parts = [augmenter(images[i : i + 4], seed, part=tf.constant(i // 4), parts=3) for i in (0, 4, 8)]
    np.testing.assert_array_equal(np.concatenate(parts), augmenter(images, seed))


def test_workers_that_would_not_be_one_run_are_refused(monkeypatch):
    """What each tells the others, and what it does when the first one tells something else."""
    told = []
    workers = distribution.Workers()

    def tells(config, ids=("a", "b"), side=2):
        monkeypatch.setattr(workers, "from_chief", lambda own: told.append(own) or own)
        workers.check(config, images(*ids, side=side))
        return tuple(told[-1])

    config = Config()
    other = dataclasses.replace(config, training=TrainingSettings(stop_after_steps=3))
    assert tells(config) == tells(dataclasses.replace(config, output="elsewhere"))
    others = tells(other), tells(config, ("b", "a")), tells(config, ("a",)), tells(config, side=4)
    assert len({tells(config), *others}) == 5
    monkeypatch.setattr(workers, "from_chief", lambda own: told[0] + 1)
    with pytest.raises(InputError, match="do not have the same settings"):
        workers.check(config, images("a", "b"))


def images(*names, side=2):
    return ArrayImages(np.zeros((len(names), side, side, 3), np.uint8), ids=names)


def tf_config(monkeypatch, cluster, kind="worker", index=0):
    value = {"cluster": cluster, "task": {"type": kind, "index": index}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(value))


def test_a_cluster_of_workers(monkeypatch):
    tf_config(monkeypatch, {"worker": ["a:1", "b:2", "c:3"]}, index=1)
    assert distribution.cluster()[1:] == (1, 3)


def test_a_chief_comes_before_the_workers(monkeypatch):
    cluster = {"chief": ["a:1"], "worker": ["b:2", "c:3"]}
    tf_config(monkeypatch, cluster, "chief")
    assert distribution.cluster()[1:] == (0, 3)
    tf_config(monkeypatch, cluster, "worker", 0)
    assert distribution.cluster()[1:] == (1, 3)


def test_a_slurm_step(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    step = {"PROCID": "2", "STEP_NUM_TASKS": "3", "STEP_NODELIST": "node[9-10]", "STEP_TASKS_PER_NODE": "2,1"}
    for name, value in step.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    resolver, index, count = distribution.cluster()
    assert (index, count) == (2, 3)
    assert resolver.cluster_spec().as_dict() == {"worker": ["node9:8888", "node9:8889", "node10:8888"]}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("{", "TF_CONFIG: it cannot be read"),
        ("[]", "cluster of nobody"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}', "task .'worker', 1. .*worker"),
        ('{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "worker", "index": 0}}', "worker, ps; give"),
        ("{}", "cluster of nobody"),
    ],
)
def test_a_cluster_of_another_kind_is_named_in_one_line(monkeypatch, value, message):
    monkeypatch.setenv("TF_CONFIG", value)
    with pytest.raises(InputError, match=message) as error:
        distribution.cluster()
    assert "\n" not in str(error.value)


def test_no_cluster_and_no_second_device(monkeypatch):
    for name in ("TF_CONFIG", "SLURM_STEP_NODELIST"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InputError, match="multi_worker finds no cluster; set TF_CONFIG"):
        distribution.Workers("multi_worker")
    with pytest.raises(InputError, match=r"mirrored, but there is only .*CPU:0; give none"):
        distribution.Workers("mirrored")


def test_a_batch_must_divide_evenly():
    workers = distribution.Workers()
    workers.replicas = 3
    with pytest.raises(InputError, match=r"optimizer.batch_size: 16 does not divide evenly over 3 devices"):
        workers.check(Config(optimizer=SGDSettings(batch_size=16)), None)
