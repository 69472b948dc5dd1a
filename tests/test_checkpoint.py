"""Checkpoints: whole, atomic, checked on reading."""

import errno
import hashlib
import logging
import os
import pickle

import keras
import numpy as np
import pytest

from simsiam_tf.errors import InputError
from simsiam_tf.runs.checkpoint import CheckpointFolder, CorruptCheckpoint, by_path, collect, load, restore, save
from simsiam_tf.runs.checkpointer import method_variables

ARRAYS = {"backbone/conv1/kernel": np.arange(1000.0), "method/step": np.array(3, np.int64)}


def test_what_is_saved_is_loaded(tmp_path):
    save(tmp_path / "a.npz", ARRAYS, {"rows": [{"epoch": 1, "loss": -0.5}]})
    arrays, meta = load(tmp_path / "a.npz")
    assert meta == {"rows": [{"epoch": 1, "loss": -0.5}]}
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].dtype == array.dtype
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


def test_every_flipped_bit_is_noticed(tmp_path):
    """In the pixels of a zip and in its names, sizes, flags and directory alike."""
    path = tmp_path / "a.npz"
    save(path, {"method/step": np.arange(3.0)}, {"rows": []})
    good = path.read_bytes()
    for position in range(len(good)):
        bad = bytearray(good)
        bad[position] ^= 1 << position % 8
        path.write_bytes(bad)
        with pytest.raises(CorruptCheckpoint, match="SHA-256"):
            load(path)
    path.write_bytes(good)
    assert load(path)[1] == {"rows": []}


def test_every_cut_file_is_noticed(tmp_path):
    path = tmp_path / "a.npz"
    save(path, {"method/step": np.arange(3.0)}, {})
    good = path.read_bytes()
    for bad in (*(good[:length] for length in range(len(good))), good + b"0", b"not a checkpoint", bytes(1000)):
        path.write_bytes(bad)
        with pytest.raises(CorruptCheckpoint, match="SHA-256"):
            load(path)


def test_numpy_reads_a_checkpoint(tmp_path):
    save(tmp_path / "a.npz", ARRAYS, {})
    with np.load(tmp_path / "a.npz") as file:
        np.testing.assert_array_equal(file["method/step"], ARRAYS["method/step"])


def sealed(content):
    return content + hashlib.sha256(content).digest()


def test_a_pickle_is_not_executed(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "executed"),)

    path = tmp_path / "evil.npz"
    np.savez(path, meta=np.array([Evil()], dtype=object))
    path.write_bytes(sealed(path.read_bytes()))
    with pytest.raises(CorruptCheckpoint, match="allow_pickle=False"):
        load(path)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("content", [b"", b"words", b"PK\x03\x04", pickle.dumps(1)])
def test_a_sealed_file_of_something_else_is_noticed(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(sealed(content))
    with pytest.raises(CorruptCheckpoint):
        load(tmp_path / "a.npz")


def test_a_full_disk_is_named_and_keeps_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    save(path, ARRAYS, {"old": True})

    def full(file, **arrays):
        file.write(b"half of it")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(InputError, match=r"cannot write .*a\.npz: No space left on device; free some space"):
        save(path, ARRAYS, {"old": False})
    assert load(path)[1] == {"old": True}
    assert [file.name for file in tmp_path.iterdir()] == ["a.npz"]


def test_folder_keeps_the_newest_and_the_best(tmp_path):
    folder = CheckpointFolder(tmp_path / "checkpoints", keep=2)
    for step in (1, 2, 3, 10):
        folder.save(step, ARRAYS, {"step": step}, best=step == 2)
    assert [path.name for path in folder.files()] == ["step-0000000010.npz", "step-0000000003.npz"]
    assert load(folder.path / "best.npz")[1] == {"step": 2}
    assert folder.newest()[1] == {"step": 10}


def test_a_corrupt_newest_falls_back_to_the_one_before_and_is_replaced(tmp_path, caplog):
    folder = CheckpointFolder(tmp_path, keep=2)
    for step in (1, 3):
        path = folder.save(step, ARRAYS, {"step": step})
    path.write_bytes(path.read_bytes()[:100])
    with caplog.at_level(logging.WARNING, "simsiam_tf.checkpoint"):
        assert folder.newest()[1] == {"step": 1}
    assert "passing over a corrupt checkpoint" in caplog.text
    assert "step-0000000003.npz" in caplog.text
    folder = CheckpointFolder(tmp_path, keep=1)
    folder.save(2, ARRAYS, {"step": 2})
    assert [path.name for path in folder.files()] == ["step-0000000002.npz"]  # not the corrupt one


@pytest.mark.parametrize("moment", [0, 1])
def test_a_kill_between_the_best_and_the_newest_loses_neither(tmp_path, monkeypatch, moment):
    """The run goes on from the newest: it must not lie ahead of a best that was never written."""
    folder = CheckpointFolder(tmp_path, keep=1)
    folder.save(1, ARRAYS, {"step": 1}, best=True)
    replace, calls = os.replace, []

    def dies(*paths):
        calls.append(paths)
        if len(calls) > moment:
            raise KeyboardInterrupt
        replace(*paths)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", dies)
        with pytest.raises(KeyboardInterrupt):
            folder.save(2, {"method/step": np.ones(1)}, {"step": 2}, best=True)
    assert folder.newest()[1] == {"step": 1}
    folder.save(2, {"method/step": np.ones(1)}, {"step": 2}, best=True)
    assert folder.newest()[1] == load(tmp_path / "best.npz")[1] == {"step": 2}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.npz", "step-0000000002.npz"]


def test_what_a_kill_has_left_is_tidied_up_when_the_run_goes_on(tmp_path):
    folder = CheckpointFolder(tmp_path, keep=4)
    for step in (1, 2, 3, 4):
        folder.save(step, ARRAYS, {}, best=step == 1)
    (tmp_path / "partial-step-0000000007.npz").touch()
    CheckpointFolder(tmp_path, keep=2).tidy(3)
    names = ["best.npz", "step-0000000002.npz", "step-0000000003.npz"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_nothing_but_corrupt_files_is_an_error_that_says_so(tmp_path):
    folder = CheckpointFolder(tmp_path)
    folder.save(1, ARRAYS, {}).write_bytes(b"")
    with pytest.raises(InputError, match="none of 1 checkpoints can be read; delete"):
        folder.newest()


def test_an_empty_folder_has_no_newest(tmp_path):
    assert CheckpointFolder(tmp_path / "none").newest() is None


def test_restore_puts_values_back(tmp_path):
    variables = {"a/kernel": keras.Variable(np.ones(3)), "b/kernel": keras.Variable(np.zeros((2, 2)))}
    arrays = collect(variables)
    variables["a/kernel"].assign([5.0, 6.0, 7.0])
    restore(arrays, dict(reversed(variables.items())))
    np.testing.assert_array_equal(variables["a/kernel"], np.ones(3))
    np.testing.assert_array_equal(variables["b/kernel"], np.zeros((2, 2)))


def test_a_foreign_checkpoint_changes_nothing():
    arrays = collect({"a/kernel": keras.Variable(np.ones(3)), "b/kernel": keras.Variable(np.ones(4))})
    variables = {"a/kernel": keras.Variable(np.zeros(3)), "b/kernel": keras.Variable(np.zeros(5))}
    message = r"^checkpoint: b/kernel has shape \(4,\) there, \(5,\) here; give another --name$"
    with pytest.raises(InputError, match=message):
        restore(arrays, variables)
    for others in ({"optimizer/rate": keras.Variable(1.0)} | variables, {"a/kernel": variables["a/kernel"]}):
        named = "optimizer/rate" if len(others) == 3 else "b/kernel"
        message = rf"^checkpoint: it is of another model \(differs at {named}\); give another --name, or finish the run"
        with pytest.raises(InputError, match=message):
            restore(arrays, others)
    np.testing.assert_array_equal(variables["a/kernel"], np.zeros(3))


def test_a_checkpoint_of_an_earlier_version_is_refused_in_one_line():
    """Its names are numbers, of whatever order the variables had."""
    variables = {"a/kernel": keras.Variable(np.zeros(3)), "method/step": keras.Variable(0)}
    message = (
        r"^checkpoint: an earlier version wrote it, or it is of another model \(differs at a/kernel\); "
        "give another --name, or finish the run with the version that began it$"
    )
    with pytest.raises(InputError, match=message):
        restore({"model/00000": np.ones(3), "model/00001": np.array(7)}, variables)
    np.testing.assert_array_equal(variables["a/kernel"], np.zeros(3))


def test_names_are_the_owners_and_the_paths(small_model):
    model = small_model(weight_average=0.9)
    names = method_variables(model)
    assert len(names) == len(model.weights)
    assert {id(variable) for variable in names.values()} == {id(variable) for variable in model.weights}
    kernels = {"backbone/conv1/kernel", "average/conv1/kernel", "projector/dense1/kernel", "predictor/dense2/bias"}
    assert kernels | {"method/step", "method/diverged_at"} <= names.keys()
    assert names["average/conv1/kernel"] is model.average.get_layer("conv1").kernel
    assert names["predictor/dense2/bias"] is model.predictor.stages[-1].bias


def test_names_do_not_depend_on_what_was_built_before(small_model):
    first, again = small_model(), small_model()
    for model in (first, again):
        model.optimizer.build(model.trainable_variables)
    assert method_variables(first).keys() == method_variables(again).keys()
    optimizers = [by_path("optimizer", model.optimizer.variables).keys() for model in (first, again)]
    assert optimizers[0] == optimizers[1]


def test_two_variables_of_one_path_are_refused():
    variables = [keras.Variable(1.0, name="rate"), keras.Variable(2.0, name="rate")]
    with pytest.raises(ValueError, match=r"optimizer: two of its variables have one path; give each layer a name"):
        by_path("optimizer", variables)
    assert by_path("optimizer", variables[:1]).keys() == {"optimizer/rate"}


def test_a_file_that_cannot_be_read_is_not_taken_for_a_bad_one(tmp_path):
    """Going on from an older one would drop it, and its disk may come back."""
    folder = CheckpointFolder(tmp_path)
    folder.save(1, {"a": np.zeros(1)}, {})
    (tmp_path / "step-0000000002.npz").mkdir()
    with pytest.raises(InputError, match=r"step-0000000002.npz: cannot be read"):
        folder.newest()
