"""Frames against torchvision's Resize and CenterCrop, wholes against the pictures, square sets as ever."""

import hashlib
import io

import numpy as np
import pytest
from PIL import Image

import pillow_oracle
from simsiam_tf import data, networks
from simsiam_tf.data import decode
from simsiam_tf.data.renderings import Form, array_frames, fitted, to_frame, to_whole


def natural(height, width, seed=0, grain=25):
    """Coarse colours and grain: (h, w, 3) uint8."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))
    return np.clip(smooth + rng.normal(0, grain, (height, width, 3)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("side", [65, 77, 96, 224])
@pytest.mark.parametrize(
    "shape", [(375, 500), (500, 333), (301, 302), (97, 640), (80, 60), (400, 300), (513, 511), (260, 260)]
)
def test_frames_are_torchvisions(side, shape):
    image = Image.fromarray(natural(*shape))
    expected = pillow_oracle.torchvision_frame(image, side, round(side * 8 / 7)).astype(int)
    difference = np.abs(np.asarray(to_frame(image, side)) - expected)
    assert difference.max() <= 2
    assert difference.mean() < 0.3  # Pillow takes rows or columns first by the size of the result
    assert shape[0] != shape[1] or not difference.any()


def test_square_arrays_have_the_frames_of_square_pictures(tmp_path):
    """11 px are cut away, 6 of them before the middle."""
    pixels = natural(88, 88)
    np.save(tmp_path / "images.npy", pixels[None])
    images = data.load("arrays", path=str(tmp_path / "images.npy"), image_size=77).train
    np.testing.assert_array_equal(next(images.batches(1)), pixels[None, 6:83, 6:83])
    np.testing.assert_array_equal(np.asarray(to_frame(Image.fromarray(pixels), 77)), pixels[6:83, 6:83])


def test_frames_of_small_pictures_are_middle_squares():
    image = Image.fromarray(natural(40, 61))
    expected = image.resize((64, 64), Image.Resampling.BILINEAR, box=(10, 0, 50, 40))
    np.testing.assert_array_equal(np.asarray(to_frame(image, 64)), np.asarray(expected))


def test_a_line_of_pixels_has_a_frame():
    """Resized as a whole, it would be 25 million pixels long."""
    assert np.asarray(to_frame(Image.new("RGB", (100_000, 1), (1, 2, 3)), 224)).tolist() == [[[1, 2, 3]] * 224] * 224


@pytest.fixture
def folder(tmp_path):
    """Photographs as JPEGs, tall, wide, square, one turned by its EXIF."""
    exif = Image.Exif()
    exif[0x0112] = 6
    for i, shape in enumerate([(300, 400), (1100, 700), (260, 260), (90, 120)]):
        options = {"exif": exif} if i == 0 else {}
        Image.fromarray(natural(*shape, i, grain=4)).save(tmp_path / f"{i}.jpg", quality=95, **options)
    return tmp_path


@pytest.mark.parametrize("image_size", [32, 96])
def test_frames_do_not_depend_on_what_is_stored(folder, image_size):
    arguments = {"path": str(folder), "image_size": image_size}
    expected = next(data.load("folder", **arguments).train.batches(4, crop=image_size))
    for options in ({"store_size": 333}, {"store_size": 20}, {"memory_limit_gb": 0}, {"views": False}):
        images = data.load("folder", **arguments, **options).train
        np.testing.assert_array_equal(next(images.batches(4, crop=image_size)), expected)
    with Image.open(folder / "0.jpg") as image:
        upright = image.convert("RGB").transpose(Image.Transpose.ROTATE_270)
    resized = image_size if image_size <= 64 else 110
    official = pillow_oracle.torchvision_frame(upright, image_size, resized).astype(int)
    assert np.abs(expected[0] - official).mean() < (0.5 if image_size == 96 else 2)  # 32 px: of half of the JPEG


def test_wholes_are_the_pictures_or_shrunk_in_proportion(folder):
    train = data.load("folder", path=str(folder), image_size=224, memory_limit_gb=0).train
    squares, sizes = train.whole(np.arange(4))
    assert squares.shape == (4, 512, 512, 3)
    assert sizes.tolist() == [[400, 300], [512, 326], [260, 260], [90, 120]]
    for i in (0, 2, 3):  # no larger than 512 px: every pixel is the file's
        with Image.open(folder / f"{i}.jpg") as image:
            upright = image.transpose(Image.Transpose.ROTATE_270) if i == 0 else image
            np.testing.assert_array_equal(squares[i, : sizes[i, 0], : sizes[i, 1]], np.asarray(upright))
    small = np.asarray(Image.open(folder / "1.jpg").resize((326, 512), Image.Resampling.BOX), int)
    assert np.abs(squares[1, :512, :326] - small).mean() < 2  # decoded at a half


def test_a_jpeg_is_decoded_no_larger_than_needed(monkeypatch):
    file, form, decoded = io.BytesIO(), Form(224), []
    Image.fromarray(natural(1500, 2000)).save(file, "JPEG")
    monkeypatch.setattr(decode, "to_rgb", lambda image: decoded.append(image.size) or image)
    decode.read_images(file, form.need_of_whole, form.need_of_frame)
    assert decoded == [(1000, 750)]  # once for both; at a quarter, 500 px would not do for 512
    decode.read_images(file, Form(32).need_of_whole, Form(32).need_of_frame)
    assert decoded[1:] == [(250, 188)]  # no side below 128 px
    decode.read_images(file, Form(32, store_size=512).need_of_whole, Form(32).need_of_frame)
    assert decoded[2:] == [(1000, 750), (250, 188)]


@pytest.mark.parametrize("side", [16, 32, 64, 224])
def test_features_of_frames_are_within_a_hundredth_of_those_of_whole_jpegs(side, shared_data):
    """An untrained encoder's, over photographs that are decoded at a half or less for it."""
    files = sorted(shared_data.glob("photos/**/*.jpg"))[::15]
    assert len(files) >= 20
    network = networks.build("resnet18", width=8)

    def features(need):
        frames = [np.asarray(to_frame(*decode.read_images(path, need), side)) for path in files]
        return network(np.stack(frames)).numpy()

    ours, official = features(Form(side).need_of_frame), features(lambda size: size)
    assert np.linalg.norm(ours - official) < 0.01 * np.linalg.norm(official)


def test_fitted_sizes():
    assert [fitted(size, 100) for size in [(200, 100), (100, 100), (99, 1), (3000, 1)]] == [
        (100, 50),
        (100, 100),
        (99, 1),
        (100, 1),
    ]
    image = Image.new("RGB", (30, 20))
    assert to_whole(image, 30).size == (30, 20)


@pytest.mark.parametrize("memory_limit_gb", [4.0, 0.0])
def test_wide_arrays(tmp_path, memory_limit_gb):
    images = np.stack([natural(120, 150, seed) for seed in range(5)])
    np.save(tmp_path / "x.npy", images)
    arguments = {"path": str(tmp_path / "x.npy"), "image_size": 96, "memory_limit_gb": memory_limit_gb}
    train = data.load("arrays", **arguments).train
    squares, sizes = train.whole(np.array([3, 0]))
    np.testing.assert_array_equal(squares[:, :120], images[[3, 0]])
    assert sizes.tolist() == [[120, 150]] * 2
    np.testing.assert_array_equal(np.concatenate([*train.batches(2)]), array_frames(images, 96))
    batch = next(data.training_batches(train, 5, seed=0, with_rows=True).as_numpy_iterator())
    np.testing.assert_array_equal(batch["images"][:, :120], images[batch["rows"]])


def test_square_arrays_are_trained_on_as_they_are_evaluated(tmp_path):
    np.save(tmp_path / "x.npy", np.stack([natural(40, 40, seed) for seed in range(5)]))
    for image_size in (16, 32, 64):
        train = data.load("arrays", path=str(tmp_path / "x.npy"), image_size=image_size).train
        assert (train.sized, train.side) == (False, image_size)
        np.testing.assert_array_equal(train.gather(np.arange(5)), train.frames(np.arange(5)))
        assert train.nbytes == 5 * image_size**2 * 3
    assert data.load("arrays", path=str(tmp_path / "x.npy"), image_size=16, store_size=24).train.side == 24


@pytest.mark.parametrize(
    ("image_size", "batches", "frames"),
    [(16, "3a10dcca8266a350", "a9fba4dbd00ab467"), (96, "0a0c32c7f1aec20c", "49e5b58134a14dc4")],
)
def test_digits_are_bit_for_bit_what_they_were(image_size, batches, frames):
    """Hashes of the time when every picture was kept as its middle square."""
    train, test = data.load("digits", image_size=image_size)
    stream = data.training_batches(train, 40, seed=3, steps=3).as_numpy_iterator()
    assert hashed(stream) == batches
    assert hashed(next(part.batches(50, crop=image_size)) for part in (train, test)) == frames


def hashed(arrays):
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()[:16]
