"""Image folders: splits, classes, bad files in memory and streamed, and every wrong folder."""

import logging
import os

import numpy as np
import pytest
from PIL import Image

from folders import load, reds
from simsiam_tf import data
from simsiam_tf.data import files
from simsiam_tf.errors import InputError
from simsiam_tf.settings.data import PLACES, pictures


def test_class_folders(photo_folder):
    # Created in unsorted order; extensions in any case; other files and empty folders do not count.
    root = photo_folder("dog/2.png", "cat/1.PNG", "cat/0.bmp", "dog/3.Tiff")
    (root / "notes.txt").write_text("words")
    (root / "cat" / ".hidden.png").write_bytes(b"")
    (root / ".cache").mkdir()
    (root / ".cache" / "9.png").write_bytes((root / "cat" / "1.PNG").read_bytes())
    (root / "empty").mkdir()
    train, test = load(root)
    assert train.in_memory
    assert train.ids.tolist() == ["cat/0.bmp", "cat/1.PNG", "dog/2.png", "dog/3.Tiff"]
    assert train.labels.tolist() == [0, 0, 1, 1]
    assert train.labels.dtype == np.int64
    assert train.class_names == ("cat", "dog")
    assert reds(train) == [20, 10, 0, 30]
    assert train.image_shape == (12, 12, 3)  # no larger than the largest picture
    assert test is None


@pytest.mark.parametrize(
    "paths",
    [
        ("0.png", "1.png"),
        ("all/0.png", "all/1.png"),
        ("a/b/0.png", "a/c/1.png"),
        ("0.png", "a/1.png"),
        ("a/0.png", "b/c/1.png"),
    ],
)
def test_unlabelled_shapes(photo_folder, paths):
    train, _ = load(photo_folder(*paths))
    assert train.labels is None
    assert train.class_names is None
    assert train.ids.tolist() == list(paths)


@pytest.mark.parametrize("name", ["test", "val"])
def test_split_folders(photo_folder, name):
    # The test part lacks the first class: its labels must still follow the training classes.
    train, test = load(photo_folder("train/a/0.png", "train/b/1.png", f"{name}/b/2.png"))
    assert train.ids.tolist() == ["train/a/0.png", "train/b/1.png"]
    assert train.labels.tolist() == [0, 1]
    assert test.ids.tolist() == [f"{name}/b/2.png"]
    assert test.labels.tolist() == [1]
    assert test.class_names == ("a", "b")
    assert reds(test) == [20]


def test_split_folders_give_way_to_holdout(photo_folder):
    root = photo_folder(*(f"train/{label}/{i}.png" for label in "ab" for i in range(5)), "test/a/9.png")
    train, test = load(root, validation_fraction=0.2)
    assert len(train) == 8
    assert np.bincount(test.labels).tolist() == [1, 1]
    assert set(train.ids).isdisjoint(test.ids)
    assert all(image_id.startswith("train/") for image_id in test.ids)


@pytest.mark.parametrize("memory_limit_gb", [4, 0])
def test_the_test_folder_and_the_held_out_part_are_two_things(photo_folder, memory_limit_gb):
    root = photo_folder(*(f"train/{label}/{i}.png" for label in "ab" for i in range(5)), "test/a/9.png")
    given = {"validation_fraction": 0.2, "memory_limit_gb": memory_limit_gb}
    (kept, own), (left, held_out) = (load(root, split=split, **given) for split in ("test", "validation"))
    assert kept.ids.tolist() == left.ids.tolist()
    assert own.ids.tolist() == ["test/a/9.png"]
    assert set(held_out.ids) | set(left.ids) == {f"train/{label}/{i}.png" for label in "ab" for i in range(5)}


def test_a_flat_test_folder_does_not_hide_a_labelled_one(photo_folder, caplog):
    root = photo_folder("train/a/0.png", "train/b/1.png", "test/2.png", "test/3.png", "val/b/4.png")
    with caplog.at_level(logging.INFO, "simsiam_tf.data"):
        _, test = load(root)
    assert test.ids.tolist() == ["val/b/4.png"]
    assert f"test images: {root.name}/val, of {root.name}/test, {root.name}/val" in caplog.text
    _, test = load(photo_folder("train/0.png", "train/1.png", "test/2.png", "val/b/4.png"))
    assert test.ids.tolist()[0].startswith("test/")


def test_a_test_folder_of_no_use_stands_in_nobodys_way(photo_folder, caplog):
    root = photo_folder("train/a/0.png", "train/b/1.png", "test/unknown/2.png", "val/b/4.png")
    _, test = load(root)
    assert test.ids.tolist() == ["val/b/4.png"]
    assert "class unknown of" in caplog.text
    (root / "test" / "unknown" / "2.png").unlink()
    (root / "test" / "5.txt").write_text("withheld")
    assert load(root)[1].ids.tolist() == ["val/b/4.png"]
    assert "test: 1 files of other types are left out: 1 .txt" in caplog.text


def test_files_that_are_left_out_for_their_endings_are_counted(photo_folder, caplog, monkeypatch):
    monkeypatch.setitem(PLACES, "folder", pictures(with_heic=False))
    root = photo_folder("a/0.png", "b/1.png")
    for name in ("x.heic", "y.HEIC", "README", "b/notes.txt", ".hidden.txt"):
        (root / name).write_bytes(b"?")
    load(root)
    found = f"{root}: 4 files of other types are left out: 2 .heic, 1 no ending, 1 .txt"
    assert caplog.messages == [f"{found}; HEIC needs the extra simsiam-tf[heic]"]
    caplog.clear()
    monkeypatch.setitem(PLACES, "folder", pictures(with_heic=True))
    for name in ("x.heic", "y.HEIC"):
        (root / name).unlink()
    load(root)
    assert caplog.messages == [f"{root}: 2 files of other types are left out: 1 no ending, 1 .txt"]


def test_a_folder_of_heic_alone_names_what_reads_it(tmp_path, monkeypatch):
    monkeypatch.setitem(PLACES, "folder", pictures(with_heic=False))
    (tmp_path / "x.heic").write_bytes(b"?")
    with pytest.raises(
        InputError, match=r"has no files of these types; give .*; HEIC needs the extra simsiam-tf\[heic\]$"
    ):
        load(tmp_path)


def test_of_two_links_to_one_folder_the_same_counts_everywhere(photo_folder, monkeypatch):
    root = photo_folder("a/0.png")
    apart = root.parent / "apart"
    apart.mkdir()
    (root / "a" / "0.png").rename(apart / "0.png")
    for name in ("z", "b", "c"):
        (root / name).symlink_to(apart)
    walk = os.walk

    def backwards(folder, **options):
        for directory, names, own in walk(folder, **options):
            names.sort(reverse=True)
            yield directory, names, own

    expected = load(root)[0].ids.tolist()
    monkeypatch.setattr(os, "walk", backwards)
    assert load(root)[0].ids.tolist() == expected == ["b/0.png"]


def test_unknown_class_in_test_part(photo_folder):
    root = photo_folder("train/a/0.png", "train/b/1.png", "test/c/2.png")
    with pytest.raises(InputError, match=r"data\.path: class c .* training classes a, b"):
        load(root)


def test_links_are_followed_but_not_for_ever(photo_folder):
    root = photo_folder("a/0.png", "b/1.png")
    os.symlink(root, root / "b" / "loop")
    os.symlink(root / "a", root / "c")
    train, _ = load(root)
    assert {"a/0.png", "b/1.png"} >= set(train.ids) - {"c/0.png"}


@pytest.mark.parametrize("memory_limit_gb", [4.0, 0.0])
def test_store_size(photo_folder, memory_limit_gb):
    root = photo_folder("0.png", size=(300, 280))

    def kept(**arguments):
        train = load(root, memory_limit_gb=memory_limit_gb, **arguments).train
        squares, sizes = train.whole(np.arange(1))
        assert squares.shape[1:] == train.image_shape
        assert next(train.batches(1)).shape[1] == arguments["image_size"]
        return train.side, *sizes[0].tolist()

    assert kept(image_size=32) == (128, 119, 128)
    assert kept(image_size=64) == (256, 239, 256)
    assert kept(image_size=224) == (300, 280, 300)
    assert kept(image_size=224, store_size=100) == (100, 93, 100)


def test_test_sets_and_sets_without_views_keep_frames_alone(photo_folder):
    root = photo_folder("train/a/0.png", "test/a/1.png", size=(300, 280))
    train, test = load(root, image_size=96)
    assert train.nbytes == (300**2 + 96**2) * 3
    assert test.nbytes == 96**2 * 3
    assert load(root, image_size=96, views=False).train.nbytes == 96**2 * 3
    for memory_limit_gb, in_memory in ((3e-5, True), (2e-5, False)):
        assert load(root, image_size=96, memory_limit_gb=memory_limit_gb).test.in_memory == in_memory
        assert not load(root, image_size=96, memory_limit_gb=memory_limit_gb).train.in_memory


def test_limits(photo_folder):
    root = photo_folder(*(f"train/{i}.png" for i in range(20)), *(f"test/{i}.png" for i in range(5)))
    train, test = load(root, limit=3, test_limit=2, seed=1)
    assert (len(train), len(test)) == (3, 2)
    assert train.ids.tolist() == load(root, limit=3, seed=1).train.ids.tolist()
    assert train.ids.tolist() != load(root, limit=3, seed=2).train.ids.tolist()
    assert len(load(root, limit=100).train) == 20
    # The held-out images do not depend on how many are trained on.
    few, all_of_them = (load(root, validation_fraction=0.25, limit=limit).test for limit in (2, None))
    assert few.ids.tolist() == all_of_them.ids.tolist()


def test_streaming_equals_memory(photo_folder):
    root = photo_folder("a/0.png", "b/1.png", size=(31, 17))
    noise = np.random.default_rng(0).integers(0, 256, (23, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(root / "a" / "noise.jpg")
    (memory, _), (streamed, _) = load(root), load(root, memory_limit_gb=0)
    assert memory.in_memory
    assert not streamed.in_memory
    np.testing.assert_array_equal(np.concatenate([*memory.batches(2)]), np.concatenate([*streamed.batches(2)]))
    for a, b, c in zip(*(s.whole(np.arange(3)) for s in (memory, streamed, streamed.load())), strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)
    np.testing.assert_array_equal(memory.labels, streamed.labels)
    first, second = (data.training_batches(s, 2, seed=3, steps=4, with_labels=True) for s in (memory, streamed))
    for a, b in zip(first, second, strict=True):
        for name in ("images", "sizes"):
            np.testing.assert_array_equal(a[0][name], b[0][name])
        np.testing.assert_array_equal(a[1], b[1])


def test_take_leaves_files_on_disk(photo_folder):
    streamed = load(photo_folder("a/0.png", "a/1.png", "b/2.png"), memory_limit_gb=0).train
    subset = streamed.take([2, 0])
    assert not subset.in_memory
    assert subset.ids.tolist() == ["b/2.png", "a/0.png"]
    assert subset.labels.tolist() == [1, 0]
    assert reds(subset) == [20, 0]
    assert len(streamed) == 3


def test_progress_bar_only_when_it_takes_long(photo_folder, monkeypatch, capsys):
    root = photo_folder("0.png", "1.png")
    load(root)
    assert capsys.readouterr().err == ""
    original = files.tqdm
    monkeypatch.setattr(files, "tqdm", lambda **arguments: original(**arguments | {"delay": 0}))
    load(root)
    shown = capsys.readouterr().err
    assert "decoding photos" in shown
    assert "2 images" in shown or "/2" in shown


@pytest.mark.parametrize("case", ["missing", "empty", "text only", "file", "none", "words", "empty test"])
@pytest.mark.parametrize("memory_limit_gb", [4.0, 0.0])
def test_wrong_folders(tmp_path, case, memory_limit_gb):
    root = tmp_path / "here"
    if case != "missing":
        root.mkdir()
    if case == "text only":
        (root / "a.txt").write_text("words")
    if case == "words":
        (root / "a.jpg").write_text("words")
        (root / "b.png").write_bytes(b"")
    if case == "file":
        root = root / "a.jpg"
        root.write_text("words")
    if case == "empty test":
        (root / "train").mkdir()
        (root / "test").mkdir()
        Image.new("RGB", (4, 4)).save(root / "train" / "0.png")
    path = None if case == "none" else str(root)
    reason = {
        "missing": "is not there",
        "file": "is of another kind",
        "none": "none given",
        "words": "none of the 2 image files",
    }.get(case, "no files of these types")
    with pytest.raises(InputError, match=rf"data\.path.*{reason}.*give a") as caught:
        data.load("folder", path=path, image_size=8, memory_limit_gb=memory_limit_gb)
    assert "\n" not in str(caught.value)
    assert path is None or path in str(caught.value)


def test_real_photos(shared_data):
    train, _ = load(shared_data / "photos", image_size=32)
    assert len(train) == 300
    assert train.class_names == ("daisy", "dandelion", "rose", "sunflower", "tulip")
    assert np.bincount(train.labels).tolist() == [60] * 5
    frames = train.frames(np.arange(300))
    yellow, red = (frames[train.labels == label].mean((0, 1, 2)) for label in (3, 2))
    assert yellow[1] - yellow[2] > 20 > red[1] - red[2]  # sunflowers are yellow: far more green than blue
