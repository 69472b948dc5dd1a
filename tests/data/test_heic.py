"""HEIC, where pillow-heif is installed: the same frame as of a PNG, the right way up, and bad files refused by name."""

import io

import numpy as np
import pytest
from PIL import Image

from simsiam_tf import data
from simsiam_tf.data.decode import UnreadableImage, check_header, read_square

pillow_heif = pytest.importorskip("pillow_heif")
LOSSLESS = {"quality": -1, "chroma": 444, "matrix_coefficients": 0}


def picture(width=64, height=48, mode="RGB"):
    """Smooth colours, no two corners alike."""
    small = np.random.default_rng(0).integers(0, 256, (3, 4, len(mode)), dtype=np.uint8)
    return Image.fromarray(small.squeeze()).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image, kind="HEIF", **options):
    file = io.BytesIO()
    image.save(file, kind, **(LOSSLESS | options if kind == "HEIF" else options))
    return file.getvalue()


def square(content, side=32):
    return read_square(io.BytesIO(content), side).astype(int)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_lossless_heic_is_the_png_of_the_same_picture(mode):
    """With transparency over white, too."""
    image = picture(mode=mode)
    np.testing.assert_allclose(square(encoded(image)), square(encoded(image, "PNG")), atol=1)


def test_as_a_camera_saves_it_the_colours_stay():
    image = picture()
    default = encoded(image, quality=90, chroma=420, matrix_coefficients=6)
    assert np.abs(square(default) - square(encoded(image, "PNG"))).mean() < 2


def test_the_thumbnail_is_not_taken_for_the_picture(monkeypatch):
    """pillow-heif would decode a smaller copy in the file where that is large enough."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8))
    file, png = encoded(noise, thumbnails=[128]), square(encoded(noise, "PNG"))
    np.testing.assert_allclose(square(file), png, atol=1)
    monkeypatch.setattr(pillow_heif.options, "THUMBNAILS", True)
    assert np.abs(square(file) - png).max() > 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(orientation):
    """A file has it in EXIF and in properties of its own; it is applied once, as to a PNG with the same EXIF."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(picture(), exif=exif.tobytes())
    np.testing.assert_allclose(square(content), square(encoded(picture(), "PNG", exif=exif)), atol=1)
    assert check_header(io.BytesIO(content)) == 64


@pytest.mark.parametrize("bits", [10, 12])
def test_more_bits_are_scaled_to_eight(bits, monkeypatch):
    monkeypatch.setattr(pillow_heif.options, "SAVE_HDR_TO_12_BIT", bits == 12)
    levels = np.linspace(0, 65535, 64 * 48 * 3).reshape(48, 64, 3).astype("<u2")
    file = pillow_heif.from_bytes("RGB;16", (64, 48), levels.tobytes())
    file.save(held := io.BytesIO(), **LOSSLESS)
    assert pillow_heif.open_heif(io.BytesIO(held.getvalue()), convert_hdr_to_8bit=False).info["bit_depth"] == bits
    eight = Image.fromarray((levels / 257).round().astype(np.uint8))
    np.testing.assert_allclose(square(held.getvalue()), square(encoded(eight, "PNG")), atol=1)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
def test_a_truncated_file_is_refused_in_one_line(share):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    content = encoded(noise)
    with pytest.raises(UnreadableImage) as error:
        square(content[: int(share * len(content))])
    assert str(error.value)
    assert "\n" not in str(error.value)


def test_a_folder_counts_heic_in_and_names_bad_ones(tmp_path, caplog):
    (tmp_path / "a.HEIC").write_bytes(encoded(picture()))
    picture().save(tmp_path / "b.png")
    (tmp_path / "c.heif").write_bytes(encoded(picture())[:300])
    train, _ = data.load("folder", path=str(tmp_path), image_size=32)
    assert train.ids.tolist() == ["a.HEIC", "b.png"]
    assert list(train.skipped) == ["c.heif"]
    assert "1 of 3 images" in caplog.text
    heic, png = next(train.batches(2))
    np.testing.assert_allclose(heic.astype(int), png.astype(int), atol=1)
    streamed, _ = data.load("folder", path=str(tmp_path), image_size=32, memory_limit_gb=0)
    np.testing.assert_array_equal(next(streamed.batches(2))[0], heic)
