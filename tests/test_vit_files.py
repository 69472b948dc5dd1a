"""Vision Transformers by the command line: runs that resume, exports, and files of timm's, MoCo v3's and our own."""

import json
from dataclasses import replace

import keras
import numpy as np
import onnxruntime
import pytest
import torch

from oracle import ResNet
from oracle.vit import ViT, randomised
from simsiam_tf.cli import main as cli
from simsiam_tf.errors import InputError
from simsiam_tf.experiments.results import file_name, identity
from simsiam_tf.interop import vit_state
from simsiam_tf.settings import files
from simsiam_tf.settings.backbones import ResNetSettings, ViTSettings
from simsiam_tf.settings.schema import Config
from torch_checkpoints import MEAN, STD, agreement, brought_in, images, normalised

DIGITS = ["--config=digits", "--data.limit=64", "--data.test_limit=40", "--data.image_size=12"]
DIGITS += ["--backbone.name=vit_small", "--backbone.patch=4", "--backbone.dim=24", "--backbone.depth=2"]
DIGITS += ["--backbone.heads=3", "--method.projection_dim=16", "--method.predictor_hidden=4", "--optimizer.name=adamw"]
DIGITS += ["--optimizer.batch_size=16", "--optimizer.epochs=2", "--optimizer.warmup_epochs=1"]
DIGITS += ["--monitor.tensorboard=false", "--monitor.knn_epochs=0", "--monitor.collapse_epochs=0"]
DIGITS += ["--monitor.linear_probe=false", "--augmentation.recipe=none", "--evaluation.fractions=[1.0]"]
DIGITS += ["--evaluation.subsets=1", "--evaluation.linear_epochs=1", "--evaluation.linear_learning_rate=1"]
DIGITS += ["--evaluation.neighbors=5", "--evaluation.temperature=0.1", "--evaluation.baselines=[]"]


load = keras.models.load_model


def run(*arguments):
    return cli.main([str(argument) for argument in arguments])


def saved(path, net, prefix="", **beside):
    state = {prefix + name: value for name, value in net.state_dict().items()}
    torch.save({"state_dict": state | beside} if prefix else state | beside, path)
    return path


def assert_same_weights(file, other):
    ours, theirs = (load(each).get_weights() for each in (file, other))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A finished run, with fixed positions."""
    folder = tmp_path_factory.mktemp("trained")
    assert run("train", *DIGITS, "--name=vit", f"--output={folder}") == 0
    return folder / "vit"


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """One of weights with learned positions, not trained."""
    folder = tmp_path_factory.mktemp("imported")
    net = randomised(ViT(12, patch=4, dim=24, depth=2, heads=3))
    assert run("import-weights", saved(folder / "vit.pth", net), *DIGITS, "--name=vit", f"--output={folder}") == 0
    return folder / "vit"


@pytest.fixture(params=["sincos", "learned"])
def folder(request, trained, imported):
    return trained if request.param == "sincos" else imported


def test_a_run_in_two_parts_is_the_same_run(trained, tmp_path):
    command = ["train", "--config", trained / "config.yaml", f"--output={tmp_path}"]
    assert run(*command, "--training.stop_after_steps=5") == 0  # inside the second epoch
    assert run(*command) == 0
    assert_same_weights(trained / "backbone.keras", tmp_path / "vit" / "backbone.keras")


def test_exports_give_what_pytorch_makes_of_the_exported_weights(folder, tmp_path, capsys):
    pixels = images(12)
    features = load(folder / "backbone.keras")(pixels)
    for format, ending in (("timm", "pth"), ("pytorch", "pth.tar"), ("onnx", "onnx")):
        assert run("export", folder, f"--format={format}", f"--output={tmp_path / f'm.{ending}'}") == 0
    about = json.loads((tmp_path / "m.pth.json").read_text())["network"]
    b = files.read(folder / "config.yaml").backbone
    assert about == {
        "name": "vit_small", "patch": 4, "dim": 24, "depth": 2, "heads": 3,
        "positions": b.positions, "mean": list(b.mean), "std": list(b.std),
    }  # fmt: skip
    net = ViT(12, **{key: about[key] for key in ("patch", "dim", "depth", "heads")}).eval()
    bare = torch.load(tmp_path / "m.pth", weights_only=True)
    net.load_state_dict(bare, strict=True)
    with torch.no_grad():
        assert agreement(features, net(normalised(pixels, b.mean, b.std))) < 1e-5
    whole = torch.load(tmp_path / "m.pth.tar", weights_only=True)
    assert (whole["arch"], whole["heads"]) == ("vit_small", 3)
    for name, value in bare.items():
        np.testing.assert_array_equal(whole["state_dict"][f"module.encoder.{name}"], value)
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    [found] = session.run(None, {"images": pixels.astype("float32")})
    np.testing.assert_allclose(found, features, atol=1e-5)
    assert run("export", folder, "--format=torchvision") == 2
    assert "format: torchvision has no names for vit_small; give timm" in capsys.readouterr().err


def test_our_own_file_comes_back_the_same(folder, tmp_path, capsys):
    assert run("export", folder, "--format=pytorch", f"--output={tmp_path / 'm.pth.tar'}") == 0
    assert run("import-weights", tmp_path / "m.pth.tar", f"--output={tmp_path}", "--data.image_size=12") == 0
    positions = files.read(folder / "config.yaml").backbone.positions
    said = f"a vit_small with 2 layers of 24, 3 heads, patches of 4 px, positions {positions}"
    assert f"backbone, projector, predictor of {said}" in capsys.readouterr().out
    assert_same_weights(folder / "backbone.keras", tmp_path / "m" / "backbone.keras")
    assert files.read(tmp_path / "m" / "config.yaml").backbone == files.read(folder / "config.yaml").backbone


def test_a_finished_run_is_trained_on_as_another_and_finetuned(trained, tmp_path):
    assert run("import-weights", trained, "--name=more", f"--output={tmp_path}") == 0
    assert_same_weights(trained / "backbone.keras", tmp_path / "more" / "backbone.keras")
    settings = ["--optimizer.epochs=1", "--optimizer.warmup_epochs=0", "--name=tuned", f"--output={tmp_path}"]
    assert run("finetune", trained, *settings) == 0
    ours, theirs = (load(each) for each in (trained / "backbone.keras", tmp_path / "tuned" / "backbone.keras"))
    moved = {v.path for v, w in zip(ours.variables, theirs.variables, strict=True) if np.any(v.numpy() != w.numpy())}
    assert moved == {v.path for v in ours.trainable_variables}  # all but the projection of the patches


def test_mocos_third_version_is_read(tmp_path):
    """Its encoder alone: not the second encoder, the projector in the place of timm's head, and the predictor."""
    net = randomised(ViT(16, patch=4, dim=24, depth=2, heads=12))
    net.pos_embed.data = torch.tensor(vit_state.fixed_positions(4, 24))
    other = {f"module.momentum_encoder.{name}": value + 1 for name, value in net.state_dict().items()}
    heads = {"module.base_encoder.head.0.weight": torch.ones(8, 24), "module.predictor.0.weight": torch.ones(8, 8)}
    path = saved(tmp_path / "vit-s-300ep.pth.tar", net, "module.base_encoder.", **other, **heads)
    model, parts, config = brought_in(path)
    assert parts == ["backbone"]
    b = config.backbone
    assert (b.positions, b.heads, b.depth, b.dim, b.patch) == ("sincos", 12, 2, 24, 4)
    assert (config.optimizer.name, config.data.image_size) == ("adamw", 224)
    with torch.no_grad():
        assert agreement(model(images(16)), net(normalised(images(16), MEAN, STD))) < 1e-5


@pytest.mark.parametrize("half", [False, True])
def test_timms_file_is_read(tmp_path, half):
    net = randomised(ViT(16, patch=8, dim=128, depth=1, heads=2))
    net.head = torch.nn.Linear(128, 10)
    net = net.half() if half else net
    model, parts, config = brought_in(saved(tmp_path / "vit.pth", net))
    assert parts == ["backbone"]
    b = config.backbone
    assert (b.positions, b.heads, b.patch, config.data.image_size) == ("learned", 2, 8, 16)
    net = net.float()
    net.head = torch.nn.Identity()
    with torch.no_grad():
        assert agreement(model(images(16)), net(normalised(images(16), MEAN, STD))) < 1e-5


def test_fixed_positions_are_known_in_half_precision_and_learned_ones_are_not_taken_for_them():
    table = vit_state.fixed_positions(14, 384)
    assert vit_state.without_fixed({"pos_embed": table.astype("float16")}) == {}
    for changed in (table[:, ::-1], table[:, :-1], table + 0.01):
        assert "pos_embed" in vit_state.without_fixed({"pos_embed": changed})


def test_files_that_do_not_fit_are_named(tmp_path):
    net = randomised(ViT(16, patch=4, dim=24, depth=2, heads=3))
    state = net.state_dict()

    def refusal(content, *given):
        torch.save(content, tmp_path / "m.pth")
        with pytest.raises(InputError) as error:
            brought_in(tmp_path / "m.pth", *given)
        assert "\n" not in str(error.value)
        return str(error.value)

    assert "backbone.heads: 7 for tokens of 24; give a divisor" in refusal(state, "--backbone.heads=7")
    assert "pos_embed is (1, 17, 24) there, (1, 26, 24) in vit_small" in refusal(state, "--data.image_size=20")
    assert "pos_embed has no place in vit_small" in refusal(state, "--backbone.positions=sincos")
    assert "blocks.1.norm1.weight has no place in vit_small" in refusal(state, "--backbone.depth=1")
    assert "has no blocks.2.norm1.weight, which vit_small" in refusal(state, "--backbone.depth=3")
    assert "backbone.name: resnet18, but " in refusal(state, "--backbone.name=resnet18")
    assert "m.pth is of a resnet18; leave it out" in refusal(
        ResNet("resnet18").state_dict(), "--backbone.name=vit_small"
    )
    assert "has no conv1.weight of a ResNet" in refusal({"patch_embed.proj.weight": torch.ones(2)})


def test_a_small_file_cannot_ask_for_a_huge_network(tmp_path):
    state = randomised(ViT(16, patch=4, dim=24, depth=2, heads=3)).state_dict()
    for name, tensor in (
        ("patch_embed.proj.weight", torch.ones(10_000, 3, 1, 1)),
        ("patch_embed.proj.weight", torch.ones(24, 3, 1, 10_000)),
        ("blocks.1.attn.qkv.weight", torch.ones(1)),
        ("blocks.9.attn.qkv.weight", torch.ones(1)),
        ("blocks.0.mlp.fc1.weight", torch.ones(10_000, 24)),
        ("pos_embed", torch.ones(1, 18, 24)),
        ("pos_embed", torch.ones(17, 24)),
    ):
        torch.save(state | {name: tensor}, tmp_path / "m.pth")
        with pytest.raises(InputError, match=r"^FILE: .*; give (a file of a network that there is here|another file)$"):
            brought_in(tmp_path / "m.pth")


def test_other_runs_keep_their_names_in_results():
    assert identity(Config()) == {}
    assert identity(Config(backbone=ResNetSettings(name="resnet50"))) == {"backbone.name": "resnet50"}
    vit = Config(backbone=ViTSettings())
    assert identity(vit) == {"backbone.name": "vit_small"}
    assert file_name(replace(vit, backbone=ViTSettings(heads=6))) != file_name(vit) != file_name(Config())
