"""Decoding: every colour mode to the right pixels, the right way up, and bad files refused with a reason."""

import io

import numpy as np
import pytest
from PIL import Image

from simsiam_tf.data.decode import UnreadableImage, array_squares, check_header, read_square


def encoded(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    file.seek(0)
    return file


def flat(mode, color, size=(6, 4)):
    return Image.new(mode, size, color)


def palette_with_transparent_entry():
    image = flat("P", 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    return encoded(image, transparency=1)


@pytest.mark.parametrize(
    ("file", "rgb"),
    [
        (encoded(flat("RGB", (10, 20, 30))), (10, 20, 30)),
        (encoded(flat("L", 77)), (77, 77, 77)),
        (encoded(flat("1", 1)), (255, 255, 255)),
        (encoded(flat("P", 1).convert("P")), None),
        (encoded(flat("LA", (100, 255))), (100, 100, 100)),
        (encoded(flat("RGBA", (200, 0, 0, 255))), (200, 0, 0)),
        # Transparency over white: fully clear is white, half clear is half way to white.
        (encoded(flat("RGBA", (200, 0, 0, 0))), (255, 255, 255)),
        (encoded(flat("RGBA", (0, 0, 0, 51))), (204, 204, 204)),
        (encoded(flat("LA", (0, 0))), (255, 255, 255)),
        (palette_with_transparent_entry(), (255, 255, 255)),
        # CMYK without a profile: red is 255 - cyan.
        (encoded(flat("CMYK", (255, 0, 0, 0)), "TIFF"), (0, 255, 255)),
        (encoded(flat("CMYK", (0, 0, 255, 0)), "JPEG", quality=100), (255, 255, 0)),
        # 16 bits a pixel: 65535 is white, 257 is 1.
        (encoded(flat("I;16", 65535)), (255, 255, 255)),
        (encoded(flat("I;16", 100 * 257)), (100, 100, 100)),
        (encoded(flat("RGB", (1, 2, 3), (1, 1))), (1, 2, 3)),
        (encoded(flat("RGB", (9, 9, 9)), "BMP"), (9, 9, 9)),
        (encoded(flat("RGB", (40, 80, 120)), "WEBP", lossless=True), (40, 80, 120)),
        (encoded(flat("L", 50), "GIF"), (50, 50, 50)),
    ],
)
def test_modes(file, rgb):
    square = read_square(file, 5)
    assert square.shape == (5, 5, 3)
    assert square.dtype == np.uint8
    if rgb is not None:
        np.testing.assert_allclose(square, np.broadcast_to(rgb, (5, 5, 3)), atol=1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(orientation):
    upright = np.zeros((4, 4, 3), np.uint8)
    upright[0, 0], upright[0, 3], upright[3, 0] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    # What a camera stores for each orientation, by the EXIF standard: where its row 0 and column 0 lie.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright, 1),
        7: np.rot90(upright, 2).swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = encoded(Image.fromarray(np.ascontiguousarray(stored)), exif=exif)
    np.testing.assert_array_equal(read_square(file, 4), upright)


def test_damaged_exif_costs_nothing():
    file = encoded(flat("RGB", (10, 20, 30)), "PNG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\x00garbage")
    np.testing.assert_array_equal(read_square(file, 2)[0, 0], (10, 20, 30))


def test_square_is_the_middle():
    pixels = np.zeros((4, 8, 3), np.uint8)
    pixels[:, 2:6] = 200
    np.testing.assert_array_equal(read_square(encoded(Image.fromarray(pixels)), 4), np.full((4, 4, 3), 200))
    tall = np.ascontiguousarray(pixels.swapaxes(0, 1))
    np.testing.assert_array_equal(read_square(encoded(Image.fromarray(tall)), 4), np.full((4, 4, 3), 200))


def test_equal_size_is_exact():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 8, 3), dtype=np.uint8)  # odd margin
    np.testing.assert_array_equal(read_square(encoded(Image.fromarray(pixels)), 5), pixels[:, 1:6])


def test_shrinking_is_antialiased():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    np.testing.assert_allclose(read_square(encoded(Image.fromarray(stripes)), 8), 127.5, atol=10)


def test_jpeg_draft_keeps_the_picture():
    rng = np.random.default_rng(0)
    smooth = Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)).resize((400, 300))
    reference = np.asarray(smooth.crop((50, 0, 350, 300)).resize((64, 64), Image.Resampling.BILINEAR), int)
    decoded = read_square(encoded(smooth, "JPEG", quality=95), 64)
    assert np.abs(decoded - reference).mean() < 1.5


def damaged(kind):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    data = encoded(noise, kind).getvalue()
    return io.BytesIO(data[: len(data) // 2])


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (damaged("JPEG"), "truncated"),
        (damaged("PNG"), "truncated"),
        (io.BytesIO(b"these are words"), "not an image"),
        (io.BytesIO(b""), "not an image"),
        (encoded(flat("F", 0.5), "TIFF"), "float pixels"),
        ("no/such/file.jpg", "No such file"),
    ],
)
def test_unreadable(file, reason):
    with pytest.raises(UnreadableImage, match=reason) as caught:
        read_square(file, 8)
    assert "\n" not in str(caught.value)


# Between its limit and twice that Pillow only warns; here both are refused.
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("size", [(12, 12), (20, 20)])
@pytest.mark.parametrize("read", [lambda file: read_square(file, 8), check_header])
def test_decompression_bomb(monkeypatch, size, read):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(UnreadableImage, match="pixels"):
        read(encoded(flat("RGB", 0, size)))
    read(encoded(flat("RGB", 0, (10, 10))))


def test_header_check_reads_no_pixels():
    check_header(damaged("JPEG"))
    with pytest.raises(UnreadableImage, match="not an image"):
        check_header(io.BytesIO(b"these are words"))


def test_array_squares():
    rng = np.random.default_rng(0)
    gray = rng.integers(0, 256, (2, 6, 6), dtype=np.uint8)
    np.testing.assert_array_equal(array_squares(gray, 6), np.stack([gray] * 3, -1))
    np.testing.assert_array_equal(array_squares(gray[..., None], 6), np.stack([gray] * 3, -1))
    color = rng.integers(0, 256, (2, 6, 6, 3), dtype=np.uint8)
    assert array_squares(color, 6) is color
    wide = rng.integers(0, 256, (2, 6, 8, 3), dtype=np.uint8)
    np.testing.assert_array_equal(array_squares(wide, 6), wide[:, :, 1:7])
    clear = np.concatenate([color, np.zeros((2, 6, 6, 1), np.uint8)], -1)
    np.testing.assert_array_equal(array_squares(clear, 6), 255)
    half = array_squares(wide, 3)
    files = [read_square(encoded(Image.fromarray(image)), 3) for image in wide]
    np.testing.assert_array_equal(half, files)
