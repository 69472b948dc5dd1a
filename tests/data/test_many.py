"""Very many images: names as long as they are, what an earlier process found out, cores that a limit leaves."""

import os
import subprocess
import sys

import numpy as np
import pytest

from folders import load
from simsiam_tf.data import files, record_index
from simsiam_tf.data.images import ArrayImages, names
from simsiam_tf.data.record_index import UNKNOWN, RecordIndex
from simsiam_tf.data.remembered import Remembered, cache_folder


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(files, "MANY", 3)
    monkeypatch.setattr(record_index, "MANY", 3)
    return tmp_path / "cache" / "simsiam_tf"


def test_a_long_name_makes_no_other_longer():
    short, long = names(["a.jpg"] * 1000), names(["a.jpg"] * 999 + ["x" * 250])
    assert short.nbytes == long.nbytes == 16 * 1000
    assert long[999] == "x" * 250


def test_names_of_any_bytes():
    strange = os.fsdecode(b"\xff.jpg")
    some = ArrayImages(np.zeros((2, 4, 4, 3), np.uint8), ids=["a.jpg", strange])
    assert some.ids.tolist() == ["a.jpg", strange]
    assert some.take([1]).ids.tolist() == [strange]
    assert some.fingerprint() != some.take([1, 0]).fingerprint()
    assert some.fingerprint() == some.take([0, 1]).fingerprint()


def opened(monkeypatch):
    """Names of the files whose headers are read from now on."""
    found, check = [], files.check_header
    monkeypatch.setattr(files, "check_header", lambda path: (found.append(path.name), check(path))[1])
    return found


def test_headers_are_remembered_as_long_as_the_names_stay(photo_folder, monkeypatch, caplog, cache):
    root = photo_folder("0.png", "1.png", "2.png")
    (root / "3.png").write_bytes(b"no picture")
    seen = opened(monkeypatch)
    first = load(root, image_size=64, memory_limit_gb=0).train
    assert sorted(seen) == ["0.png", "1.png", "2.png", "3.png"]
    assert len(list(cache.rglob("*.npz"))) == 1
    seen.clear()
    second = load(root, image_size=64, memory_limit_gb=0).train
    assert seen == ["3.png"]  # a bad one may have been mended
    assert second.ids.tolist() == first.ids.tolist() == ["0.png", "1.png", "2.png"]
    assert second.side == first.side == 12
    assert second.skipped == first.skipped == {"3.png": "not an image"}
    (root / "0.png").rename(root / "3.png")
    seen.clear()
    assert load(root, image_size=64, memory_limit_gb=0).train.ids.tolist() == ["1.png", "2.png", "3.png"]
    photo_folder("4.png")
    seen.clear()
    assert len(load(root, image_size=64, memory_limit_gb=0).train) == 4
    assert sorted(seen) == ["1.png", "2.png", "3.png", "4.png"]


def test_looking_at_headers_goes_on_where_it_was_cut_off(photo_folder, monkeypatch):
    root, check = photo_folder("0.png", "1.png", "2.png", "3.png"), files.check_header
    monkeypatch.setattr(files, "AT_ONCE", 2)

    def killed(path):
        if path.name == "3.png":
            raise KeyboardInterrupt
        return check(path)

    with monkeypatch.context() as once:
        once.setattr(files, "check_header", killed)
        with pytest.raises(KeyboardInterrupt):
            load(root, image_size=64, memory_limit_gb=0)
    seen = opened(monkeypatch)
    assert len(load(root, image_size=64, memory_limit_gb=0).train) == 4
    assert sorted(seen) == ["2.png", "3.png"]


def test_few_are_looked_at_each_time(photo_folder, monkeypatch, cache):
    root, seen = photo_folder("0.png", "1.png"), opened(monkeypatch)
    for _ in range(2):
        load(root, memory_limit_gb=0)
    assert len(seen) == 4
    assert not cache.exists()


@pytest.mark.parametrize("harm", [lambda file: file.write_bytes(b"PK\3\4 broken"), lambda file: file.unlink()])
def test_a_damaged_cache_is_none(harm):
    kept = Remembered("kind", b"key")
    kept.write(a=np.arange(3))
    assert Remembered("kind", b"key").read()["a"].tolist() == [0, 1, 2]
    assert Remembered("kind", b"other").read() == {}
    harm(kept.path)
    assert kept.read() == {}


def test_a_cache_that_cannot_be_written_stands_in_nobodys_way(tmp_path, caplog):
    (tmp_path / "cache").write_bytes(b"a file where the folder would be")
    with caplog.at_level("INFO", "simsiam_tf.data"):
        Remembered("kind", b"key").write(a=np.arange(3))
    assert "not kept for the next time" in caplog.text


def test_the_cache_lies_where_the_user_wants_it(monkeypatch, tmp_path):
    assert cache_folder() == tmp_path / "cache" / "simsiam_tf"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "simsiam_tf"


def test_records_are_found_and_remembered_until_a_file_changes(tmp_path, monkeypatch):
    tf = pytest.importorskip("tensorflow")
    paths, contents = [str(tmp_path / name) for name in "ab"], [[b"one", b"twotwo"], [b"", b"three"]]
    for path, records in zip(paths, contents, strict=True):
        with tf.io.TFRecordWriter(path) as writer:
            [writer.write(record) for record in records]
    index = RecordIndex("set", paths)
    assert [index.record(row) for row in range(4)] == [b"one", b"twotwo", b"", b"three"]
    assert [index.rows(i).tolist() for i in (0, 1)] == [[0, 1], [2, 3]]
    assert (index.labels == UNKNOWN).all()
    index.labels[:] = [3, 1, UNKNOWN, 2]
    index.keep()
    with monkeypatch.context() as without:
        without.delattr(record_index, "_record_places")
        again = RecordIndex("set", paths)
    assert again.labels.tolist() == [3, 1, UNKNOWN, 2]
    assert again.record(3) == b"three"
    with tf.io.TFRecordWriter(paths[1]) as writer:
        writer.write(b"other")
    changed = RecordIndex("set", paths)
    assert changed.record(2) == b"other"
    assert changed.labels.tolist() == [UNKNOWN] * 3


def test_as_many_threads_as_a_limit_leaves():
    code = "from simsiam_tf.data.files import threads; print(threads()._max_workers)"
    found = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"LOKY_MAX_CPU_COUNT": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.split() == ["1"]
