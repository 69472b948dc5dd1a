"""A folder of good pictures of every kind, and 200 bad files among them: the good are used, the bad are named."""

import logging
import os
import socket

import killing
import numpy as np
import pytest
from pictures import bad_files, good_files

from simsiam_tf import data


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder, the names of the good files and those of the bad ones."""
    root, generator = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    good, bad = good_files(generator), bad_files(generator)
    for name, content in (good | bad).items():
        (root / name).write_bytes(content)
    special = ["nowhere.jpg", "itself.jpg", "zeros.jpg", "pipe.jpg", "socket.jpg"]
    (root / "nowhere.jpg").symlink_to(root / "gone.jpg")
    (root / "itself.jpg").symlink_to(root / "itself.jpg")
    (root / "zeros.jpg").symlink_to("/dev/zero")
    os.mkfifo(root / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as bound:
        here = os.open(root, os.O_RDONLY)  # a socket's path has at most 107 bytes
        bound.bind(f"/proc/self/fd/{here}/socket.jpg")
        os.close(here)
    (root / "folder.jpg").mkdir()  # a folder like any other
    for index in range(5):
        special.append(f"forbidden{index}.png")
        (root / special[-1]).write_bytes(b"" if os.geteuid() == 0 else good["plain.PNG"])  # root may read anything
        (root / special[-1]).chmod(0)
    assert len(bad) + len(special) == 200
    return root, set(good), {*bad, *special}


def test_all_bad_files_are_named_and_all_good_ones_used(folder, caplog):
    root, good, bad = folder
    with caplog.at_level(logging.WARNING, "simsiam_tf.data"):
        train, _ = data.load("folder", path=str(root), image_size=16)
    assert set(train.ids) == good
    assert train.skipped.keys() == bad
    assert all(train.skipped.values())
    (record,) = caplog.records
    assert "200 of 223 images" in record.getMessage()
    assert "\n" not in record.getMessage()


def test_streamed_the_same_are_named(folder, caplog):
    """What the header does not tell is met later, and named then."""
    root, good, bad = folder
    with caplog.at_level(logging.WARNING, "simsiam_tf.data"):
        train, _ = data.load("folder", path=str(root), image_size=16, memory_limit_gb=0)
        for _ in train.batches(64):
            pass
    assert set(train.ids) == good
    assert all("\n" not in record.getMessage() for record in caplog.records)
    replaced = {name for name in bad if any(record.args[0] == data.files.shown(name) for record in caplog.records)}
    assert train.skipped.keys() | replaced == bad
    assert not train.skipped.keys() & replaced


def test_the_command_trains_and_names_them_in_a_file(folder, tmp_path):
    root, _, bad = folder
    changes = {"data__source": "folder", "data__path": root, "optimizer__batch_size": 8, "optimizer__epochs": 1}
    changes |= {"data__limit": 1000, "data__validation_fraction": 0.0}
    code, _, _ = killing.one_life(tmp_path / "run", tmp_path / "log", **changes)
    text = (tmp_path / "log").read_text()
    assert code == 0, text
    assert "Traceback" not in text
    named = (tmp_path / "run" / "unreadable.txt").read_text().splitlines()
    assert len(named) == 200
    assert all(any(line.startswith(f"{data.files.shown(name)}: ") for line in named) for name in bad)
    assert f"all that are skipped are named in {tmp_path / 'run' / 'unreadable.txt'}" in text
