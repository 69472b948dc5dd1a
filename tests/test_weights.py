"""Checkpoints that the PyTorch oracle writes in the official layout: names, numbers and outputs."""

import numpy as np
import pytest
import torch

from oracle import ResNet
from simsiam_tf.errors import InputError
from simsiam_tf.interop import torch_state, weights
from simsiam_tf.runs import transfer
from simsiam_tf.runs.build import build_method
from torch_checkpoints import CIFAR, IMAGENET, MEAN, STD, agreement, brought_in, checkpoint, images, normalised, oracle

NETWORKS = pytest.mark.parametrize("network", [CIFAR, IMAGENET], ids=["resnet18", "resnet50"])


@NETWORKS
@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}], ids=["zip", "legacy"])
def test_features_projections_and_predictions_agree(tmp_path, network, options):
    net = oracle(**network)
    model, parts, config = brought_in(checkpoint(tmp_path / "checkpoint_0006.pth.tar", net, **options))
    assert parts == ["backbone", "projector", "predictor"]
    assert config.name == "checkpoint_0006"
    x = normalised(images(), config.backbone.mean, config.backbone.std)
    features = model(images())
    z = model.projector(features, training=False)
    with torch.no_grad():
        differences = [
            agreement(features, net.encoder.features(x)),
            agreement(z, net.encoder(x)),
            agreement(model.predictor(z, training=False), net.predictor(net.encoder(x))),
        ]
    assert max(differences) < 1e-4


def test_the_recipe_follows_the_stem(tmp_path):
    _, _, config = brought_in(checkpoint(tmp_path / "m.pth", oracle(**IMAGENET)))
    assert (config.backbone.name, config.backbone.stem, config.data.image_size) == ("resnet50", "imagenet", 224)
    assert config.backbone.mean == pytest.approx(MEAN)
    m = config.method
    assert (m.projector_layers, m.projector_hidden, m.projection_dim, m.predictor_hidden) == (3, 256, 32, 8)
    _, _, config = brought_in(checkpoint(tmp_path / "m.pth", oracle(name="resnet34", hidden=12)))
    assert (config.backbone.name, config.augmentation.recipe, config.method.projector_hidden) == (
        "resnet34",
        "cifar10",
        12,
    )


@pytest.mark.parametrize("arguments", [{"head_norm": "hidden"}, {"predictor": False}])
def test_ablations_are_recognised(tmp_path, arguments):
    net = oracle(idle_bias=False, **arguments)
    model, _, config = brought_in(checkpoint(tmp_path / "m.pth", net))
    assert config.method.head_norm == arguments.get("head_norm", "default")
    assert (model.predictor is not None) == arguments.get("predictor", True)
    x = normalised(images(), config.backbone.mean, config.backbone.std)
    assert agreement(model.project(images()), net.encoder(x)) < 1e-4


def test_a_projector_with_scale_and_offset_is_recognised_and_written(tmp_path):
    net = oracle(idle_bias=False)
    net.encoder.fc[-1] = torch.nn.BatchNorm1d(24).eval()
    torch.nn.init.uniform_(net.encoder.fc[-1].weight, 0.5, 1.0)
    torch.nn.init.normal_(net.encoder.fc[-1].bias)
    model, parts, config = brought_in(checkpoint(tmp_path / "a.pth.tar", net))
    assert parts == ["backbone", "projector", "predictor"]
    assert (config.method.head_norm, config.method.projector_output_affine) == ("default", True)
    x = normalised(images(), config.backbone.mean, config.backbone.std)
    assert agreement(model.project(images()), net.encoder(x)) < 1e-4
    again = torch.load(saved(tmp_path / "b.pth.tar", model, config), weights_only=True)["state_dict"]
    before = torch.load(tmp_path / "a.pth.tar", weights_only=True)["state_dict"]
    assert again.keys() == before.keys()
    for key in before:
        if not key.endswith("num_batches_tracked"):
            np.testing.assert_array_equal(again[key].numpy(), before[key].numpy(), err_msg=key)


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("classifier", [True, False])
def test_torchvision_files_have_a_backbone_and_perhaps_a_classifier(tmp_path, prefix, classifier):
    net = ResNet("resnet50", "imagenet", 8).eval()
    if classifier:
        net.fc = torch.nn.Linear(256, 10)
    torch.save({prefix + key: value for key, value in net.state_dict().items()}, tmp_path / "resnet50-abc.pth")
    model, parts, config = brought_in(tmp_path / "resnet50-abc.pth", "--method.projection_dim=16")
    assert parts == ["backbone"]
    assert config.method.projection_dim == 16
    assert agreement(model(images()), net.features(normalised(images(), MEAN, STD))) < 1e-4
    fresh = build_method(config)
    np.testing.assert_array_equal(model.predictor.get_weights()[0], fresh.predictor.get_weights()[0])


def test_names_without_module_and_half_precision(tmp_path):
    net = oracle().half()
    model, _, config = brought_in(checkpoint(tmp_path / "m.pth", net, wrap=False))
    net = net.float()
    x = normalised(images(), config.backbone.mean, config.backbone.std)
    assert agreement(model.project(images()), net.encoder(x)) < 1e-4
    assert {variable.dtype for variable in model.backbone.variables} == {"float32"}


def saved(path, model, config, **about):
    transfer.save_method(path, model, config, about.get("epoch", 0), about.get("batches", 0))
    return path


@NETWORKS
def test_file_keras_file_is_exact_but_for_the_idle_bias(tmp_path, network):
    net = oracle(**network)
    model, _, config = brought_in(checkpoint(tmp_path / "a.pth.tar", net))
    saved(tmp_path / "b.pth.tar", model, config, epoch=7, batches=torch_state.read(tmp_path / "a.pth.tar").batches)
    before = torch.load(tmp_path / "a.pth.tar", weights_only=True)["state_dict"]
    after = torch.load(tmp_path / "b.pth.tar", weights_only=True)
    assert (after["epoch"], after["arch"], after["mean"]) == (7, network["name"], config.backbone.mean)
    assert after["state_dict"].keys() == before.keys()
    last = 3 * (network["layers"] - 1)
    bias, mean = f"module.encoder.fc.{last}.bias", f"module.encoder.fc.{last + 1}.running_mean"
    assert before[bias].abs().max() > 0.01
    assert not after["state_dict"][bias].any()
    folded = (before[mean] - before[bias]).numpy()
    np.testing.assert_array_equal(after["state_dict"][mean].numpy(), folded)
    for key in before.keys() - {bias, mean}:
        np.testing.assert_array_equal(after["state_dict"][key].numpy(), before[key].numpy(), strict=True)


@NETWORKS
def test_keras_file_keras_is_exact_and_the_oracle_loads_it(tmp_path, network):
    model, _, config = brought_in(checkpoint(tmp_path / "a.pth.tar", oracle(**network)))
    again, _, same = brought_in(saved(tmp_path / "b.pth.tar", model, config))
    assert same.backbone == config.backbone
    for ours, theirs in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    net = torch.nn.DataParallel(oracle(seed=1, **network))
    net.load_state_dict(torch.load(tmp_path / "b.pth.tar", weights_only=True)["state_dict"], strict=True)
    x = normalised(images(), config.backbone.mean, config.backbone.std)
    assert agreement(model.project(images()), net.module.encoder(x)) < 1e-4


def test_a_torchvision_state_dict_loads_with_only_the_classifier_missing(tmp_path):
    model, _, config = brought_in(checkpoint(tmp_path / "a.pth", oracle(**IMAGENET)))
    transfer.write(tmp_path / "b.pth", {}, weights.state_dict(model.backbone))
    net = ResNet("resnet50", "imagenet", 8).eval()
    net.fc = torch.nn.Linear(256, 10)
    missing, unexpected = net.load_state_dict(torch.load(tmp_path / "b.pth", weights_only=True), strict=False)
    assert (sorted(missing), unexpected) == (["fc.bias", "fc.weight"], [])
    x = normalised(images(), config.backbone.mean, config.backbone.std)
    assert agreement(model(images()), net.features(x)) < 1e-4


def refusal(path, *given):
    with pytest.raises(InputError) as error:
        brought_in(path, *given)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_the_first_key_that_does_not_fit_is_named(tmp_path):
    path = checkpoint(tmp_path / "m.pth", oracle(**IMAGENET))
    first = "module.encoder.layer1.0.conv1.weight is (8, 8, 1, 1) there, (8, 8, 3, 3) in resnet18"
    assert first in refusal(path, "--backbone.name=resnet18")
    assert "module.encoder.conv1.weight is (8, 3, 7, 7) there, (9, 3, 7, 7) in" in refusal(path, "--backbone.width=9")
    assert "module.encoder.fc.0.weight is (256, 256) there, (2048, 256)" in refusal(path, "--config=imagenet")
    assert "module.encoder.fc.6.weight is (32, 256) there, (16, 256)" in refusal(path, "--method.projection_dim=16")
    assert "module.predictor.0.weight has no place" in refusal(path, "--method.predictor=none")
    path = checkpoint(tmp_path / "m.pth", oracle())
    assert "has no module.encoder.layer1.2.conv1.weight, which resnet34" in refusal(path, "--backbone.name=resnet34")
    assert "module.encoder.fc.3.weight" in refusal(path, "--method.projector_layers=3")


def test_missing_and_extra_keys_are_named(tmp_path):
    state = {f"module.{key}": value for key, value in oracle().state_dict().items()}
    for key in ("module.encoder.layer3.1.bn2.running_var", "module.predictor.3.bias"):
        torch.save({"state_dict": {k: v for k, v in state.items() if k != key}}, tmp_path / "m.pth")
        assert f"has no {key}, which resnet18 needs" in refusal(tmp_path / "m.pth")
    for key in ("module.encoder.layer5.0.conv1.weight", "module.queue", "module.encoder.fc.5.weight"):
        torch.save({"state_dict": state | {key: torch.ones(24)}}, tmp_path / "m.pth")
        assert f"{key} has no place in resnet18" in refusal(tmp_path / "m.pth")
    # A scale on the projector's output makes it one without the idle bias.
    torch.save({"state_dict": state | {"module.encoder.fc.4.weight": torch.ones(24)}}, tmp_path / "m.pth")
    assert "module.encoder.fc.3.bias has no place in resnet18 and its heads" in refusal(tmp_path / "m.pth")
    torch.save({"state_dict": state | {"module.encoder.fc.3.bias": torch.ones(1)}}, tmp_path / "m.pth")
    assert "module.encoder.fc.3.bias is (1,) there, (24,)" in refusal(tmp_path / "m.pth")


def test_other_networks_and_contents_are_named(tmp_path):
    path = tmp_path / "m.pth"
    for content, message in (
        ({"state_dict": {"features.0.weight": torch.ones(2)}}, "no conv1.weight of a ResNet (first key: features.0"),
        ({"state_dict": {"conv1.weight": torch.ones(2)}}, "no conv1.weight of a ResNet"),
        ({"state_dict": {"conv1.weight": torch.ones(8, 0, 3, 3)}}, "has no numbers in conv1.weight"),
        ({"state_dict": {}}, "holds no state_dict"),
        ({"state_dict": {0: torch.ones(1)}}, "holds no state_dict"),
        ({"epoch": 3, "model": {}}, "'epoch' is no tensor"),
        ([torch.ones(1)], "holds no state_dict"),
        ({"a.weight": torch.ones(1), "encoder.a.weight": torch.ones(1)}, "names twice"),
        (dict.fromkeys("abc", torch.ones(1)), "the same numbers under several names"),
    ):
        torch.save(content, path)
        assert message in refusal(path)
    net = ResNet("resnet18")
    net.layer3.append(net.layer3[1])
    torch.save(net.state_dict(), path)
    assert "layer3.2.conv1.weight has no place in resnet18" in refusal(path)


def test_a_small_file_cannot_ask_for_a_huge_network(tmp_path):
    path = tmp_path / "m.pth"
    for key, tensor in (
        ("encoder.conv1.weight", torch.ones(10_000, 1, 1, 3)),
        ("encoder.fc.0.weight", torch.ones(10_000, 1)),
        ("encoder.fc.3.weight", torch.ones(10_000, 1)),
        ("predictor.0.weight", torch.ones(10_000, 1)),
    ):
        torch.save(oracle().state_dict() | {key: tensor}, path)
        assert "in a network of the other layers' width" in refusal(path)
    torch.save(oracle().state_dict() | {f"encoder.fc.{'1' * 5000}.weight": torch.ones(1, 1)}, path)
    assert "has no place" in refusal(path)


def test_names_from_the_file_cannot_write_on_the_terminal(tmp_path):
    torch.save(oracle().state_dict() | {"encoder.a\n\x1b[31m": torch.ones(1)}, tmp_path / "m.pth")
    assert refusal(tmp_path / "m.pth").isprintable()


def test_nothing_is_assigned_of_a_file_that_does_not_fit(tmp_path):
    model, _, _ = brought_in(checkpoint(tmp_path / "a.pth", oracle()))
    before = model.get_weights()
    state = oracle(seed=1).state_dict()
    del state["predictor.3.bias"]
    torch.save(state, tmp_path / "b.pth")
    with pytest.raises(InputError, match=r"predictor\.3\.bias"):
        weights.assign(torch_state.read(tmp_path / "b.pth"), model.backbone, model.heads)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
