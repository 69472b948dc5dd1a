"""Checkpoints under the names of MoCo v3's release, of which a distillation's teacher can be made."""

from functools import partial

import keras
import torch

import small_methods
from oracle import ResNet
from simsiam_tf import Distillation, recipe
from simsiam_tf.cli import main as cli
from simsiam_tf.settings.paths import teacher_file
from test_weights import brought_in
from torch_checkpoints import MEAN, STD, agreement, draw_norms, images, normalised


def moco_v3(width=8, hidden=24, dim=12):
    """MoCo v3's network under its release's names: the encoder, one that follows, and a predictor, all drawn anew."""
    norm, linear = torch.nn.BatchNorm1d, partial(torch.nn.Linear, bias=False)

    def mlp(inputs):
        layers = linear(inputs, hidden), norm(hidden), torch.nn.ReLU(), linear(hidden, dim), norm(dim, affine=False)
        return torch.nn.Sequential(*layers)

    net = torch.nn.Module()
    for name in ("base_encoder", "momentum_encoder"):
        encoder = ResNet("resnet50", "imagenet", width)
        encoder.fc = mlp(32 * width)
        net.add_module(name, encoder)
    net.predictor = mlp(dim)
    return draw_norms(net).eval()


def written(folder):
    """The network, and its file as the release's training writes it."""
    torch.manual_seed(0)
    net = moco_v3()
    state = {f"module.{name}": value for name, value in net.state_dict().items()}
    assert {name.split(".")[1] for name in state} == {"base_encoder", "momentum_encoder", "predictor"}
    beside = {"epoch": 100, "arch": "resnet50", "optimizer": {"state": {}}, "scaler": {"scale": 65536.0}}
    torch.save(beside | {"state_dict": state}, folder / "r-50-100ep.pth.tar")
    return net, folder / "r-50-100ep.pth.tar"


def test_of_moco_v3_the_encoder_is_taken_with_its_projector(tmp_path):
    """Its file has what follows, too, and a predictor that is none of ours, beside an optimizer and a loss scale."""
    net, path = written(tmp_path)
    model, parts, config = brought_in(path)
    assert parts == ["backbone", "projector"]
    m = config.method
    assert (config.backbone.name, config.backbone.stem, config.data.image_size) == ("resnet50", "imagenet", 224)
    assert (m.projector_layers, m.projector_hidden, m.projection_dim, m.predictor) == (2, 24, 12, "mlp")
    x = normalised(images(), MEAN, STD)
    assert agreement(model(images()), net.base_encoder.features(x)) < 1e-4
    assert agreement(model.project(images()), net.base_encoder(x)) < 1e-4
    assert agreement(model(images()), net.momentum_encoder.features(x)) > 1e-2


def test_its_folder_is_a_teacher(tmp_path, capsys):
    net, path = written(tmp_path)
    assert cli.main(["import-weights", str(path), "--name=mocov3", f"--output={tmp_path}"]) == 0
    assert "not taken from the file: predictor (initialised by seed 0)" in capsys.readouterr().out
    teacher = keras.models.load_model(teacher_file(str(tmp_path / "mocov3")))
    method = Distillation(small_methods.backbone(), recipe("none", image_size=32), teacher=teacher)
    [target] = method.forward([images().astype("float32")])["targets"]
    assert agreement(target, net.base_encoder.features(normalised(images(), MEAN, STD))) < 1e-4
