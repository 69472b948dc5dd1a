"""A folder of good pictures of every kind, and 200 bad files among them: the good are used, the bad are named."""

import io
import logging
import os
import socket
import struct
import zlib

import killing
import numpy as np
import pytest
from PIL import Image

from simsiam_tf import data

FORMATS = {"JPEG": "jpg", "PNG": "png", "GIF": "gif", "BMP": "bmp", "WEBP": "webp", "TIFF": "tif"}
SEED = 0


def noise(generator, mode="RGB", size=(24, 20)):
    image = Image.fromarray(generator.integers(0, 256, (size[1], size[0], 4), dtype=np.uint8), "RGBA")
    return image.convert("RGB").convert(mode)


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def good_files(generator):
    """{name: content} of what cameras, scanners and the web make."""

    def plain(mode="RGB", size=(24, 20)):
        return noise(generator, mode, size)

    deep = Image.fromarray(generator.integers(0, 65536, (20, 24), dtype=np.uint16))
    frames = {"save_all": True, "append_images": [plain(), plain()]}
    exif = Image.Exif()
    exif[0x0112] = 6
    files = {f"plain.{ending.upper()}": encoded(plain(), kind) for kind, ending in FORMATS.items()}
    return files | {
        "cmyk.jpg": encoded(plain("CMYK"), "JPEG"),
        "progressive.jpeg": encoded(plain(), "JPEG", progressive=True),
        "rotated.jpg": encoded(plain(), "JPEG", exif=exif),
        "gray.jpg": encoded(plain("L"), "JPEG"),
        "deep.png": encoded(deep, "PNG"),
        "palette.png": encoded(plain("P"), "PNG", transparency=3),
        "bits.png": encoded(plain("1"), "PNG"),
        "alpha.png": encoded(plain("RGBA"), "PNG"),
        "animated.gif": encoded(plain("P"), "GIF", **frames),
        "animated.webp": encoded(plain(), "WEBP", **frames),
        "pages.tiff": encoded(plain(), "TIFF", **frames),
        "lzw.tif": encoded(plain(), "TIFF", compression="tiff_lzw"),
        "really_a_png.jpg": encoded(plain(), "PNG"),
        "one_pixel.png": encoded(plain(size=(1, 1)), "PNG"),
        "line.png": encoded(plain(size=(3000, 1)), "PNG"),
        "two\nlines.png": encoded(plain(), "PNG"),
        os.fsdecode(b"latin\xe9.png"): encoded(plain(), "PNG"),
    }


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def bad_files(generator, count=190):
    """{name: content} of files whose name promises a picture."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0))
    huge_bmp = bytearray(encoded(noise(generator), "BMP"))
    huge_bmp[18:26] = struct.pack("<ii", 2**30, 2**30)
    files = {
        "empty.jpg": b"",
        "words.png": b"these are words",
        "page.gif": b"<html><body>404 not found</body></html>",
        "movie.webp": b"RIFF\x00\x00\x00\x00AVI LIST",
        "huge.png": b"\x89PNG\r\n\x1a\n" + header + chunk(b"IEND", b""),
        "huge.bmp": bytes(huge_bmp),
        "no_pixels.png": b"\x89PNG\r\n\x1a\n" + chunk(b"IEND", b""),
        "float.tif": encoded(Image.new("F", (9, 9), 0.5), "TIFF"),
        "program.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/tmp/x) (w) file\n",
        "two\nlines.jpg": b"words",
        os.fsdecode(b"latin\xe9.jpg"): b"words",
    }
    while len(files) < count:
        kind, ending = list(FORMATS.items())[len(files) % len(FORMATS)]
        whole = encoded(noise(generator), kind)
        cut = generator.integers(1, len(whole) // 2)
        content = {
            0: whole[:cut],
            1: generator.bytes(int(generator.integers(1, 2000))),
            2: bytes(min(cut, 16)) + whole[16:],
            3: whole[:cut] + bytes(len(whole) - cut) if kind == "PNG" else bytes(len(whole)),
        }[len(files) // len(FORMATS) % 4]
        files[f"{len(files)}.{ending}"] = content
    return files


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder, the names of the good files and those of the bad ones."""
    root, generator = tmp_path_factory.mktemp("pictures"), np.random.default_rng(SEED)
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
