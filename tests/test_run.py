"""The main job on real digits, through the command line: run folder, verbs, resuming, stopping."""

import csv
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest

from simsiam_tf import cli
from simsiam_tf.checkpoint import CheckpointFolder

ROOT = Path(__file__).parents[1]
ENVIRONMENT = os.environ | {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "2"}
SMALL = {
    "data.limit": 160,
    "data.test_limit": 100,
    "data.image_size": 12,
    "backbone.width": 4,
    "method.projection_dim": 16,
    "method.predictor_hidden": 4,
    "optimizer.batch_size": 32,
    "optimizer.epochs": 4,
    "monitor.knn_epochs": 2,
    "evaluation.baselines": "[raw]",
    "evaluation.fractions": "[1.0,0.1]",
    "evaluation.subsets": 2,
    "evaluation.linear_epochs": 5,
}


def arguments(output, name="run", **changes):
    options = SMALL | {"name": name, "output": output} | {k.replace("__", "."): v for k, v in changes.items()}
    return ["train", "--config", "digits", *(f"--{key}={value}" for key, value in options.items())]


def start(output, **changes):
    command = [sys.executable, "-m", "simsiam_tf", *arguments(output, **changes)]
    return subprocess.Popen(
        command, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def run(output):
    """A finished small run."""
    assert cli.main(arguments(output)) == 0
    return output / "run"


def rows(folder):
    with (folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


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
        "spectrum_auc",
        "seconds",
    } <= result.keys()
    assert result["method"] == "simsiam"
    assert result["epochs"] == 4
    assert result["steps"] == 20
    assert None not in result.values()
    for name in ("knn_accuracy", "linear_accuracy"):
        assert 0 < result[name] <= 1
    raw = result["by_fraction"]["raw"]
    assert [row["fraction"] for row in raw] == [1.0, 0.1]
    assert raw[0]["knn_accuracy"] > 0.8  # 160 digits as pixels
    assert result["by_fraction"]["encoder"][0]["knn_accuracy"] == result["knn_accuracy"]


def test_the_saved_backbone_gives_the_features_that_were_judged(run):
    backbone = keras.models.load_model(run / "backbone.keras")
    assert backbone(np.zeros((2, 12, 12, 3), np.uint8)).shape == (2, 32)


def test_a_finished_run_is_not_trained_again(run, output, capsys):
    before = (run / "result.json").read_bytes()
    assert cli.main(arguments(output)) == 0
    assert "is complete" in capsys.readouterr().err
    assert (run / "result.json").read_bytes() == before


def test_another_setting_in_the_same_folder_is_refused(run, output, capsys):
    assert cli.main(arguments(output, optimizer__learning_rate=0.5)) == 2
    assert "optimizer.learning_rate: 0.8 (now 0.5)" in capsys.readouterr().err


def test_the_stored_config_repeats_the_run(run, output, tmp_path):
    assert cli.main(["train", "--config", str(run / "config.yaml"), "--output", str(tmp_path)]) == 0
    same = {"knn_accuracy", "linear_accuracy", "loss", "feature_std"}
    first, again = (json.loads((folder / "result.json").read_text()) for folder in (run, tmp_path / "run"))
    assert {key: first[key] for key in same} == {key: again[key] for key in same}


def test_a_mistake_does_not_take_the_name(tmp_path, capsys):
    """After a first attempt with wrong settings the corrected command is not refused."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.tmp").touch()  # as a kill inside the first write leaves it
    assert cli.main(arguments(tmp_path, data__source="folder", data__path="/nowhere")) == 2
    assert cli.main(arguments(tmp_path, optimizer__batch_size=10_000)) == 2
    assert "batch_size: 10000 is above" in capsys.readouterr().err
    assert cli.main(arguments(tmp_path, training__stop_after_steps=1, evaluation__fractions="[1.0]")) == 0
    assert cli.main(arguments(tmp_path, optimizer__momentum=0.5)) == 2
    assert "optimizer.momentum: 0.9 (now 0.5)" in capsys.readouterr().err


def test_two_processes_do_not_train_in_one_folder(tmp_path, capsys):
    (tmp_path / "run").mkdir()
    with (tmp_path / "run" / "lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert cli.main(arguments(tmp_path)) == 2
        assert f"another process is training in {tmp_path / 'run'}" in capsys.readouterr().err
        assert not (tmp_path / "run" / "config.yaml").exists()
    assert cli.main(arguments(tmp_path, training__stop_after_steps=1, evaluation__fractions="[1.0]")) == 0
    with (tmp_path / "run" / "lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)  # given back


def test_several_steps_per_execution_give_the_same_weights(run, output, capsys):
    assert cli.main(arguments(output, name="several", training__steps_per_execution=2)) == 2
    assert "training.steps_per_execution: 2 does not divide the 5 steps" in capsys.readouterr().err
    assert cli.main(arguments(output, name="several", training__steps_per_execution=5)) == 0
    assert_same_state(run, output / "several")


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


def test_evaluate_takes_overrides_of_its_own_and_no_others(run, capsys):
    assert cli.main(["evaluate", str(run), "--evaluation.fractions", "[1.0]", "--evaluation.baselines", "[]"]) == 0
    assert "linear probe" in capsys.readouterr().out
    result = json.loads((run / "result.json").read_text())
    assert [row["fraction"] for row in result["by_fraction"]["encoder"]] == [1.0]
    assert result["epochs"] == 4
    assert cli.main(["evaluate", str(run), "--evaluation.fractions", "[0.5]", "--evaluation.baselines", "[]"]) == 0
    result = json.loads((run / "result.json").read_text())
    assert "knn_accuracy" not in result  # that of another protocol
    assert result["evaluation"]["fractions"] == [0.5]
    assert cli.main(["evaluate", str(run), "--optimizer.epochs", "9"]) == 2
    assert "optimizer.epochs: it belongs to the trained run" in capsys.readouterr().err


def test_embed_writes_ids_labels_and_features(run, tmp_path):
    import pyarrow.parquet

    assert cli.main(["embed", str(run), "--data", "test", "--output", str(tmp_path / "test.npz")]) == 0
    assert cli.main(["embed", str(run), "--data", "test", "--output", str(tmp_path / "test.parquet")]) == 0
    arrays = np.load(tmp_path / "test.npz")
    table = pyarrow.parquet.read_table(tmp_path / "test.parquet")
    assert table.column_names == ["id", "label", "features"]
    assert table["id"].to_pylist() == arrays["id"].tolist()
    assert table["label"].to_pylist() == arrays["label"].tolist()
    np.testing.assert_array_equal(np.array(table["features"].to_pylist(), np.float32), arrays["features"])
    assert arrays["features"].shape == (100, 32)


def test_embed_takes_a_folder_of_pictures_without_labels(run, tmp_path):
    from PIL import Image

    for index, part in enumerate(("test/a", "test/b", "train/a")):
        (tmp_path / "pictures" / part).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20 + index, 30), (80 * index, 10, 10)).save(tmp_path / "pictures" / part / f"{index}.png")
    assert cli.main(["embed", str(run), "--data", str(tmp_path / "pictures"), "--output", str(tmp_path / "f.npz")]) == 0
    arrays = np.load(tmp_path / "f.npz")
    assert sorted(arrays.files) == ["features", "id"]
    assert arrays["id"].tolist() == ["test/a/0.png", "test/b/1.png", "train/a/2.png"]


@pytest.mark.parametrize("output_name", ["f.csv", "missing/f.npz"])
def test_embed_refuses_an_output_it_cannot_write(run, tmp_path, output_name, capsys):
    assert cli.main(["embed", str(run), "--data", "test", "--output", str(tmp_path / output_name)]) == 2
    assert "output:" in capsys.readouterr().err


@pytest.mark.parametrize("format", ["keras", "saved_model", "onnx"])
def test_export_writes_a_checked_file_once(run, format, tmp_path, capsys):
    output = tmp_path / {"keras": "m.keras", "saved_model": "m", "onnx": "m.onnx"}[format]
    assert cli.main(["export", str(run), "--format", format, "--output", str(output)]) == 0
    assert output.exists()
    assert "largest difference" in capsys.readouterr().out
    assert cli.main(["export", str(run), "--format", format, "--output", str(output)]) == 2
    assert "exists" in capsys.readouterr().err


def test_the_exported_keras_file_needs_keras_alone(run, tmp_path):
    output = tmp_path / "m.keras"
    assert cli.main(["export", str(run), "--format", "keras", "--output", str(output)]) == 0
    code = (
        f"import keras, sys; print(keras.models.load_model({str(output)!r}).output_shape, 'simsiam_tf' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout.strip() == "(None, 32) False"


def test_export_refuses_unknown_formats_and_endings(run, tmp_path, capsys):
    assert cli.main(["export", str(run), "--format", "tflite"]) == 2
    assert "'tflite' is unknown; give one of keras, saved_model, onnx" in capsys.readouterr().err
    assert cli.main(["export", str(run), "--format", "onnx", "--output", str(tmp_path / "m.pb")]) == 2
    assert "does not end in .onnx" in capsys.readouterr().err


@pytest.mark.parametrize("format", ["saved_model", "onnx"])
def test_a_mixed_precision_network_is_exported_in_float32(format, tmp_path):
    from simsiam_tf import backbones, export

    keras.config.set_dtype_policy("mixed_bfloat16")
    backbone = backbones.build("resnet18", width=4)
    assert export.export(backbone, tmp_path / "exported", format, 12) < 1e-5


def test_export_notices_a_model_that_differs(run, tmp_path, monkeypatch):
    from simsiam_tf import export

    backbone = keras.models.load_model(run / "backbone.keras")
    wrong = dict(export.FORMATS, keras=lambda model, path: lambda images: 1.001 * np.asarray(model(images)))
    monkeypatch.setattr(export, "FORMATS", wrong)
    with pytest.raises(export.InputError, match=r"differ by 0\.001"):
        export.export(backbone, tmp_path / "m.keras", "keras", 12)
    assert not list(tmp_path.iterdir())


def newest(folder):
    arrays, _ = CheckpointFolder(folder / "checkpoints").newest()
    return arrays


def assert_same_state(folder, other):
    a, b = newest(folder), newest(other)
    assert a.keys() == b.keys()
    for name, array in a.items():
        np.testing.assert_array_equal(array, b[name], err_msg=name)


def wait_for(condition, process, seconds=120):
    limit = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < limit
        time.sleep(0.02)


def test_after_kill_9_the_same_command_ends_in_the_same_weights(run, output):
    process = start(output, name="killed")
    wait_for((output / "killed" / "checkpoints" / "step-0000000010.npz").is_file, process)
    process.kill()
    process.communicate()
    assert not (output / "killed" / "result.json").exists()
    assert cli.main(arguments(output, name="killed")) == 0
    assert_same_state(run, output / "killed")
    assert [row["epoch"] for row in rows(output / "killed")] == ["1", "2", "3", "4"]


def test_sigterm_saves_inside_an_epoch_and_exits_75(run, output):
    process = start(output, name="stopped", training__checkpoint_epochs=100)
    wait_for((output / "stopped" / "metrics.csv").is_file, process)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 75, err
    assert "run the same command again" in err
    assert CheckpointFolder(output / "stopped" / "checkpoints").files()
    assert cli.main(arguments(output, name="stopped", training__checkpoint_epochs=100)) == 0
    assert_same_state(run, output / "stopped")


def test_sigterm_during_evaluate_leaves_the_result_and_exits_75(run):
    before = (run / "result.json").read_bytes()
    command = [sys.executable, "-m", "simsiam_tf", "evaluate", str(run), "--evaluation.linear_epochs", "1000000"]
    process = subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
    lines = iter(process.stderr.readline, "")
    assert any("evaluating" in line for line in lines)
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 75, err
    assert "Traceback" not in err
    assert (run / "result.json").read_bytes() == before


def test_a_run_in_pieces_equals_a_run_in_one(run, output):
    """Ended inside an epoch and gone on with, twice."""
    for steps, epochs in ((3, 1), (13, 3)):
        assert cli.main(arguments(output, name="pieces", training__stop_after_steps=steps)) == 0
        assert json.loads((output / "pieces" / "result.json").read_text())["steps"] == steps
        assert len(rows(output / "pieces")) == epochs
    assert cli.main(arguments(output, name="pieces")) == 0
    assert_same_state(run, output / "pieces")
    assert [row["epoch"] for row in rows(output / "pieces")] == ["1", "2", "3", "4"]


def test_a_collapsed_run_ends_with_code_3(output, capsys):
    collapse = {"optimizer__weight_decay": 5.0, "method__projector_output_norm": False, "method__stop_gradient": False}
    code = cli.main(arguments(output, name="collapsed", optimizer__epochs=30, monitor__collapse_patience=2, **collapse))
    assert code == 3
    assert "the run has collapsed" in capsys.readouterr().err
    assert json.loads((output / "collapsed" / "result.json").read_text())["stopped"] == "collapsed"
    epochs = len(rows(output / "collapsed"))
    assert epochs < 30
    # Killed between its last checkpoint and its result, the run does not forget that it has collapsed.
    (output / "collapsed" / "result.json").unlink()
    code = cli.main(arguments(output, name="collapsed", optimizer__epochs=30, monitor__collapse_patience=2, **collapse))
    assert (code, len(rows(output / "collapsed"))) == (3, epochs)


def test_a_diverged_run_ends_with_code_3(output, capsys):
    code = cli.main(arguments(output, name="diverged", optimizer__learning_rate=1e30))
    assert code == 3

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    result = json.loads((output / "diverged" / "result.json").read_text(), parse_constant=refuse)
    assert result["stopped"] == "diverged"


def test_a_batch_above_the_data_set_is_refused(tmp_path, capsys):
    assert cli.main(arguments(tmp_path, optimizer__batch_size=161)) == 2
    assert "optimizer.batch_size: 161 is above the 160 training images" in capsys.readouterr().err


def test_an_output_that_cannot_be_written_is_refused(tmp_path, capsys):
    (tmp_path / "file").touch()
    assert cli.main(arguments(tmp_path / "file" / "runs")) == 2
    assert "output: cannot write" in capsys.readouterr().err


def test_a_read_only_output_is_refused(tmp_path, capsys):
    tmp_path.chmod(0o500)
    # Modes do not bind root, but nobody makes folders in /sys.
    assert cli.main(arguments("/sys" if os.geteuid() == 0 else tmp_path)) == 2
    assert re.search(r"output: cannot write .*; give another folder with --output", capsys.readouterr().err)


def test_a_full_disk_ends_the_run_and_keeps_the_last_checkpoint(output, capsys):
    folder = output / "full"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "config.yaml").write_text((output / "run" / "config.yaml").read_text())
    (folder / "checkpoints" / "step-0000000010.tmp").symlink_to("/dev/full")
    assert cli.main(arguments(output, name="full")) == 2
    assert "No space left on device; free some space and run the same command again" in capsys.readouterr().err
    assert [path.name for path in CheckpointFolder(folder / "checkpoints").files()] == ["step-0000000005.npz"]
    assert cli.main(arguments(output, name="full")) == 0
    assert_same_state(output / "run", folder)


def test_a_foreign_folder_is_left_alone(tmp_path, capsys):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "letter.txt").write_text("dear")
    assert cli.main(arguments(tmp_path)) == 2
    assert "is no run folder" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["letter.txt"]


def test_a_foreign_checkpoint_is_refused(output, tmp_path, capsys):
    folder = tmp_path / "run"
    assert cli.main(arguments(tmp_path, backbone__width=5, optimizer__epochs=1)) == 0
    (folder / "result.json").unlink()
    config = (folder / "config.yaml").read_text().replace("width: 5", "width: 4")
    (folder / "config.yaml").write_text(config)
    assert cli.main(arguments(tmp_path, optimizer__epochs=1)) == 2
    assert "use another run name" in capsys.readouterr().err


def test_a_corrupt_backbone_is_refused(output, tmp_path, capsys):
    (tmp_path / "config.yaml").write_text((output / "run" / "config.yaml").read_text())
    (tmp_path / "backbone.keras").write_bytes(b"nonsense")
    assert cli.main(["export", str(tmp_path), "--format", "onnx"]) == 2
    assert "backbone.keras cannot be loaded" in capsys.readouterr().err
    (tmp_path / "backbone.keras").unlink()
    assert cli.main(["export", str(tmp_path), "--format", "onnx"]) == 2
    assert "has no backbone.keras yet" in capsys.readouterr().err


def test_a_folder_that_vanishes_while_training_is_one_line(tmp_path, capsys, monkeypatch):
    from PIL import Image

    from simsiam_tf.data.files import FileImages

    (tmp_path / "pictures").mkdir()
    for index in range(40):
        Image.new("RGB", (16, 20), (index, 0, 0)).save(tmp_path / "pictures" / f"{index}.png")
    open_file, opened = FileImages.open, []

    def gone(self, image_id):
        opened.append(image_id)
        return open_file(self, image_id if len(opened) < 60 else "gone.png")

    monkeypatch.setattr(FileImages, "open", gone)
    changes = {"data__source": "folder", "data__path": tmp_path / "pictures", "data__validation_fraction": 0.0}
    assert cli.main(arguments(tmp_path, data__memory_limit_gb=0.0, **changes)) == 2
    err = capsys.readouterr().err
    assert "check that the folder is still there" in err.splitlines()[-1]
    assert "Traceback" not in err


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
    assert cli.main(["evaluate", str(tmp_path / "run")]) == 2
    assert "no labelled test images to evaluate on" in capsys.readouterr().err
