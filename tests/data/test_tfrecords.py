"""TFDS sets: CIFAR-10 where it is at hand, small sets made here with varying sizes, and every wrong name."""

import io

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image

from simsiam_tf import data
from simsiam_tf.data import record_index, tfrecords
from simsiam_tf.data.decode import read_square
from simsiam_tf.data.tfrecords import RecordImages
from simsiam_tf.errors import InputError


@pytest.fixture(scope="module")
def cifar(request):
    path = request.config.rootpath.parent / "shared" / "data" / "tfds"
    if not path.is_dir():
        pytest.skip(f"CIFAR-10 is not at {path}")
    return str(path), data.load("tfds", name="cifar10", path=str(path), image_size=32)


def test_cifar_statistics(cifar):
    train, test = cifar[1]
    assert (len(train), len(test)) == (50_000, 10_000)
    assert train.in_memory
    assert train.image_shape == (32, 32, 3)
    counts = np.array([np.bincount(train.images[..., channel].ravel(), minlength=256) for channel in range(3)])
    values = np.arange(256) / 255
    mean = counts @ values / counts.sum(1)
    std = np.sqrt(counts @ values**2 / counts.sum(1) - mean**2)
    np.testing.assert_allclose(mean, (0.49140, 0.48216, 0.44653), atol=2e-5)
    np.testing.assert_allclose(std, (0.24703, 0.24348, 0.26159), atol=2e-5)
    assert np.bincount(train.labels).tolist() == [5000] * 10
    assert np.bincount(test.labels).tolist() == [1000] * 10
    assert train.class_names[:3] == ("airplane", "automobile", "bird")
    assert train.ids[[0, -1]].tolist() == ["0", "49999"]


def test_cifar_holdout_is_stratified(cifar):
    path, (_, whole) = cifar
    train, test = data.load(
        "tfds", name="cifar10", path=path, image_size=16, train_split="test", validation_fraction=0.2
    )
    assert np.bincount(train.labels).tolist() == [800] * 10
    assert np.bincount(test.labels).tolist() == [200] * 10
    assert not set(train.ids) & set(test.ids)
    assert test.name == "cifar10/test"
    # Shrinking keeps the picture: the mean of the 16 px image is that of the 32 px image.
    means = test.images.mean((1, 2, 3))
    expected = whole.images[test.ids.astype(int)].mean((1, 2, 3))
    assert np.abs(means - expected).mean() < 0.3


def test_cifar_streamed_equals_memory(cifar):
    path, (train, test) = cifar
    streamed = data.load("tfds", name="cifar10", path=path, image_size=32, memory_limit_gb=0)
    assert not streamed.train.in_memory
    assert len(streamed.train) == 50_000
    rows = np.array([0, 1, 12_499, 12_500, 30_000, 49_999])
    np.testing.assert_array_equal(streamed.train.gather(rows), train.gather(rows))
    np.testing.assert_array_equal(streamed.test.labels, test.labels)
    subset = streamed.train.take(rows)
    np.testing.assert_array_equal(subset.labels, train.labels[rows])
    assert subset.ids.tolist() == [str(row) for row in rows]
    first, second = (data.training_batches(s, 64, seed=3, start_step=770, steps=14) for s in (train, streamed.train))
    for a, b in zip(first, second, strict=True):  # over the border of an epoch of 781 steps
        np.testing.assert_array_equal(a, b)


def test_sub_splits(cifar):
    path, (whole, _) = cifar
    for memory_limit_gb in (4, 0):
        train, _ = data.load(
            "tfds",
            name="cifar10",
            path=path,
            image_size=32,
            train_split="train[12000:13000]",
            test_split="test[:10]",
            memory_limit_gb=memory_limit_gb,
        )
        assert len(train) == 1000
        np.testing.assert_array_equal(train.gather([0, 600, 999]), whole.gather([12_000, 12_600, 12_999]))


@pytest.fixture
def prepared(tmp_path):
    """Prepares a TFDS set of random images; returns its data_dir and the images."""

    def make(name, shape, sizes, labels, splits=("train",)):
        rng = np.random.default_rng(0)
        features = {"image": tfds.features.Image(shape=shape, encoding_format="png")}
        if labels is not None:
            features["label"] = tfds.features.ClassLabel(names=["cat", "dog"])
        images = [rng.integers(0, 256, (*size, shape[-1]), dtype=np.uint8) for size in sizes]
        spec = {"image": tf.TensorSpec(shape, tf.uint8)}
        if labels is not None:
            spec["label"] = tf.TensorSpec((), tf.int64)

        def records():
            for row, image in enumerate(images):
                yield {"image": image} | ({} if labels is None else {"label": labels[row]})

        dataset = tf.data.Dataset.from_generator(records, output_signature=spec)
        tfds.dataset_builders.store_as_tfds_dataset(
            name=name,
            version="1.0.0",
            features=tfds.features.FeaturesDict(features),
            split_datasets=dict.fromkeys(splits, dataset),
            data_dir=tmp_path,
            disable_shuffling=True,
        )
        return str(tmp_path), images

    return make


def png(image):
    file = io.BytesIO()
    Image.fromarray(image if image.shape[-1] > 1 else image[..., 0]).save(file, "PNG")
    file.seek(0)
    return file


@pytest.mark.parametrize("memory_limit_gb", [4.0, 0.0])
def test_varying_sizes(prepared, memory_limit_gb):
    sizes = [(9, 12), (20, 20), (30, 11), (1, 1)]
    path, images = prepared("mixed", (None, None, 3), sizes, [1, 0, 1, 1], ("train", "validation"))
    train, test = data.load(
        "tfds",
        name="mixed",
        path=path,
        image_size=8,
        test_split="validation",
        memory_limit_gb=memory_limit_gb,
    )
    assert train.in_memory == bool(memory_limit_gb)
    expected = [read_square(png(image), 8) for image in images]
    np.testing.assert_array_equal(np.concatenate(list(train.batches(3))), expected)
    assert train.labels.tolist() == [1, 0, 1, 1]
    assert train.class_names == ("cat", "dog")
    assert len(test) == 4


@pytest.mark.parametrize("memory_limit_gb", [4.0, 0.0])
def test_gray_unlabelled_and_resized(prepared, memory_limit_gb):
    path, images = prepared("gray", (10, 14, 1), [(10, 14)] * 3, None)
    arguments = {"name": "gray", "path": path, "image_size": 5, "memory_limit_gb": memory_limit_gb}
    with pytest.raises(InputError, match=r"data\.test_split: test .*known: train; .*data\.validation_fraction"):
        data.load("tfds", **arguments)
    train, test = data.load("tfds", test_split=None, **arguments)
    assert test is None
    assert train.labels is None
    np.testing.assert_array_equal(train.frames([0, 1, 2]), [read_square(png(image), 5) for image in images])
    squares, sizes = train.whole([0, 2])
    np.testing.assert_array_equal(squares[:, :10], np.repeat([images[0], images[2]], 3, axis=-1))
    np.testing.assert_array_equal(sizes, [[10, 14]] * 2)
    train, test = data.load("tfds", validation_fraction=0.34, **arguments)
    assert (len(train), len(test)) == (2, 1)


@pytest.mark.parametrize("memory_limit_gb", [4, 0])
def test_the_test_split_and_the_held_out_part_are_two_things(prepared, memory_limit_gb):
    path, _ = prepared("two", (6, 6, 3), [(6, 6)] * 10, [0, 1] * 5, splits=("train", "test"))
    given = {"name": "two", "path": path, "image_size": 6, "memory_limit_gb": memory_limit_gb}
    whole = data.load("tfds", **given)
    (kept, own), (left, held_out) = (
        data.load("tfds", split=split, validation_fraction=0.2, **given) for split in ("test", "validation")
    )
    assert own.ids.tolist() == whole.test.ids.tolist()
    assert kept.ids.tolist() == left.ids.tolist()
    assert sorted([*left.ids, *held_out.ids]) == sorted(whole.train.ids)
    assert len(held_out) == 2


def test_labels_are_read_once_for_all_processes(prepared, tmp_path, monkeypatch):
    """Of a set that is read from disk; a start that needs more of them reads what is left."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(record_index, "MANY", 1)
    path, _ = prepared("labelled", (4, 4, 3), [(4, 4)] * 6, [0, 1, 1, 0, 1, 0])
    arguments = {"name": "labelled", "path": path, "image_size": 4, "test_split": None, "memory_limit_gb": 0}
    read, label = [], RecordImages._label
    monkeypatch.setattr(RecordImages, "_label", lambda self, name: (read.append(name), label(self, name))[1])
    few = data.load("tfds", **arguments, limit=2).train
    assert few.labels.tolist() == np.array([0, 1, 1, 0, 1, 0])[few.ids.astype(int)].tolist()
    for further in (4, 0):
        read.clear()
        assert data.load("tfds", **arguments).train.labels.tolist() == [0, 1, 1, 0, 1, 0]
        assert len(read) == further


def test_a_reading_of_labels_that_is_cut_off_goes_on(prepared, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(record_index, "MANY", 1)
    monkeypatch.setattr(tfrecords, "AT_ONCE", 2)
    path, _ = prepared("cut_off", (4, 4, 3), [(4, 4)] * 6, [0, 1, 1, 0, 1, 0])
    arguments = {"name": "cut_off", "path": path, "image_size": 4, "test_split": None, "memory_limit_gb": 0}
    read, label = [], RecordImages._label

    def killed_at_the_sixth(self, name):
        if name == "5" and not read:
            raise KeyboardInterrupt
        return label(self, name)

    monkeypatch.setattr(RecordImages, "_label", killed_at_the_sixth)
    with pytest.raises(KeyboardInterrupt):
        assert data.load("tfds", **arguments).train.labels is None
    monkeypatch.setattr(RecordImages, "_label", lambda self, name: (read.append(name), label(self, name))[1])
    assert data.load("tfds", **arguments).train.labels.tolist() == [0, 1, 1, 0, 1, 0]
    assert read == ["4", "5"]


def test_withheld_labels_count_as_none(prepared):
    path, _ = prepared("withheld", (4, 4, 3), [(4, 4)] * 3, [-1, -1, -1])
    for memory_limit_gb in (4, 0):
        arguments = {"name": "withheld", "path": path, "image_size": 4, "memory_limit_gb": memory_limit_gb}
        assert data.load("tfds", test_split=None, **arguments).train.labels is None


def test_damaged_record_is_replaced(prepared, caplog):
    path, _ = prepared("damaged", (None, None, 3), [(9, 9)] * 4, [0, 1, 0, 1])
    train, _ = data.load("tfds", name="damaged", path=path, image_size=9, test_split=None, memory_limit_gb=0)
    good = train.gather(np.arange(4))
    record = train._index.paths[0]
    offset, length = train._index.places[1]
    with open(record, "r+b") as file:
        file.seek(offset)
        file.write(bytes(length))
    train, _ = data.load("tfds", name="damaged", path=path, image_size=9, test_split=None, memory_limit_gb=0)
    np.testing.assert_array_equal(train.gather(np.arange(4)), good[[0, 2, 2, 3]])
    assert train.ids.tolist() == ["0", "2", "2", "3"]
    assert "damaged TFRecord" in caplog.text or "takes its place" in caplog.text


def test_wrong_names(prepared, monkeypatch):
    path, _ = prepared("small", (4, 4, 3), [(4, 4)] * 2, [0, 1])
    cases = [
        ({"name": None}, r"data\.name: none given"),
        ({"name": "no_such_set"}, r"data\.name: no_such_set is not a TFDS set.*data\.path"),
        ({"name": "No such/set!"}, r"data\.name: No such/set!"),
        ({"name": "small", "train_split": "trian"}, r"data\.train_split: trian .*known: train;"),
        ({"name": "small", "train_split": "train[:"}, r"data\.train_split: train\[: "),
    ]
    for arguments, message in cases:
        with pytest.raises(InputError, match=message) as caught:
            data.load("tfds", path=path, image_size=4, **arguments)
        assert "\n" not in str(caught.value)


def test_no_images_in_set(tmp_path):
    tfds.dataset_builders.store_as_tfds_dataset(
        name="words",
        version="1.0.0",
        features=tfds.features.FeaturesDict({"text": tfds.features.Text()}),
        split_datasets={"train": tf.data.Dataset.from_tensor_slices({"text": ["a", "b"]})},
        data_dir=tmp_path,
    )
    with pytest.raises(InputError, match=r"data\.name: words has no feature image .* but text;"):
        data.load("tfds", name="words", path=str(tmp_path), image_size=4)


def test_download_that_fails(tmp_path, monkeypatch):
    def refuse(self, **arguments):
        raise ConnectionError("no route to host\nmore lines")

    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", refuse)
    message = rf"data\.name: mnist .* data\.path {tmp_path} .*\(no route to host\); prepare it .* data\.path"
    with pytest.raises(InputError, match=message) as caught:
        data.load("tfds", name="mnist", path=str(tmp_path), image_size=28)
    assert "\n" not in str(caught.value)
