"""finetune and predict by the command line, on a network of two convolutions and the digits."""

import csv
import json
import shutil

import keras
import numpy as np
import onnxruntime
import pyarrow.parquet
import pytest

import small_methods
from command_line import run
from simsiam_tf.evaluation.protocol import label_subset
from simsiam_tf.interop import torch_file
from simsiam_tf.runs import train as runs
from simsiam_tf.runs.build import load_data
from simsiam_tf.runs.checkpoint import CheckpointFolder
from simsiam_tf.runs.folder import RunFolder
from simsiam_tf.runs.labelled import labelled
from simsiam_tf.settings import files
from small_run import assert_same_state, rows

STORED = ["--config=digits", "--data.limit=200", "--data.test_limit=60", "--data.image_size=12"]
STORED += ["--optimizer.batch_size=32", "--monitor.tensorboard=false"]
SHORT = ["--optimizer.epochs=4", "--method.held_out=0.2"]


pytestmark = pytest.mark.usefixtures("small_backbones")


def pretrained(folder, seed=0):
    """A run folder as far as these verbs look at it."""
    folder.mkdir()
    config = files.parse(
        files.OneLineParser(prog="test"), [*STORED, f"--output={folder.parent}", f"--name={folder.name}"]
    )
    files.write(config[1], folder / "config.yaml")
    RunFolder(folder).save_backbone(small_methods.backbone(seed))
    return folder


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return pretrained(tmp_path_factory.mktemp("runs") / "base")


@pytest.fixture(scope="module")
def finetuned(base):
    assert run("finetune", base, *SHORT) == 0
    return base.parent / "base-finetuned"


@pytest.fixture(scope="module")
def frozen(base):
    assert run("finetune", base, "--frozen", "--fraction=0.3", *SHORT, "--optimizer.epochs=2") == 0
    return base.parent / "base-frozen-0.3"


def figures(folder):
    return json.loads((folder / "result.json").read_text())["classifier"]


def network(folder, name="classifier"):
    return keras.models.load_model(folder / f"{name}.keras")


def splits(folder):
    return load_data(files.read(folder / "config.yaml"))


def share_right(model, images):
    pixels = np.concatenate(list(images.batches(64, crop=12)))
    return np.mean(model.predict(pixels, verbose=0).argmax(axis=1) == images.labels)


def test_the_epoch_that_is_best_on_held_out_labels_is_kept(finetuned, base):
    found, config = figures(finetuned), files.read(finetuned / "config.yaml")
    best = max(rows(finetuned), key=lambda row: (float(row["val_accuracy"]), -float(row["val_loss"])))
    assert (found["epoch"], found["steps"]) == (int(best["epoch"]), int(best["step"]))
    assert found["held_out_accuracy"] == float(best["val_accuracy"])
    arrays, meta = CheckpointFolder(finetuned / "checkpoints").best()
    assert meta["rows"][-1]["epoch"] == found["epoch"]
    np.testing.assert_array_equal(network(finetuned).layers[-2].kernel, arrays["classifier/dense1/kernel"])
    learned = labelled(config, splits(finetuned))
    assert found["labels"] == 200
    assert found["held_out"] == len(learned.test)
    assert share_right(network(finetuned), learned.test) == found["held_out_accuracy"]
    before, after = (network(folder, "backbone").get_weights() for folder in (base, finetuned))
    assert not any(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_test_images_are_those_of_the_run_and_come_last(finetuned, base):
    test = splits(finetuned).test
    assert test.ids.tolist() == splits(base).test.ids.tolist()
    assert figures(finetuned)["test_accuracy"] == share_right(network(finetuned), test)
    assert figures(finetuned)["class_names"] == [str(digit) for digit in range(10)]
    assert "knn_accuracy" not in rows(finetuned)[-1]


def test_views_are_the_runs_crops_without_its_colours(finetuned):
    a, o = (getattr(files.read(finetuned / "config.yaml"), part) for part in ("augmentation", "optimizer"))
    assert (a.recipe, a.jitter_probability, a.views) == ("digits", 0.0, ())
    assert (o.name, o.batch_size, o.learning_rate) == ("sgd", 32, 0.3)


def test_a_frozen_encoder_is_the_runs(frozen, base):
    before, after = (network(folder, "backbone").get_weights() for folder in (base, frozen))
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a, b)
    assert figures(frozen)["labels"] == len(label_subset(splits(base).train.labels, 0.3))
    config = files.read(frozen / "config.yaml")
    assert (config.optimizer.weight_decay, config.optimizer.learning_rate) == (0, 0.03)
    assert (config.augmentation.recipe, config.augmentation.min_area) == ("none", None)


def test_a_ratio_of_0_is_frozen_in_all_else_too(base, frozen):
    words = ["--method.encoder_ratio=0", "--fraction=0.3", *SHORT, "--optimizer.epochs=2", "--name=ratio"]
    assert run("finetune", base, *words) == 0
    asked, named = (files.flat(files.read(base.parent / name / "config.yaml")) for name in ("ratio", frozen.name))
    assert asked | {"name": named["name"]} == named


class Killed(BaseException):
    """What no one catches."""


def die(*arguments):
    raise Killed


def test_killed_or_stopped_it_ends_in_the_same_weights(finetuned, base, monkeypatch):
    again, command = base.parent / "again", ["finetune", base, *SHORT, "--name=again"]
    assert run(*command, "--training.stop_after_steps=8") == 0  # inside the second epoch
    save = CheckpointFolder.save

    def best_only(self, step, arrays, meta, best=False):
        save(self, step, arrays, meta, best)
        if step == 15:
            raise Killed

    monkeypatch.setattr(CheckpointFolder, "save", best_only)
    with pytest.raises(Killed):
        run(*command)
    monkeypatch.setattr(CheckpointFolder, "save", save)
    monkeypatch.setattr(runs, "conclude", die)  # before the result is written
    with pytest.raises(Killed):
        run(*command)
    monkeypatch.undo()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("simsiam_tf.runs.build.build_backbone", lambda config: small_methods.backbone(config.seed))
        assert run(*command) == 0
    assert_same_state(finetuned, again)
    assert figures(again) == figures(finetuned)
    for a, b in zip(network(again).get_weights(), network(finetuned).get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_it_ends_when_held_out_labels_get_no_better(base, capsys):
    command = ["finetune", base, "--frozen", "--optimizer.epochs=40", "--optimizer.learning_rate=500", "--name=early"]
    command += ["--method.patience=2", "--fraction=60"]
    assert run(*command) == 0
    result = json.loads((base.parent / "early" / "result.json").read_text())
    assert result["epochs"] == result["classifier"]["epoch"] + 2 < 40
    assert result["total_steps"] == result["steps"]
    assert "test images" in capsys.readouterr().out
    assert run(*command) == 0
    assert "is complete" in capsys.readouterr().err
    (base.parent / "early" / "result.json").unlink()
    assert run(*command) == 0  # which trains no further
    again = json.loads((base.parent / "early" / "result.json").read_text())
    assert (again["steps"], again["classifier"]) == (result["steps"], result["classifier"])


def test_predictions_are_those_of_the_exported_network(frozen, tmp_path):
    assert run("export", frozen, "--format=onnx") == 0
    file = frozen / "export" / "classifier.onnx"
    facts = json.loads(file.with_name("classifier.onnx.json").read_text())
    assert facts["output"]["class_names"] == [str(digit) for digit in range(10)]
    assert (facts["output"]["dimension"], facts["weights"]["steps"]) == (10, figures(frozen)["steps"])
    test = splits(frozen).test
    pixels = np.concatenate(list(test.batches(64, crop=12))).astype("float32")
    session = onnxruntime.InferenceSession(file)
    expected = session.run(None, {session.get_inputs()[0].name: pixels})[0]
    for ending in ("csv", "parquet"):
        assert run("predict", frozen, "--data=test", f"--output={tmp_path / f'p.{ending}'}") == 0
    table = pyarrow.parquet.read_table(tmp_path / "p.parquet")
    with (tmp_path / "p.csv").open(newline="") as opened:
        found = list(csv.DictReader(opened))
    assert [*found[0]] == table.column_names == ["id", "predicted", "probability", *(f"p {k}" for k in range(10))]
    assert [row["id"] for row in found] == table["id"].to_pylist() == test.ids.tolist()
    assert [int(row["predicted"]) for row in found] == expected.argmax(axis=1).tolist()
    assert table["predicted"].to_pylist() == [row["predicted"] for row in found]
    np.testing.assert_allclose([float(row["probability"]) for row in found], expected.max(axis=1), rtol=1e-4)
    np.testing.assert_allclose(np.transpose([table[f"p {k}"] for k in range(10)]), expected, rtol=1e-4, atol=1e-7)


def test_predictions_are_joined_to_files_of_any_name(frozen, tmp_path):
    import os

    from PIL import Image

    (tmp_path / "pictures").mkdir()
    names = [b"caf\xe9.png", b"two\nlines.png", b'"q",.png']
    for index, name in enumerate(names):
        Image.new("L", (20, 20), 30 * index).save(tmp_path / "pictures" / os.fsdecode(name), "PNG")
    for ending in ("csv", "parquet"):
        assert run("predict", frozen, f"--data={tmp_path / 'pictures'}", f"--output={tmp_path / f'p.{ending}'}") == 0
    with (tmp_path / "p.csv").open(newline="", errors="surrogateescape") as opened:
        found = [os.fsencode(row["id"]) for row in csv.DictReader(opened)]
    assert sorted(found) == sorted(names)
    table = pyarrow.parquet.read_table(tmp_path / "p.parquet")
    assert sorted(table["id_bytes"].to_pylist()) == sorted(names)


def test_the_encoder_and_the_classifier_are_exported_as_weights_of_one_epoch(finetuned, tmp_path):
    for format, ending in (("pytorch", "pth.tar"), ("torchvision", "pth")):
        assert run("export", finetuned, f"--format={format}", f"--output={tmp_path / f'm.{ending}'}") == 0
    state = {key: each.numpy() for key, each in torch_file.load(tmp_path / "m.pth.tar")["state_dict"].items()}
    *_, norm, dense, _ = network(finetuned).layers
    np.testing.assert_array_equal(state["module.encoder.classifier.0.running_mean"], norm.moving_mean)
    np.testing.assert_array_equal(state["module.encoder.classifier.1.weight"], np.transpose(dense.kernel))


def test_the_commands_refuse_in_one_line(base, finetuned, tmp_path, capsys):
    other = pretrained(base.parent / "other", seed=1)
    (base.parent / "unfinished").mkdir()
    shutil.copy(finetuned / "config.yaml", base.parent / "unfinished")
    test, table = "--data=test", f"--output={tmp_path / 'p.csv'}"
    for arguments, message in (
        (["predict", base, test, table], f"make one of it: simsiam-tf finetune {base}"),
        (["predict", base.parent / "unfinished", test, table], "no classifier.keras yet"),
        (["predict", finetuned, test, f"--output={tmp_path / 'p.npz'}"], "neither .csv nor .parquet; give one"),
        (["predict", finetuned, "--data=nowhere", table], "data.path: nowhere is not there"),
        (["finetune", base, "--fraction=1.5"], "method.labels: 1.5 is no value of it; give a whole number 2 or more"),
        (["finetune", base, "--fraction=some"], "method.labels: some is no value of it; give"),
        (["finetune", base, "--backbone.width=16"], "backbone.width: 16 is not the trained run's"),
        (["finetune", base, "--seed=1"], "seed: 1 is not the trained run's"),  # whose test images would be others
        (["finetune", base, "--name=base"], "base is the run that the encoder is of; give another --name"),
        (["finetune", other, *SHORT, "--name=base-finetuned"], f"began with another encoder than {other}'s"),
        (["finetune", tmp_path], "is no run folder"),
        (["finetune", base, "--training.distribution=multi_worker"], "give none or mirrored"),
    ):  # fmt: skip
        assert run(*arguments) == 2, arguments
        said = capsys.readouterr().err
        assert message in said
        assert len(said.strip().splitlines()) == 1
