"""What comes from elsewhere is data: a model file runs no code, an archive writes nowhere, a picture bomb is named."""

import json
import struct
import tempfile
import zipfile
import zlib
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from simsiam_tf.cli import main as cli
from simsiam_tf.data.decode import FORMATS, UnreadableImage, check_header, read_square
from simsiam_tf.errors import InputError
from simsiam_tf.runs.folder import RunFolder
from simsiam_tf.settings.data import PLACES


@pytest.fixture
def run(tmp_path):
    """A run folder with the smallest of encoders, one Dense layer on the mean pixel."""
    path = tmp_path / "run"
    path.mkdir()
    (path / "config.yaml").write_text("data: {image_size: 8, store_size: 8}\n")
    save(path, keras.layers.Dense(2, name="features"))
    return path


def save(path, layer):
    images = keras.Input((8, 8, 3))
    keras.Model(images, layer(keras.layers.GlobalAveragePooling2D()(images))).save(path / "backbone.keras")


def rewrite(path, change=lambda config: None, members=()):
    """The .keras file with another config.json and more members."""
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(content["config.json"])
    change(config)
    content["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in [*content.items(), *members]:
            archive.writestr(name, data)


def refusal(run):
    with pytest.raises(InputError) as error:
        RunFolder.existing(run).load_backbone()
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_lambda_is_refused_in_one_line_and_not_run(run, tmp_path, capfd):
    assert RunFolder.existing(run).load_backbone().output_shape == (None, 2)
    marker = tmp_path / "ran"
    path = str(marker)
    save(run, keras.layers.Lambda(lambda x: (open(path, "w").close(), x)[1]))
    marker.unlink()  # the layer was called here
    keras.models.load_model(run / "backbone.keras", safe_mode=False)
    marker.unlink()  # this is what the file would do
    assert "Lambda" in refusal(run)
    words = ["--data", str(tmp_path), "--output", str(tmp_path / "f.npz")]
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    capfd.readouterr()
    assert cli.main(["embed", str(run), *words]) == cli.BAD_INPUT
    err = capfd.readouterr().err
    assert len(err.splitlines()) == 1
    assert err.startswith(f"simsiam-tf: RUN: {run / 'backbone.keras'} cannot be loaded")
    assert not marker.exists()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("builtins", "eval"),
        ("subprocess", "Popen"),
        ("keras.utils", "get_file"),
        ("keras.src.saving.saving_lib", "load_model"),
        ("simsiam_tf.cli.main", "main"),
    ],
)
@pytest.mark.parametrize("kind", ["layer", "function"])
def test_a_model_file_names_no_code(run, tmp_path, module, name, kind):
    """Neither as a layer's class nor as the function of an activation."""
    marker = tmp_path / "ran"
    words = {"args": [f"touch {marker}"], "command": f"touch {marker}", "source": f"open({str(marker)!r}, 'w')"}

    def change(config):
        dense = config["config"]["layers"][-1]
        if kind == "layer":
            dense |= {"module": module, "class_name": name, "registered_name": None}
            dense["config"] |= words
        else:
            function = {"module": module, "class_name": "function", "config": name, "registered_name": "function"}
            dense["config"]["activation"] = function

    rewrite(run / "backbone.keras", change)
    assert "cannot be loaded" in refusal(run)
    assert not marker.exists()


@pytest.mark.filterwarnings("ignore:Skipping invalid path:UserWarning")
def test_paths_inside_a_model_file_stay_inside(run, tmp_path, monkeypatch):
    """Keras unpacks a .keras file to a temporary folder if there may be something in its folder `assets`."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    names = ["../escaped", "assets/../../escaped", "assets/../../../escaped", str(tmp_path / "escaped"), "assets/fine"]
    rewrite(run / "backbone.keras", members=[(name, b"x") for name in names])
    before = set(tmp_path.rglob("*"))
    assert RunFolder.existing(run).load_backbone().output_shape == (None, 2)
    assert set(tmp_path.rglob("*")) == before


def test_every_load_model_says_safe_mode():
    root = Path(cli.__file__).parents[2]
    sources = [*root.glob("simsiam_tf/**/*.py"), *root.glob("examples/*.py")]
    calls = [line for path in sources for line in path.read_text().splitlines() if "load_model(" in line]
    assert len(calls) >= 3
    assert all("safe_mode=True" in line for line in calls)


def test_nothing_loads_a_pickle():
    """`pickle` serves to write; reading is torch_pickle's machine, and NumPy is told each time."""
    paths = list(Path(cli.__file__).parents[1].rglob("*.py"))
    assert len(paths) > 50
    for path in paths:
        source = path.read_text()
        assert "pickle.load" not in source.replace("without `pickle.load`", ""), path
        reads = source.count("np.load(") + source.count("format.read_array(")
        assert reads == source.count("allow_pickle=False"), path
        assert "yaml.load" not in source, path


def png_bomb(side):
    """A valid PNG of side x side white or black pixels that is a thousandth of its picture's size."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(9)
    row = bytes(1 + side // 8)
    pixels = b"".join(packer.compress(row * 1000) for _ in range(side // 1000)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_png_bomb_is_refused_by_name(run, tmp_path, capfd):
    """30,000 x 30,000 pixels, which would be 2.7 GB as RGB, in a file of some 100 KB."""
    bomb = tmp_path / "pictures" / "bomb.png"
    bomb.parent.mkdir()
    bomb.write_bytes(png_bomb(30_000))
    assert bomb.stat().st_size < 200_000
    for read in (check_header, lambda file: read_square(file, 8)):
        with pytest.raises(UnreadableImage):
            read(bomb)
    Image.new("RGB", (8, 8)).save(bomb.with_name("a.png"))
    output = tmp_path / "f.npz"
    assert cli.main(["embed", str(run), "--data", str(bomb.parent), "--output", str(output)]) == cli.DONE
    assert "bomb.png" in capfd.readouterr().err
    with np.load(output) as features:
        assert len(features["features"]) == 1


def test_the_bomb_is_a_picture(tmp_path):
    """So that it is refused for its size and not for a mistake in it."""
    (tmp_path / "small.png").write_bytes(png_bomb(1000))
    assert read_square(tmp_path / "small.png", 8).max() == 0


def test_postscript_is_not_started(tmp_path):
    """Pillow would hand an EPS file to Ghostscript, whatever its name."""
    file = tmp_path / "photo.jpg"
    Image.new("RGB", (8, 8)).save(file, "EPS")
    with pytest.raises(UnreadableImage, match="not an image"):
        read_square(file, 8)
    known = Image.registered_extensions()
    assert {known[extension] for extension in PLACES["folder"].endings} <= set(FORMATS)
