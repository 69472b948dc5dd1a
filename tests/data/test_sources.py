"""Digits, arrays and the arguments of `load`."""

from typing import get_args

import numpy as np
import pytest
from sklearn.datasets import load_digits

from simsiam_tf import data
from simsiam_tf.errors import InputError
from simsiam_tf.settings.data import PLACES, Source

RNG = np.random.default_rng(0)
COLOR = RNG.integers(0, 256, (10, 6, 6, 3), dtype=np.uint8)
GRAY = RNG.integers(0, 256, (10, 6, 6), dtype=np.uint8)


def save(path, **content):
    np.savez(path, **content)
    return str(path)


def test_the_sources_are_those_of_the_settings():
    assert data.SOURCES.keys() == PLACES.keys() == set(get_args(Source))


def test_digits():
    train, test = data.load("digits", image_size=16)
    assert train.in_memory
    assert test.in_memory
    assert train.image_shape == (16, 16, 3)
    assert len(train) + len(test) == 1797
    assert set(train.ids).isdisjoint(test.ids)
    assert train.class_names == tuple("0123456789")
    whole = np.bincount(load_digits().target)
    np.testing.assert_allclose(np.bincount(test.labels), 0.2 * whole, atol=0.51)
    assert (train.images[..., 0] == train.images[..., 2]).all()


def test_digits_pixels_at_their_own_size():
    train, _ = data.load("digits", image_size=8)
    original = load_digits()
    rows = train.ids.astype(int)
    np.testing.assert_allclose(train.images[..., 0] * (16 / 255), original.images[rows], atol=0.04)
    np.testing.assert_array_equal(train.labels, original.target[rows])
    assert train.images.max() == 255


def test_digits_split_follows_seed_and_fraction():
    first, again, other = (data.load("digits", image_size=8, seed=seed).test.ids.tolist() for seed in (0, 0, 1))
    assert first == again
    assert first != other
    assert len(data.load("digits", image_size=8, validation_fraction=0.5).test) == pytest.approx(898, abs=5)


def test_arrays_npz(tmp_path):
    labels = np.arange(10, dtype=np.int32) % 3
    path = save(tmp_path / "x.npz", images=COLOR, labels=labels, test_images=GRAY[:4], test_labels=labels[:4])
    train, test = data.load("arrays", path=path, image_size=6)
    np.testing.assert_array_equal(train.images, COLOR)
    np.testing.assert_array_equal(train.labels, labels)
    assert train.labels.dtype == np.int64
    np.testing.assert_array_equal(test.images, np.stack([GRAY[:4]] * 3, -1))
    assert test.labels.tolist() == [0, 1, 2, 0]
    assert train.ids.tolist() == [str(i) for i in range(10)]
    train, test = data.load("arrays", path=path, image_size=6, validation_fraction=0.3)
    assert (len(train), len(test)) == (7, 3)
    np.testing.assert_array_equal(test.images, COLOR[test.ids.astype(int)])
    np.testing.assert_array_equal(test.labels, labels[test.ids.astype(int)])


@pytest.mark.parametrize("memory_limit_gb", [4.0, 0.0])
def test_arrays_npy(tmp_path, memory_limit_gb):
    np.save(tmp_path / "x.npy", COLOR)
    train, test = data.load(
        "arrays", path=str(tmp_path / "x.npy"), image_size=6, memory_limit_gb=memory_limit_gb, limit=8
    )
    assert test is None
    assert train.labels is None
    assert train.in_memory == bool(memory_limit_gb)
    assert isinstance(getattr(train, "array", None), np.memmap) == (not memory_limit_gb)  # mapped, not read
    rows = train.ids.astype(int)
    assert len(rows) == 8
    np.testing.assert_array_equal(np.concatenate(list(train.batches(3))), COLOR[rows])
    np.testing.assert_array_equal(train.take([4, 1]).gather([1, 0]), COLOR[rows[[1, 4]]])


def test_arrays_are_resized(tmp_path):
    path = save(tmp_path / "x.npz", images=np.full((3, 20, 30), 9, np.uint8))
    for memory_limit_gb in (4.0, 0.0):
        train, _ = data.load("arrays", path=path, image_size=8, memory_limit_gb=memory_limit_gb)
        np.testing.assert_array_equal(train.frames(np.arange(3)), np.full((3, 8, 8, 3), 9))
        squares, sizes = train.whole(np.arange(3))  # 30 px fit into four times 8 px
        np.testing.assert_array_equal(squares[:, :20], np.full((3, 20, 30, 3), 9))
        np.testing.assert_array_equal(sizes, [[20, 30]] * 3)


def test_from_arrays():
    images = data.from_arrays(COLOR, labels=range(10))
    assert images.images is COLOR
    assert images.labels.tolist() == list(range(10))
    assert data.from_arrays(GRAY, side=3).image_shape == (3, 3, 3)
    wide = RNG.integers(0, 256, (2, 4, 6, 3), dtype=np.uint8)
    np.testing.assert_array_equal(data.from_arrays(wide).images, wide[:, :, 1:5])


def test_batches_and_crop():
    images = data.from_arrays(COLOR)
    assert [len(batch) for batch in images.batches(4)] == [4, 4, 2]
    np.testing.assert_array_equal(np.concatenate(list(images.batches(4))), COLOR)
    np.testing.assert_array_equal(np.concatenate(list(images.batches(4, crop=4))), COLOR[:, 1:5, 1:5])
    np.testing.assert_array_equal(np.concatenate(list(images.batches(4, crop=3))), COLOR[:, 2:5, 2:5])
    with pytest.raises(InputError, match="crop: 7 px does not fit into images of 6 px"):
        images.batches(4, crop=7)


def test_take():
    images = data.from_arrays(COLOR, labels=np.arange(10))
    subset = images.take(range(3, 6)).take([2, 0])
    np.testing.assert_array_equal(subset.images, COLOR[[5, 3]])
    assert subset.labels.tolist() == [5, 3]
    assert subset.ids.tolist() == ["5", "3"]
    assert len(images) == 10


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (COLOR.astype(np.float32) / 255, None, r"float32, not uint8.*\* 255"),
        (COLOR.astype(np.int64), None, "int64, not uint8"),
        (COLOR[0, 0], None, r"shape \(6, 3\)"),
        (COLOR[None], None, r"shape \(1, 10, 6, 6, 3\)"),
        (COLOR[..., :2], None, r"shape \(10, 6, 6, 2\)"),
        (COLOR.transpose(0, 3, 1, 2), None, r"shape \(10, 3, 6, 6\)"),
        (COLOR[:0], None, r"shape \(0, 6, 6, 3\)"),
        (COLOR, np.arange(9), r"labels of shape \(9,\)"),
        (COLOR, np.arange(10.0), "float64"),
        (COLOR, np.eye(10, dtype=int), r"labels of shape \(10, 10\)"),
        (COLOR, np.arange(10) - 1, "give one whole number from 0"),
    ],
)
def test_wrong_arrays(tmp_path, images, labels, message):
    with pytest.raises(InputError, match=rf"^images: .*{message}"):
        data.from_arrays(images, labels)
    content = {"images": images} | ({} if labels is None else {"labels": labels})
    path = save(tmp_path / "x.npz", **content)
    with pytest.raises(InputError, match=rf"data\.path: .*x\.npz, images: .*{message}") as caught:
        data.load("arrays", path=path, image_size=6)
    assert "\n" not in str(caught.value)


def test_wrong_array_files(tmp_path):
    (tmp_path / "words.npz").write_text("these are words")
    (tmp_path / "words.npy").write_text("these are words")
    (tmp_path / "empty.npz").write_bytes(b"")
    pickled = np.empty(1, object)
    pickled[0] = {"a": 1}
    cut = tmp_path / "cut.npz"
    np.savez(cut, images=COLOR)
    cut.write_bytes(cut.read_bytes()[:500])
    cases = {
        None: "none given",
        str(tmp_path / "no.npz"): "is not there",
        str(tmp_path): "is of another kind",
        str(tmp_path / "words.npz"): "cannot be read",
        str(tmp_path / "words.npy"): "cannot be read",
        str(tmp_path / "empty.npz"): "cannot be read",
        str(cut): "cannot be read",
        save(tmp_path / "object.npz", images=pickled): "cannot be read.*allow_pickle",
        save(tmp_path / "keys.npz", x=COLOR, y=GRAY): r"holds x, y; save it with numpy\.savez",
    }
    for path, message in cases.items():
        with pytest.raises(InputError, match=rf"data\.path: .*{message}") as caught:
            data.load("arrays", path=path, image_size=6)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_size": 0}, "data.image_size: 0"),
        ({"store_size": 0}, "data.store_size: 0"),
        ({"limit": 0}, "data.limit: 0"),
        ({"test_limit": -3}, "data.test_limit: -3"),
        ({"validation_fraction": 1.0}, "data.validation_fraction: 1.0"),
        ({"validation_fraction": -0.1}, "data.validation_fraction: -0.1"),
        ({"validation_fraction": 1e-5}, "data.validation_fraction: 1e-05"),
        ({"memory_limit_gb": -1}, "data.memory_limit_gb: -1"),
        ({"source": "imagenet"}, f"data.source: imagenet is unknown; use one of {', '.join(sorted(data.SOURCES))}"),
        ({"seed": -1}, "seed: -1"),
    ],
)
def test_arguments_out_of_range(arguments, message):
    arguments = {"source": "digits", "image_size": 8} | arguments
    with pytest.raises(InputError) as caught:
        data.load(arguments.pop("source"), **arguments)
    assert str(caught.value).startswith(message)


def test_held_out_images_and_the_sources_own_are_two_things(tmp_path):
    """The CIFAR-10 study's table 1 trains on 80 % and is judged on test images; tables 2, 3 on the other 20 %."""
    path = save(tmp_path / "x.npz", images=COLOR, test_images=GRAY[:4])
    given = {"path": path, "image_size": 6, "validation_fraction": 0.3}
    own = data.load("arrays", split="test", **given)
    held_out = data.load("arrays", split="validation", **given)
    np.testing.assert_array_equal(own.train.images, held_out.train.images)
    np.testing.assert_array_equal(own.test.images, np.stack([GRAY[:4]] * 3, -1))
    assert len(held_out.test) == 3
    assert set(held_out.test.ids).isdisjoint(held_out.train.ids)
    np.testing.assert_array_equal(data.load("arrays", **given).test.images, held_out.test.images)


def test_a_split_that_is_not_there(tmp_path):
    path = save(tmp_path / "x.npz", images=COLOR)
    with pytest.raises(InputError, match=r"evaluation.split: validation, but data.validation_fraction 0"):
        data.load("arrays", path=path, image_size=6, split="validation")
    with pytest.raises(InputError, match=r"evaluation.split: test, but data.source arrays has no test images"):
        data.load("arrays", path=path, image_size=6, split="test")
    with pytest.raises(InputError, match=r"evaluation.split: test"):
        data.load("digits", image_size=8, split="test", validation_fraction=0.5)
