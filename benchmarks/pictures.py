"""Image files as the world holds them: good ones of every kind, and bad ones. Needs NumPy and Pillow only."""

import io
import os
import struct
import zlib

import numpy as np
from PIL import Image

FORMATS = {"JPEG": "jpg", "PNG": "png", "GIF": "gif", "BMP": "bmp", "WEBP": "webp", "TIFF": "tif"}


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
