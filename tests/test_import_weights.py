"""import-weights and export --format pytorch by the command line, and training that goes on from foreign weights."""

import dataclasses
import json
import shutil

import keras
import numpy as np
import pytest
import torch

from oracle import ResNet
from simsiam_tf.cli import main as cli
from simsiam_tf.interop import torch_file
from simsiam_tf.interop.formats import ENDINGS
from simsiam_tf.runs.build import load_data
from simsiam_tf.runs.folder import RunFolder
from simsiam_tf.settings import files
from torch_checkpoints import agreement, checkpoint, normalised, oracle

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
    config = files.read(imported / "config.yaml")
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
    facts = json.loads((trained / "export" / "backbone.pth.tar.json").read_text())
    encoder, (channels, width, side, *_) = facts["weights"], facts["network"]["conv1"]
    assert content[encoder["key"]][f"{encoder['prefix']}conv1.weight"].shape == (width, channels, side, side)
    assert encoder["steps"] == 4
    assert (facts["input"]["layout"], facts["input"]["normalization"][:7]) == ("NCHW", "outside")


def test_a_trained_run_that_was_exported_comes_back_the_same(trained, tmp_path):
    output = tmp_path / "m.pth.tar"
    assert run("export", trained, "--format=pytorch", f"--output={output}") == 0
    assert run("import-weights", output, f"--output={tmp_path}", "--data.image_size=12") == 0
    assert_same_weights(trained / "backbone.keras", tmp_path / "m" / "backbone.keras")
    before = torch_file.load(output)["state_dict"]
    for key, array in exported(tmp_path / "m").items():
        np.testing.assert_array_equal(array, before[key].numpy(), err_msg=key)
    assert files.read(tmp_path / "m" / "config.yaml").backbone == files.read(trained / "config.yaml").backbone


def test_a_finished_run_is_trained_on_as_another(trained, tmp_path, capsys):
    """The refusal of more epochs says how; weights are the run's, heads too, and the schedule is new."""
    assert run("train", "--config", trained / "config.yaml", "--optimizer.epochs=3") == 2
    way = f"simsiam-tf import-weights {trained} --name NEW --optimizer.epochs 3"
    assert f"for a new schedule from its weights: {way}" in capsys.readouterr().err
    shutil.copytree(trained, tmp_path / "short", ignore=shutil.ignore_patterns("export"))
    shortened = files.read(trained / "config.yaml")
    training = dataclasses.replace(shortened.training, stop_after_steps=4)
    files.write(dataclasses.replace(shortened, training=training), tmp_path / "short" / "config.yaml")
    more = ["--name=more", f"--output={tmp_path}", "--optimizer.epochs=3", "--optimizer.learning_rate=1e-6"]
    assert run("import-weights", tmp_path / "short", *more) == 0
    assert "short: the weights of backbone, projector, predictor; all else" in capsys.readouterr().out
    assert_same_weights(trained / "backbone.keras", tmp_path / "more" / "backbone.keras")
    for name, folder in (("before", trained), ("after", tmp_path / "more")):
        assert run("export", folder, "--format=pytorch", f"--output={tmp_path / name}.pth.tar") == 0
    before, after = (
        {key: each.numpy() for key, each in torch_file.load(tmp_path / f"{name}.pth.tar")["state_dict"].items()}
        for name in ("before", "after")
    )
    assert before.keys() == after.keys()
    for key, array in after.items():
        np.testing.assert_array_equal(array, before[key], err_msg=key)
    assert run("train", "--config", tmp_path / "more" / "config.yaml") == 0
    result = json.loads((tmp_path / "more" / "result.json").read_text())
    assert (result["epochs"], result["steps"]) == (3, 6)
    moved = keras.models.load_model(tmp_path / "more" / "backbone.keras").get_weights()
    began = keras.models.load_model(trained / "backbone.keras").get_weights()
    assert 0 < max(np.abs(a - b).max() for a, b in zip(moved[:1], began[:1], strict=True)) < 1e-4


def test_other_figures_of_a_finished_run_are_named(trained, capsys):
    assert run("train", "--config", trained / "config.yaml", "--evaluation.linear_epochs=2") == 2
    assert f"simsiam-tf evaluate {trained} --evaluation.linear_epochs 2" in capsys.readouterr().err


def test_a_continuation_that_is_refused_leaves_nothing(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "a", ignore=shutil.ignore_patterns("export", "checkpoints", "imported*"))
    assert run("import-weights", tmp_path / "a", "--name=b", f"--output={tmp_path}") == 2
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("change", ["--backbone.width=8", "--method.projection_dim=8"])
def test_another_network_cannot_go_on(trained, tmp_path, change, capsys):
    assert run("import-weights", trained, "--name=other", f"--output={tmp_path}", change) == 2
    assert change[2:].split("=")[0] in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_a_diverged_run_of_imported_weights_is_not_said_to_be_another(imported, tmp_path, capsys):
    shutil.copytree(imported, tmp_path / "official", ignore=shutil.ignore_patterns("export"))
    command = ["train", "--config", tmp_path / "official" / "config.yaml", "--output", tmp_path]
    assert run(*command, "--optimizer.learning_rate=1e30") == 3
    assert run(*command, "--optimizer.learning_rate=0.01") == 2
    assert "another setting, optimizer.learning_rate: 1e+30 (now 0.01)" in capsys.readouterr().err


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
    assert (
        "no checkpoint to take the heads from; give one that has, or do with its backbone (export --format torchvision)"
        in capsys.readouterr().err
    )
    assert not (tmp_path / "a" / "export").exists()


def test_the_command_refuses_in_one_line(tmp_path, official, capsys):
    path = checkpoint(tmp_path / "checkpoint.pth.tar", official)
    text = tmp_path / "letter.txt"
    text.write_text("dear")
    (tmp_path / "taken").mkdir()
    for arguments, message in (
        ([tmp_path / "nowhere"], "nowhere cannot be read (No such file or directory); give a file that is there"),
        ([text], "letter.txt is no PyTorch checkpoint; give a file that torch.save wrote"),
        ([], "required: file"),
        ([path, "--name=taken"], "taken exists; give another --name, or delete the folder"),
        ([path, "--backbone.name=resnet50"], "module.encoder.layer1.0.conv1.weight is (4, 4, 3, 3) there"),
        ([path, "--backbone.name=vit"], "backbone.name: vit is unknown; give one of resnet18, "),
    ):
        assert run("import-weights", *arguments, f"--output={tmp_path}") == 2
        err = capsys.readouterr().err
        assert message in err
        assert err.count("\n") == 1
    assert not (tmp_path / "checkpoint").exists()


def test_heads_that_are_not_in_the_file_are_said_to_be_fresh(tmp_path, capsys):
    torch.save(ResNet("resnet18", width=4).state_dict(), tmp_path / "r.pth")
    assert run("import-weights", tmp_path / "r.pth", f"--output={tmp_path}", "--method.projection_dim=16") == 0
    assert "not taken from the file: projector, predictor (initialised by seed 0)" in capsys.readouterr().out
    assert RunFolder.existing(tmp_path / "r").load_backbone().output_shape == (None, 32)
