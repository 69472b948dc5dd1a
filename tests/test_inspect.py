"""The verb inspect: planted copies are found, every picture has its row, and the page is whole and small."""

import os
import re
from types import SimpleNamespace

import keras
import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image, ImageEnhance, ImageOps

from simsiam_tf.cli import main as cli
from simsiam_tf.data.decode import shown_size
from simsiam_tf.evaluation import features
from simsiam_tf.runs import inspect_files
from simsiam_tf.runs.embed import distinct


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run folder whose encoder is fixed: the mean colours of a 4 x 4 grid."""
    path = tmp_path_factory.mktemp("inspect") / "run"
    path.mkdir()
    (path / "config.yaml").write_text("data: {image_size: 32}\n")
    images = keras.Input((32, 32, 3))
    cells = keras.layers.AveragePooling2D(8)(keras.layers.Rescaling(1 / 255, -0.5)(images))
    keras.Model(images, keras.layers.Flatten()(cells)).save(path / "backbone.keras")
    return path


def picture(seed, size=(90, 60)):
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


@pytest.fixture
def folder(tmp_path):
    """Twenty pictures, of three of them a copy or two, and two files that are none."""
    path = tmp_path / "pictures"
    path.mkdir()
    for seed in range(20):
        picture(seed, (90 + seed, 60)).save(path / f"{seed:02}.png")
    picture(3, (93, 60)).save(path / "saved.jpg", quality=60)
    ImageOps.mirror(picture(3, (93, 60))).save(path / "turned.png")
    ImageEnhance.Brightness(picture(7, (97, 60))).enhance(1.15).save(path / "bright<b>&.png")
    picture(11, (101, 60)).crop((1, 1, 99, 58)).save(path / "cropped.png")
    (path / "bad.png").write_bytes(b"words")
    (path / os.fsdecode(b"bad\xe9.jpg")).write_bytes(b"")
    return path


def inspect(run, folder, *more):
    assert cli.main(["inspect", str(run), "--data", str(folder), *map(str, more)]) == 0


def rows(path):
    return {row["id"]: row for row in pyarrow.parquet.read_table(path).to_pylist()}


def test_copies_are_grouped_and_every_picture_has_a_row(run, folder, tmp_path, capsys):
    output = tmp_path / "found.html"
    inspect(run, folder, "--output", output)
    assert "24 pictures, 2 unreadable; 7 near-duplicates in 3 groups" in capsys.readouterr().out
    table = pyarrow.parquet.read_table(tmp_path / "found.parquet")
    assert table.column_names == ["id", "width", "height", "bytes", "nearest", "cosine", "group"]
    found = rows(tmp_path / "found.parquet")
    assert len(found) == 24
    assert {name for name, row in found.items() if row["group"] == 1} == {"03.png", "saved.jpg", "turned.png"}
    assert {name for name, row in found.items() if row["group"] == 2} == {"07.png", "bright<b>&.png"}
    assert {name for name, row in found.items() if row["group"] == 3} == {"11.png", "cropped.png"}
    assert sum(row["group"] is None for row in found.values()) == 17
    assert found["turned.png"]["nearest"] in ("03.png", "saved.jpg")
    assert found["turned.png"]["cosine"] > 0.99  # mirrored about another middle: the sides are odd
    assert (found["05.png"]["width"], found["05.png"]["height"]) == (95, 60)
    assert found["05.png"]["bytes"] == (folder / "05.png").stat().st_size


def test_the_page_shows_it_and_needs_nothing_else(run, folder, tmp_path):
    output = tmp_path / "found.html"
    inspect(run, folder, "--output", output)
    text = output.read_text()
    assert len(text) < 5e6
    assert "24 pictures, 7 of them near-duplicates in 3 groups; 2 unreadable." in text
    assert re.search(r"Group 1: 3 pictures.*03\.png.*saved\.jpg.*turned\.png.*Group 2", text, re.DOTALL)
    assert text.count("not an image") + text.count("cannot be identified") >= 1
    assert "bad\\udce9.jpg" in text
    assert "bright&lt;b&gt;&amp;.png" in text
    assert "<b>" not in text
    assert not re.search(r"https?://|<script|<link|@import|url\(", text)
    images = re.findall(r"<img [^>]*>", text)
    assert len(images) > 24
    assert all(re.search(r'src="data:image/jpeg;base64,[^"]+" alt="[^"]+" width="\d+" height="\d+"', i) for i in images)
    for words in ('name="viewport"', "prefers-color-scheme: dark", '<html lang="en">', "<title>pictures: 24 pictures"):
        assert words in text


def test_a_threshold_decides_alone(run, folder, tmp_path):
    for threshold, grouped in ((0.9999999, 0), (-1, 24)):
        inspect(run, folder, "--output", tmp_path / "found.html", "--threshold", threshold)
        assert sum(row["group"] is not None for row in rows(tmp_path / "found.parquet").values()) == grouped
        words = f"Pairs of a cosine of at least {threshold:.3f}, and what they join."
        assert words in (tmp_path / "found.html").read_text()
    assert all(row["group"] == 1 for row in rows(tmp_path / "found.parquet").values())


def test_by_default_the_files_lie_in_the_run_and_a_folder_may_be_called_train(run, tmp_path, monkeypatch):
    (tmp_path / "train").mkdir()
    for seed in range(3):
        picture(seed).save(tmp_path / "train" / f"{seed}.png")
    monkeypatch.chdir(tmp_path)
    inspect(run, "train")
    assert rows(run / "inspect.parquet").keys() == {"0.png", "1.png", "2.png"}
    assert "<h1>train</h1>" in (run / "inspect.html").read_text()


def test_a_streamed_set_is_the_same_and_names_what_it_left_out(run, folder, tmp_path, truncate_at):
    truncate_at(folder / "04b.jpg")  # its header is good
    found = {}
    for name, config in (("memory", ""), ("streamed", ", memory_limit_gb: 0")):
        path = tmp_path / name
        path.mkdir()
        (path / "config.yaml").write_text(f"data: {{image_size: 32{config}}}\n")
        (path / "backbone.keras").write_bytes((run / "backbone.keras").read_bytes())
        inspect(path, folder)
        found[name] = rows(path / "inspect.parquet")
        assert "04b.jpg" in (path / "inspect.html").read_text()
    assert found["memory"] == found["streamed"]
    assert len(found["memory"]) == 24


@pytest.mark.parametrize("verb", ["inspect", "embed", "neighbors"])
def test_features_of_many_pictures_lie_in_a_file(run, folder, tmp_path, monkeypatch, verb):
    words = [
        verb,
        str(run),
        "--data",
        str(folder),
        *(["--query", str(folder / "00.png")] if verb == "neighbors" else []),
    ]
    name = {"inspect": "out.html", "embed": "out.parquet", "neighbors": "out.png"}[verb]
    table = "out.json" if verb == "neighbors" else "out.parquet"
    written, made, array = [], [], features.array
    for in_memory in (features.IN_MEMORY, 0):
        monkeypatch.setattr(features, "IN_MEMORY", in_memory)
        monkeypatch.setattr(
            features, "array", lambda *shape, dtype: made.append(array(*shape, dtype=dtype)) or made[-1]
        )
        assert cli.main([*words, "--output", str(tmp_path / name)]) == 0
        written.append((tmp_path / table).read_bytes())
    assert written[0] == written[1]
    assert [each.shape for each in made if isinstance(each, np.memmap)] == [(24, 48)]


def test_replaced_pictures_leave_their_rows_to_the_others(tmp_path, monkeypatch):
    monkeypatch.setattr("simsiam_tf.runs.embed.CHECKED", 2)
    images = SimpleNamespace(ids=np.array(["a", "b", "b", "c", "a", "d", "e", "e"]))
    stored = np.memmap(tmp_path / "features", np.float32, "w+", shape=(8, 3))
    stored[:] = np.arange(24).reshape(8, 3)
    rows, kept = distinct(images, stored)
    assert rows.tolist() == [0, 1, 3, 5, 6]
    np.testing.assert_array_equal(kept[:, 0], 3 * rows)
    assert np.shares_memory(kept, stored)


@pytest.fixture
def truncate_at():
    def truncate(path):
        noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path, "JPEG")
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return truncate


def test_a_picture_alone_is_refused_in_one_line(run, tmp_path, capsys):
    picture(0).save(tmp_path / "a.png")
    assert cli.main(["inspect", str(run), "--data", str(tmp_path)]) == 2
    assert "has only one picture that can be read; give two or more" in capsys.readouterr().err


def test_sizes_are_those_that_are_shown(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(0).save(tmp_path / "lying.jpg", exif=exif)
    picture(0).save(tmp_path / "plain.jpg")
    assert shown_size(tmp_path / "plain.jpg") == (90, 60)
    assert shown_size(tmp_path / "lying.jpg") == (60, 90)


def test_sizes_in_words():
    assert [inspect_files._amount(n) for n in (0, 999, 1000, 26797, 1_234_567)] == [
        "0 bytes",
        "999 bytes",
        "1 kB",
        "26.8 kB",
        "1.23 MB",
    ]
    assert inspect_files._sides(np.array([20, 31, 64, 9000])) == [
        ("0 to 31", 2, 100.0),
        ("32 to 63", 0, 0.0),
        ("64 to 127", 1, 50.0),
        *((f"{2**i} to {2 ** (i + 1) - 1}", 0, 0.0) for i in range(7, 12)),
        ("4096 and more", 1, 50.0),
    ]
