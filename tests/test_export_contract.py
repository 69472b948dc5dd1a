"""The guide's snippets beside `embed`: what an export says of itself is enough to get the same features elsewhere."""

import json
import re
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from oracle import ResNet
from simsiam_tf import networks
from simsiam_tf.cli import main as cli
from simsiam_tf.runs.folder import RunFolder
from simsiam_tf.settings import files

GUIDE = (Path(__file__).parents[1] / "docs" / "guide.md").read_text()
ONNX, TORCH = re.findall(r"```python\n(.*?)```", GUIDE.split("## The encoder elsewhere")[1], re.DOTALL)
SHAPES = [(300, 401), (571, 430), (90, 63), (64, 64), (260, 260), (33, 47)]
RUNS = [("resnet18", "cifar", 4, 64), ("resnet18", "imagenet", 4, 96)]


def natural(height, width, seed):
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 9, 3), np.uint8)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    return Image.fromarray(np.clip(np.asarray(coarse) + rng.normal(0, 8, (height, width, 3)), 0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """JPEGs and PNGs, tall, wide, square and small, gray, and turned by EXIF."""
    folder = tmp_path_factory.mktemp("pictures")
    exif = Image.Exif()
    for i, shape in enumerate(SHAPES):
        exif[0x0112] = 1 + i
        natural(*shape, i).save(folder / f"{i}.png")
        natural(*shape, i).save(folder / f"{i}.jpg", quality=90, exif=exif)
    natural(1100, 700, 9).convert("L").save(folder / "gray.jpg")
    return folder


@pytest.fixture(scope="module", params=RUNS, ids=lambda run: "-".join(map(str, run)))
def exported(request, tmp_path_factory, pictures):
    """Folder with exports of an encoder whose statistics are drawn, its own features, and the run."""
    name, stem, width, size = request.param
    run = tmp_path_factory.mktemp("run")
    options = [f"--data.path={pictures}", "--data.source=folder", f"--data.image_size={size}", f"--output={run}"]
    options += [f"--backbone.name={name}", f"--backbone.stem={stem}", f"--backbone.width={width}"]
    parser = files.OneLineParser(prog="simsiam-tf train")
    config = files.parse(parser, ["--config=cifar10", "--data.name=null", *options])[1]
    files.write(config, run / "config.yaml")
    b = config.backbone
    backbone = networks.build(name, stem=stem, width=width, mean=b.mean, std=b.std, zero_init_residual=False)
    rng = np.random.default_rng(0)
    for variable in backbone.weights:
        if variable.name in ("gamma", "moving_variance"):
            variable.assign(rng.uniform(0.7, 1.3, variable.shape))
        if variable.name in ("beta", "moving_mean"):
            variable.assign(rng.normal(0, 0.2, variable.shape))
    RunFolder(run).save_backbone(backbone)
    for format in ("onnx", "torchvision"):
        assert cli.main(["export", str(run), "--format", format]) == 0
    assert cli.main(["embed", str(run), "--data", str(pictures), "--output", str(run / "f.npz")]) == 0
    with np.load(run / "f.npz") as table:
        return run / "export", dict(zip(table["id"].tolist(), table["features"], strict=True))


@pytest.fixture
def torchvision(monkeypatch):
    """torchvision, where it is installed; else a stand-in for its models, of the same structure and names."""
    if find_spec("torchvision") is None:
        models = SimpleNamespace(get_model=lambda name: ResNet(name, stem="imagenet"))
        monkeypatch.setitem(sys.modules, "torchvision", SimpleNamespace(models=models))


def run_snippet(code, folder, picture, monkeypatch):
    """The features that it ends with."""
    monkeypatch.chdir(folder)
    names = {}
    exec(compile(code.replace("picture.jpg", str(picture)), "guide.md", "exec"), names)
    return names["features"][0]


@pytest.mark.parametrize("code", [ONNX, ONNX + TORCH], ids=["onnx", "torch"])
def test_the_snippets_give_the_features_of_embed(exported, pictures, code, torchvision, monkeypatch):
    folder, features = exported
    assert len(features) == 13
    found = {name: run_snippet(code, folder, pictures / name, monkeypatch) for name in features}
    for name, expected in features.items():
        assert np.linalg.norm(found[name] - expected) < 1e-3 * np.linalg.norm(expected), name
    rest = np.stack([*features.values()])
    assert np.linalg.norm(rest - rest.mean(0)) > 0.05 * np.linalg.norm(rest)  # pictures are told apart


def test_the_frame_is_no_decoration(exported, pictures, monkeypatch):
    """With another number in it the features are others."""
    folder, features = exported
    frame = json.loads((folder / "backbone.onnx.json").read_text())["frame"]
    [size, _] = frame["size"]
    for key, wrong in {"resize": size + 40, "crop": size - 9, "decode": [9, 9], "filter": "BICUBIC"}.items():
        if frame[key] is not None:
            code = ONNX.replace("image = Image.open", f"frame[{key!r}] = {wrong!r}\nimage = Image.open", 1)
            found = run_snippet(code, folder, pictures / "1.jpg", monkeypatch)
            assert np.linalg.norm(found - features["1.jpg"]) > 2e-3 * np.linalg.norm(features["1.jpg"]), key


def test_the_snippets_are_of_ten_lines():
    for code in (ONNX, TORCH):
        lines = [line for line in code.splitlines() if line and not line.startswith(("import", "from"))]
        assert 5 <= len(lines) <= 10


def test_an_onnx_file_holds_its_contract_and_its_names_are_true(exported):
    folder, features = exported
    facts = json.loads((folder / "backbone.onnx.json").read_text())
    session = onnxruntime.InferenceSession(folder / "backbone.onnx")
    held = session.get_modelmeta().custom_metadata_map
    assert held.keys() == facts.keys()
    assert all(held[key] == value or json.loads(held[key]) == value for key, value in facts.items())
    assert session.get_inputs()[0].name == facts["input"]["name"]
    assert session.get_outputs()[0].name == facts["output"]["name"]
    assert (facts["output"]["dimension"],) == features["0.jpg"].shape
    assert (facts["input"]["layout"], facts["input"]["range"]) == ("NHWC", [0, 255])


def test_a_sidecar_that_is_there_is_not_overwritten(run, tmp_path, capsys):
    (tmp_path / "m.keras.json").write_text("mine")
    assert cli.main(["export", str(run), "--format", "keras", "--output", str(tmp_path / "m.keras")]) == 2
    assert "m.keras.json exists; give another one or delete it" in capsys.readouterr().err
    assert (tmp_path / "m.keras.json").read_text() == "mine"
    assert not (tmp_path / "m.keras").exists()
