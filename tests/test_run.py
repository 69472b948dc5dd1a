"""The main job on real digits, through the command line: what a run leaves, and what ends it."""

import csv
import json

import keras
import numpy as np
import pytest

from simsiam_tf.cli import BAD_INPUT
from simsiam_tf.cli import main as cli
from simsiam_tf.errors import InputError
from simsiam_tf.runs import train
from small_run import arguments, assert_same_state, rows

pytestmark = pytest.mark.long


def test_the_run_folder_explains_itself(run):
    names = {path.name for path in run.iterdir()}
    expected = "config.yaml environment.json metrics.csv result.json tensorboard checkpoints backbone.keras"
    assert {*expected.split(), "curves.png", "views.png"} <= names
    assert [row["epoch"] for row in rows(run)] == ["1", "2", "3", "4"]
    assert [bool(row["knn_accuracy"]) for row in rows(run)] == [False, True, False, True]
    environment = json.loads((run / "environment.json").read_text())
    assert environment["packages"]["tensorflow"]
    assert environment["seed"] == 0
    assert list((run / "tensorboard").rglob("events.out.tfevents.*"))


def test_result_holds_the_final_figures(run):
    result = json.loads((run / "result.json").read_text())
    assert {
        "method",
        "epochs",
        "seed",
        "feature_std",
        "correlation_strength",
        "label_free",
        "seconds",
    } <= result.keys()
    assert result["method"] == "simsiam"
    assert result["epochs"] == 4
    assert result["steps"] == 20
    assert None not in result.values()
    accuracies = {key: value for key, value in result.items() if key.endswith("_accuracy")}
    assert accuracies.keys() >= {"knn_accuracy", "linear_accuracy"}
    assert all(0 < value <= 1 for value in accuracies.values())
    raw = result["by_fraction"]["raw"]
    assert [row["fraction"] for row in raw] == [1.0, 0.1]
    assert raw[0]["knn_accuracy"] > 0.8  # 160 digits as pixels
    assert result["by_fraction"]["encoder"][0]["knn_accuracy"] == result["knn_accuracy"]


def test_label_free_figures_are_those_of_the_saved_backbone(run):
    """Of the trained encoder and, apart from it, of the one that it began as."""
    from simsiam_tf.evaluation.label_free import label_free_figures
    from simsiam_tf.runs.build import build_backbone, load_data
    from simsiam_tf.settings import files

    config = files.read(run / "config.yaml")
    figures = json.loads((run / "result.json").read_text())["label_free"]
    images = load_data(config).train.images
    networks = {"encoder": keras.models.load_model(run / "backbone.keras"), "untrained": build_backbone(config)}
    for name, network in networks.items():
        expected = label_free_figures(network.predict(images, verbose=0))
        assert {key: figures[name][key] for key in expected} == pytest.approx(expected, rel=1e-3)
        assert 0 < figures[name]["alignment"] < 2
        assert 1 <= figures[name]["lidar"] <= 32
    assert figures["encoder"] != figures["untrained"]


def test_the_saved_backbone_gives_the_features_that_were_judged(run):
    backbone = keras.models.load_model(run / "backbone.keras")
    assert backbone(np.zeros((2, 12, 12, 3), np.uint8)).shape == (2, 32)


def test_a_finished_run_is_not_trained_again(run, output, capsys):
    before = (run / "result.json").read_bytes()
    assert cli.main(arguments(output)) == 0
    assert "is complete" in capsys.readouterr().err
    assert (run / "result.json").read_bytes() == before


def test_the_stored_config_repeats_the_run(run, output, tmp_path):
    assert cli.main(["train", "--config", str(run / "config.yaml"), "--output", str(tmp_path)]) == 0
    first, again = (json.loads((folder / "result.json").read_text()) for folder in (run, tmp_path / "run"))
    same = {"loss", "feature_std"} | {key for key in first if key.endswith("_accuracy")}
    assert {key: first[key] for key in same} == {key: again[key] for key in same}


@pytest.mark.parametrize("steps", [2, 100])
def test_several_steps_per_execution_give_the_same_weights(run, output, steps):
    """Five steps an epoch are 2 + 2 + 1, or one call."""
    assert cli.main(arguments(output, name=f"calls-of-{steps}", training__steps_per_execution=steps)) == 0
    assert_same_state(run, output / f"calls-of-{steps}")


def test_the_imagenet_recipe_takes_class_folders(tmp_path):
    from PIL import Image

    generator = np.random.default_rng(0)
    for index in range(24):
        (tmp_path / "pictures" / "abcd"[index % 4]).mkdir(parents=True, exist_ok=True)
        pixels = generator.integers(0, 256, (40, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "pictures" / "abcd"[index % 4] / f"{index}.jpg")
    options = "--data.validation_fraction=0.2 --data.image_size=32 --optimizer.batch_size=8 --backbone.width=4 "
    options += "--training.stop_after_steps=1 --monitor.knn_bank=10 --evaluation.linear_epochs=1"
    options = [f"--data.path={tmp_path / 'pictures'}", f"--output={tmp_path}", *options.split()]
    assert cli.main(["train", "--config", "imagenet", *options]) == 0
    result = json.loads((tmp_path / "imagenet" / "result.json").read_text())
    assert result["steps"] == 1
    assert "knn_accuracy" in result


def test_a_gpu_that_tensorflow_does_not_find_is_said(output, capsys, monkeypatch):
    def no_further(config):
        raise InputError("the data is not what this test is about")

    monkeypatch.setattr(train, "load_data", no_further)
    for there in (False, True):
        monkeypatch.setattr(train, "has_nvidia_device", lambda there=there: there)
        assert cli.main(arguments(output, name="no-gpu")) == BAD_INPUT
        assert ("an NVIDIA GPU, but TensorFlow finds none" in capsys.readouterr().err) == there


def test_a_collapsed_run_ends_with_code_3(output, capsys):
    collapse = {"optimizer__weight_decay": 5.0, "method__head_norm": "hidden", "method__stop_gradient": False}
    code = cli.main(arguments(output, name="collapsed", optimizer__epochs=30, monitor__collapse_patience=2, **collapse))
    assert code == 3
    said = capsys.readouterr()
    assert "the run has failed: collapsed: " in said.err
    assert "training: collapsed: " in said.out
    assert json.loads((output / "collapsed" / "result.json").read_text())["stopped"] == "collapsed"
    epochs = len(rows(output / "collapsed"))
    assert epochs < 30
    # Killed between its last checkpoint and its result, the run does not forget that it has collapsed.
    (output / "collapsed" / "result.json").unlink()
    code = cli.main(arguments(output, name="collapsed", optimizer__epochs=30, monitor__collapse_patience=2, **collapse))
    assert (code, len(rows(output / "collapsed"))) == (3, epochs)


def test_a_result_of_an_earlier_version_ends_as_it_did(output, capsys):
    """When outcomes had no names yet."""
    changes = {"name": "earlier", "optimizer__epochs": 1, "monitor__tensorboard": "false"}
    assert cli.main(arguments(output, **changes)) == 0
    path = output / "earlier" / "result.json"
    old = {key: value for key, value in json.loads(path.read_text()).items() if key not in ("outcome", "quality")}
    path.write_text(json.dumps(old))
    assert cli.main(arguments(output, **changes)) == 0
    path.write_text(json.dumps(old | {"stopped": "collapsed", "verdict": "collapsed: correlation 0.99"}))
    assert cli.main(arguments(output, **changes)) == 3
    assert "the run has failed: collapsed: correlation 0.99" in capsys.readouterr().err


def test_a_diverged_run_ends_with_code_3(output, capsys):
    code = cli.main(arguments(output, name="diverged", optimizer__learning_rate=1e30))
    assert code == 3

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    result = json.loads((output / "diverged" / "result.json").read_text(), parse_constant=refuse)
    assert (result["stopped"], result["outcome"]) == ("diverged", "diverged")


def test_a_run_that_fails_to_its_end_has_its_table_and_code_3(output, capsys):
    """With a predictor that is not trained; limits are for runs longer than this one."""
    options = {"optimizer__epochs": 4, "method__predictor_ratio": 0, "monitor__tensorboard": "false"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("simsiam_tf.evaluation.verdict.MIN_STEPS", 20)
        assert cli.main(arguments(output, name="fixed", **options)) == 3
    said = capsys.readouterr()
    assert "trained encoder" in said.out
    assert "training: not converging: predictions meet their targets with a cosine of" in said.out
    assert "the run has failed: not converging: " in said.err
    result = json.loads((output / "fixed" / "result.json").read_text())
    assert result["outcome"] == "not converging"
    assert result["cosine"] == pytest.approx(-result["loss"])
    assert cli.main(arguments(output, name="fixed", **options)) == 3  # as the folder says


class Crew:
    """One of several workers, as the first one's flag reaches it."""

    def __init__(self, chief, flag):
        self.chief, self.flag = chief, flag

    def anywhere(self, flag):
        return flag or self.flag


def test_all_workers_know_that_the_run_has_failed():
    from simsiam_tf.runs.train import shared

    failed, healthy = {"outcome": "not converging", "verdict": "..."}, {"outcome": "healthy"}
    assert shared(failed, Crew(chief=True, flag=False)) == failed
    assert shared(healthy, Crew(chief=True, flag=False)) == healthy
    assert shared(None, Crew(chief=False, flag=True)) == {"outcome": "failed", "reason": "see the first worker"}
    assert shared(None, Crew(chief=False, flag=False)) is None


def test_a_run_keeps_its_looks(run):
    with (run / "collapse.csv").open() as file:
        looks = list(csv.DictReader(file))
    assert [int(look["step"]) for look in looks] == list(range(1, 21))
    assert float(looks[-1]["effective_rank"]) == pytest.approx(float(rows(run)[-1]["effective_rank"]))


def test_pictures_without_labels_train_and_say_so_once(tmp_path, capsys):
    from PIL import Image

    generator = np.random.default_rng(0)
    (tmp_path / "pictures").mkdir()
    for index in range(40):
        pixels = generator.integers(0, 256, (16, 20, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "pictures" / f"{index}.png")
    changes = {"data__source": "folder", "data__path": tmp_path / "pictures", "data__validation_fraction": 0.0}
    assert cli.main(arguments(tmp_path, optimizer__epochs=1, **changes)) == 0
    assert capsys.readouterr().err.count("no labels: kNN monitor and linear probe are off") == 1
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert "knn_accuracy" not in result
    assert (tmp_path / "run" / "backbone.keras").is_file()
    assert "without labels" in result["quality"]["sentence"]
    assert cli.main(["evaluate", str(tmp_path / "run")]) == 0  # the same again
    assert "only labels can tell how good it is" in " ".join(capsys.readouterr().out.split())
    assert json.loads((tmp_path / "run" / "result.json").read_text()) == result
