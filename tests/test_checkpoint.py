"""Checkpoints: whole, atomic, checked on reading."""

import logging
import os

import keras
import numpy as np
import pytest

from simsiam_tf.checkpoint import CheckpointFolder, CorruptCheckpoint, collect, load, restore, save
from simsiam_tf.errors import InputError

ARRAYS = {"model/00000": np.arange(1000.0), "model/00001": np.array(3, np.int64)}


def test_what_is_saved_is_loaded(tmp_path):
    save(tmp_path / "a.npz", ARRAYS, {"rows": [{"epoch": 1, "loss": -0.5}]})
    arrays, meta = load(tmp_path / "a.npz")
    assert meta == {"rows": [{"epoch": 1, "loss": -0.5}]}
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].dtype == array.dtype
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]


@pytest.mark.parametrize("position", [0, 500, -200, -1])
def test_a_changed_or_cut_file_is_noticed(tmp_path, position):
    path = tmp_path / "a.npz"
    save(path, ARRAYS, {})
    good = path.read_bytes()
    middle = bytearray(good)
    middle[4000] ^= 1
    for bad in (good[:position], bytes(middle), b"", b"not a checkpoint"):
        path.write_bytes(bad)
        with pytest.raises(CorruptCheckpoint):
            load(path)


def test_a_pickle_is_not_executed(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "executed"),)

    np.savez(tmp_path / "evil.npz", meta=np.array([Evil()], dtype=object))
    with pytest.raises(CorruptCheckpoint):
        load(tmp_path / "evil.npz")
    assert not (tmp_path / "executed").exists()


def test_a_full_disk_is_named_and_keeps_what_was_there(tmp_path):
    path = tmp_path / "a.npz"
    save(path, ARRAYS, {"old": True})
    (tmp_path / "a.tmp").symlink_to("/dev/full")
    with pytest.raises(InputError, match=r"cannot write .*a\.npz: No space left on device; free some space"):
        save(path, ARRAYS, {"old": False})
    assert load(path)[1] == {"old": True}
    assert not (tmp_path / "a.tmp").is_symlink()


def test_folder_keeps_the_newest_and_the_best(tmp_path):
    folder = CheckpointFolder(tmp_path / "checkpoints", keep=2)
    for step in (1, 2, 3, 10):
        folder.save(step, ARRAYS, {"step": step}, best=step == 2)
    assert [path.name for path in folder.files()] == ["step-0000000010.npz", "step-0000000003.npz"]
    assert load(folder.path / "best.npz")[1] == {"step": 2}
    assert folder.newest()[1] == {"step": 10}


def test_a_corrupt_newest_falls_back_to_the_one_before(tmp_path, caplog):
    folder = CheckpointFolder(tmp_path, keep=3)
    for step in (1, 2):
        path = folder.save(step, ARRAYS, {"step": step})
    path.write_bytes(path.read_bytes()[:100])
    with caplog.at_level(logging.WARNING, "simsiam_tf.checkpoint"):
        assert folder.newest()[1] == {"step": 1}
    assert "step-0000000002.npz" in caplog.text


def test_nothing_but_corrupt_files_is_an_error_that_says_so(tmp_path):
    folder = CheckpointFolder(tmp_path)
    folder.save(1, ARRAYS, {}).write_bytes(b"")
    with pytest.raises(InputError, match="none of 1 checkpoints can be read; delete"):
        folder.newest()


def test_an_empty_folder_has_no_newest(tmp_path):
    assert CheckpointFolder(tmp_path / "none").newest() is None


def test_restore_puts_values_back(tmp_path):
    variables = [keras.Variable(np.ones(3)), keras.Variable(np.zeros((2, 2)))]
    arrays = collect({"model": variables})
    variables[0].assign([5.0, 6.0, 7.0])
    restore(arrays, {"model": variables})
    np.testing.assert_array_equal(variables[0], np.ones(3))


def test_a_foreign_checkpoint_changes_nothing():
    arrays = collect({"model": [keras.Variable(np.ones(3)), keras.Variable(np.ones(4))]})
    variables = [keras.Variable(np.zeros(3)), keras.Variable(np.zeros(5))]
    with pytest.raises(InputError, match=r"shape \(4,\) there, \(5,\) here; use another run name"):
        restore(arrays, {"model": variables})
    with pytest.raises(InputError, match="of another model"):
        restore(arrays, {"model": variables, "optimizer": variables})
    np.testing.assert_array_equal(variables[0], np.zeros(3))
