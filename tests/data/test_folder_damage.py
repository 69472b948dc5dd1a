"""Files of a folder that cannot be read: skipped, replaced, counted and named."""

import logging

import numpy as np
import pytest
from PIL import Image

from folders import load, reds
from simsiam_tf import data
from simsiam_tf.errors import InputError


@pytest.mark.parametrize("memory_limit_gb", [4.0, 0.0])
def test_bad_files_are_skipped_counted_and_named(photo_folder, truncate, caplog, memory_limit_gb):
    root = photo_folder("a/0.png", "a/1.png", "b/2.png")
    (root / "a" / "0b.jpg").write_text("these are words")
    if memory_limit_gb:
        truncate(root / "b" / "cut.jpg")
    with caplog.at_level(logging.WARNING, "simsiam_tf.data"):
        train, _ = load(root, memory_limit_gb=memory_limit_gb)
    assert train.ids.tolist() == ["a/0.png", "a/1.png", "b/2.png"]
    assert train.labels.tolist() == [0, 0, 1]
    assert reds(train) == [0, 10, 20]
    (record,) = caplog.records
    message = record.getMessage()
    assert record.name == "simsiam_tf.data"
    assert "\n" not in message
    assert "a/0b.jpg (not an image)" in message
    assert ("2 of 5" in message and "b/cut.jpg" in message) if memory_limit_gb else "1 of 4" in message


def test_many_bad_files_make_one_line(photo_folder, caplog):
    root = photo_folder("0.png")
    for index in range(8):
        (root / f"bad{index}.jpg").write_text("words")
    load(root)
    assert "8 of 9" in caplog.text
    assert "bad4.jpg" in caplog.text
    assert "bad5.jpg" not in caplog.text
    assert "and 3 more" in caplog.text


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_bad_file_met_while_streaming_is_replaced(photo_folder, truncate, caplog, batch_size):
    root = photo_folder("a/0.png", "a/1.png", "b/4.png")
    truncate(root / "a" / "2.jpg")
    truncate(root / "b" / "3.jpg")
    train, _ = load(root, memory_limit_gb=0)
    assert len(train) == 5
    assert not train.in_memory
    for _ in range(2):
        pixels = np.concatenate(list(train.batches(batch_size)))
        assert pixels[:, 0, 0, 0].tolist() == [0, 10, 20, 20, 20]
        # Image, id and label belong together, although the row was a file of class a.
        assert train.ids.tolist() == ["a/0.png", "a/1.png", "b/4.png", "b/4.png", "b/4.png"]
        assert train.labels.tolist() == [0, 0, 1, 1, 1]
    assert len(caplog.records) == 2  # one for each bad file, although both were met twice
    assert "a/2.jpg" in caplog.records[0].getMessage()
    assert "b/3.jpg" in caplog.records[1].getMessage()


def test_last_file_is_replaced_by_the_first(photo_folder, truncate):
    root = photo_folder("0.png", "1.png")
    truncate(root / "2.jpg")
    assert reds(load(root, memory_limit_gb=0).train) == [0, 10, 0]


def test_folder_that_vanishes_while_streaming(photo_folder):
    root = photo_folder("0.png", "1.png")
    train, _ = load(root, memory_limit_gb=0)
    root.rename(root.with_name("elsewhere"))
    with pytest.raises(InputError, match=r"data\.path: 0\.png .* any more"):
        next(train.batches(2))


def test_training_goes_on_over_bad_files(photo_folder, truncate):
    root = photo_folder(*(f"{i}.png" for i in range(6)))
    truncate(root / "3b.jpg")
    train, _ = load(root, memory_limit_gb=0)
    batches = list(data.training_batches(train, 7, seed=0, steps=3).as_numpy_iterator())
    for batch in batches:
        assert sorted(batch["images"][:, 0, 0, 0]) == [0, 10, 20, 30, 40, 40, 50]


def test_bomb_is_skipped_by_name(photo_folder, monkeypatch, caplog):
    root = photo_folder("0.png")
    Image.new("RGB", (40, 40)).save(root / "huge.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200)
    assert load(root).train.ids.tolist() == ["0.png"]
    assert "huge.png" in caplog.text
