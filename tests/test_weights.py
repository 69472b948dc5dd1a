"""Checkpoints that the PyTorch oracle writes in the official layout: names, numbers, outputs, and the command line."""

import json
import shutil

import keras
import numpy as np
import pytest
import torch

from oracle import ResNet, SimSiam
from simsiam_tf import cli, configfile, torch_file, torch_state, transfer, weights
from simsiam_tf.assemble import build_method, load_data
from simsiam_tf.errors import InputError
from simsiam_tf.export import ENDINGS
from simsiam_tf.run import RunFolder

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
CIFAR = {"name": "resnet18", "stem": "cifar", "width": 8, "layers": 2, "dim": 24, "predictor_hidden": 6}
IMAGENET = {"name": "resnet50", "stem": "imagenet", "width": 8, "layers": 3, "dim": 32, "predictor_hidden": 8}
NETWORKS = pytest.mark.parametrize("network", [CIFAR, IMAGENET], ids=["resnet18", "resnet50"])


def oracle(seed=0, idle_bias=True, **arguments):
    """The oracle in inference mode, every statistic, scale and bias drawn; as the official code with an idle bias."""
    torch.manual_seed(seed)
    net = SimSiam(**(CIFAR | arguments))
    last = next(i for i in range(len(net.encoder.fc) - 1, -1, -1) if isinstance(net.encoder.fc[i], torch.nn.Linear))
    if idle_bias:
        net.encoder.fc[last] = torch.nn.Linear(net.encoder.fc[last].in_features, net.encoder.fc[last].out_features)
    for module in net.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 1.5)
            module.num_batches_tracked.fill_(34)
            if module.affine:
                torch.nn.init.uniform_(module.weight, 0.5, 1.0)
                torch.nn.init.normal_(module.bias)
    return net.eval()


def checkpoint(path, net, wrap=True, **options):
    """Written as the official main_simsiam.py does, DataParallel and optimizer included."""
    outer = torch.nn.DataParallel(net) if wrap else net
    sgd = torch.optim.SGD(outer.parameters(), 0.1, momentum=0.9)
    content = {"epoch": 7, "arch": "resnet", "state_dict": outer.state_dict(), "optimizer": sgd.state_dict()}
    torch.save(content, path, **options)
    return path


def parse(*arguments):
    parser = configfile.OneLineParser(prog="test")
    configfile.add_config(parser)
    return configfile.build(parser, parser.parse_args(list(arguments)))


def brought_in(path, *given):
    """The Keras method that import-weights makes of a file."""
    state = torch_state.read(path)
    config = parse(*transfer.arguments_for(state, list(given)))
    model = build_method(config)
    return model, weights.assign(state, model.backbone, model.projector, model.predictor), config


def images(size=32, n=4):
    return np.random.default_rng(1).integers(0, 256, (n, size, size, 3)).astype("uint8")


def normalised(pixels, mean, std):
    return torch.tensor(((pixels / 255 - mean) / std).transpose(0, 3, 1, 2).astype("float32"))


def agreement(ours, theirs):
    """Largest difference over the largest value."""
    theirs = theirs.detach().numpy()
    return np.abs(np.asarray(ours) - theirs).max() / np.abs(theirs).max()


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


@pytest.mark.parametrize("arguments", [{"output_norm": False}, {"predictor": False}])
def test_ablations_are_recognised(tmp_path, arguments):
    net = oracle(idle_bias=False, **arguments)
    model, _, config = brought_in(checkpoint(tmp_path / "m.pth", net))
    assert config.method.projector_output_norm == arguments.get("output_norm", True)
    assert (model.predictor is not None) == arguments.get("predictor", True)
    x = normalised(images(), config.backbone.mean, config.backbone.std)
    assert agreement(model.project(images()), net.encoder(x)) < 1e-4


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
    for key in ("module.encoder.layer5.0.conv1.weight", "module.queue", "module.encoder.fc.4.weight"):
        torch.save({"state_dict": state | {key: torch.ones(24)}}, tmp_path / "m.pth")
        assert f"{key} has no place in resnet18" in refusal(tmp_path / "m.pth")
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


def test_nothing_is_assigned_of_a_file_that_does_not_fit(tmp_path):
    model, _, _ = brought_in(checkpoint(tmp_path / "a.pth", oracle()))
    before = model.get_weights()
    state = oracle(seed=1).state_dict()
    del state["predictor.3.bias"]
    torch.save(state, tmp_path / "b.pth")
    with pytest.raises(InputError, match=r"predictor\.3\.bias"):
        weights.assign(torch_state.read(tmp_path / "b.pth"), model.backbone, model.projector, model.predictor)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


DIGITS = ["--config", "digits", "--data.limit=64", "--data.test_limit=40", "--data.image_size=12"]
DIGITS += ["--backbone.width=4", "--method.projection_dim=16", "--method.predictor_hidden=4", "--evaluation.subsets=1"]
DIGITS += ["--optimizer.batch_size=32", "--optimizer.epochs=2", "--evaluation.linear_epochs=1"]
DIGITS += ["--augmentation.recipe=none", "--monitor.tensorboard=false"]
DIGITS += ["--evaluation.baselines=[]", "--evaluation.fractions=[1.0]", "--monitor.knn_epochs=0"]


def run(*arguments):
    return cli.main([str(argument) for argument in arguments])


def exported(folder, format="pytorch"):
    assert run("export", folder, "--format", format) == 0
    content = torch_file.load(folder / "export" / f"backbone{ENDINGS[format]}")
    return {key: tensor.numpy() for key, tensor in content.get("state_dict", content).items()}


def assert_same_weights(file, other):
    ours, theirs = (keras.models.load_model(each).get_weights() for each in (file, other))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def official():
    return oracle(width=4, dim=16, predictor_hidden=4)


@pytest.fixture(scope="module")
def imported(official, tmp_path_factory):
    """The run folder that import-weights makes."""
    folder = tmp_path_factory.mktemp("runs")
    path = checkpoint(folder / "checkpoint.pth.tar", official)
    assert run("import-weights", path, "--name=official", f"--output={folder}", *DIGITS) == 0
    return folder / "official"


@pytest.fixture(scope="module")
def trained(imported, tmp_path_factory):
    """A copy of it, evaluated and then trained with another rate than that of the import."""
    folder = tmp_path_factory.mktemp("trained")
    shutil.copytree(imported, folder / "official", ignore=shutil.ignore_patterns("export"))
    assert run("evaluate", folder / "official") == 0
    assert 0 < json.loads((folder / "official" / "result.json").read_text())["knn_accuracy"] <= 1
    train = ["train", "--config", imported / "config.yaml", f"--output={folder}", "--optimizer.learning_rate=1e-6"]
    assert run(*train) == 0
    return folder / "official"


def test_an_imported_run_embeds_and_exports_what_the_oracle_has(imported, official, tmp_path):
    assert run("embed", imported, "--data=test", f"--output={tmp_path / 'f.npz'}") == 0
    config = configfile.read(imported / "config.yaml")
    pixels = np.concatenate(list(load_data(config).test.batches(40, crop=12)))
    x = normalised(pixels, config.backbone.mean, config.backbone.std)
    assert agreement(np.load(tmp_path / "f.npz")["features"], official.encoder.features(x)) < 1e-4
    state = {f"module.{key}": value.numpy() for key, value in official.state_dict().items()}
    arrays = exported(imported)
    assert arrays.keys() == state.keys()
    for key in state.keys() - {"module.encoder.fc.3.bias", "module.encoder.fc.4.running_mean"}:
        np.testing.assert_array_equal(arrays[key], state[key], err_msg=key)
    bare = exported(imported, "torchvision")
    np.testing.assert_array_equal(bare["layer4.1.bn2.bias"], state["module.encoder.layer4.1.bn2.bias"])


def test_training_goes_on_from_imported_weights(trained, official):
    result = json.loads((trained / "result.json").read_text())
    assert (result["epochs"], result["steps"]) == (2, 4)
    arrays = exported(trained)
    kernel = official.encoder.layer2[0].conv1.weight.detach().numpy()
    moved = np.abs(arrays["module.encoder.layer2.0.conv1.weight"] - kernel)
    assert 0 < moved.max() < 1e-4
    assert arrays["module.encoder.bn1.num_batches_tracked"] == 34 + 2 * 4
    content = torch.load(trained / "export" / "backbone.pth.tar", weights_only=True)
    assert (content["epoch"], content["arch"]) == (7 + 2, "resnet18")


def test_a_trained_run_that_was_exported_comes_back_the_same(trained, tmp_path):
    output = tmp_path / "m.pth.tar"
    assert run("export", trained, "--format=pytorch", f"--output={output}") == 0
    assert run("import-weights", output, f"--output={tmp_path}", "--data.image_size=12") == 0
    assert_same_weights(trained / "backbone.keras", tmp_path / "m" / "backbone.keras")
    before = torch_file.load(output)["state_dict"]
    for key, array in exported(tmp_path / "m").items():
        np.testing.assert_array_equal(array, before[key].numpy(), err_msg=key)
    assert configfile.read(tmp_path / "m" / "config.yaml").backbone == configfile.read(trained / "config.yaml").backbone


def test_other_networks_are_refused_in_a_run_that_holds_weights(imported, capsys):
    assert run("train", "--config", imported / "config.yaml", "--backbone.mean=[0,0,0]") == 2
    assert "holds a run with another setting, backbone.mean" in capsys.readouterr().err


def test_heads_are_exported_only_with_the_backbone_that_they_are_of(imported, trained, tmp_path, capsys):
    shutil.copytree(trained, tmp_path / "a", ignore=shutil.ignore_patterns("export"))
    shutil.copy(imported / "backbone.keras", tmp_path / "a")
    assert run("export", tmp_path / "a", "--format=pytorch") == 2
    assert "is being trained on; finish its training" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "a" / "checkpoints")
    (tmp_path / "a" / "imported.pth.tar").unlink()
    assert run("export", tmp_path / "a", "--format=pytorch") == 2
    assert "no checkpoint to take the heads from; give --format torchvision" in capsys.readouterr().err
    assert not (tmp_path / "a" / "export").exists()


def test_the_command_refuses_in_one_line(tmp_path, official, capsys):
    path = checkpoint(tmp_path / "checkpoint.pth.tar", official)
    text = tmp_path / "letter.txt"
    text.write_text("dear")
    (tmp_path / "taken").mkdir()
    for arguments, message in (
        ([tmp_path / "nowhere"], "FILE: cannot read"),
        ([text], "is no PyTorch checkpoint"),
        ([], "required: file"),
        ([path, "--name=taken"], "taken exists; give another --name"),
        ([path, "--backbone.name=resnet50"], "module.encoder.layer1.0.conv1.weight is (4, 4, 3, 3) there"),
        ([path, "--backbone.name=vit"], "backbone.name"),
    ):
        assert run("import-weights", *arguments, f"--output={tmp_path}") == 2
        err = capsys.readouterr().err
        assert message in err
        assert err.count("\n") == 1
    assert not (tmp_path / "checkpoint").exists()


def test_heads_that_are_not_in_the_file_are_said_to_be_fresh(tmp_path, capsys):
    torch.save(ResNet("resnet18", width=4).state_dict(), tmp_path / "r.pth")
    assert run("import-weights", tmp_path / "r.pth", f"--output={tmp_path}", "--method.projection_dim=16") == 0
    assert "not in the file: projector, predictor (initialised by seed 0)" in capsys.readouterr().out
    assert RunFolder.existing(tmp_path / "r").load_backbone().output_shape == (None, 32)
