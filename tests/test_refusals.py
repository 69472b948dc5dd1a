"""What a run refuses: one line, exit code 2, and nothing harmed."""

import fcntl
import os
import re
import shutil

import tensorflow as tf
import yaml

from simsiam_tf.cli import main as cli
from simsiam_tf.runs import train
from simsiam_tf.runs.checkpoint import load, save
from small_run import arguments


def test_another_setting_in_the_same_folder_is_refused(run, output, capsys):
    assert cli.main(arguments(output, optimizer__learning_rate=0.5)) == 2
    assert "optimizer.learning_rate: 0.8 (now 0.5)" in capsys.readouterr().err


def test_a_mistake_does_not_take_the_name(tmp_path, capsys):
    """After a first attempt with wrong settings the corrected command is not refused."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "partial-config.yaml").touch()  # as a kill inside the first write leaves it
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


def test_a_foreign_folder_is_left_alone(tmp_path, capsys):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "letter.txt").write_text("dear")
    assert cli.main(arguments(tmp_path)) == 2
    assert "is no run folder" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["letter.txt"]


def test_a_foreign_checkpoint_is_refused(tmp_path, capsys):
    folder = tmp_path / "run"
    assert cli.main(arguments(tmp_path, backbone__width=5, optimizer__epochs=1)) == 0
    (folder / "result.json").unlink()
    config = (folder / "config.yaml").read_text().replace("width: 5", "width: 4")
    (folder / "config.yaml").write_text(config)
    assert cli.main(arguments(tmp_path, optimizer__epochs=1)) == 2
    err = capsys.readouterr().err
    assert re.search(
        r"simsiam-tf: checkpoint: backbone/\S+ has shape \S.* there, .* here; give another --name$", err, re.M
    )


def test_a_checkpoint_of_an_earlier_version_is_one_line(trained, tmp_path, capsys):
    folder = shutil.copytree(trained, tmp_path / "run")
    (folder / "result.json").unlink()
    for path in folder.glob("checkpoints/*.npz"):
        arrays, meta = load(path)
        save(path, {f"model/{i:05d}": array for i, array in enumerate(arrays.values())}, meta)
    before = {path.name: path.read_bytes() for path in folder.glob("checkpoints/*")}
    assert cli.main(arguments(tmp_path)) == 2
    err = capsys.readouterr().err
    assert re.search(
        r"simsiam-tf: checkpoint: an earlier version wrote it, or it is of another model \(differs at \S+\); give "
        r"another --name, or finish the run with the version that began it\n$",
        err,
    )
    assert "Traceback" not in err
    assert {path.name: path.read_bytes() for path in folder.glob("checkpoints/*")} == before


def test_a_finished_run_of_an_earlier_version_is_that_run(trained, tmp_path, capsys):
    folder = shutil.copytree(trained, tmp_path / "run")
    content = yaml.safe_load((folder / "config.yaml").read_text())
    method, optimizer = content["method"], content["optimizer"]
    method["ema_momentum"] = method.pop("weight_average")
    method["projector_output_norm"] = method.pop("head_norm") == "default"
    for name in ("predictor_ratio", "predictor_schedule"):
        optimizer[name] = method.pop(name)
    del method["projector_output_affine"], optimizer["name"], content["augmentation"]["views"]
    (folder / "config.yaml").write_text(yaml.safe_dump(content))
    assert cli.main(arguments(tmp_path, method__predictor_ratio=0.5)) == 2
    assert "another setting, method.predictor_ratio: 1.0 (now 0.5); give another --name" in capsys.readouterr().err
    assert cli.main(arguments(tmp_path)) == 0
    assert "is complete; give another --name to train anew" in capsys.readouterr().err


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


NEEDS_MORE = r"optimizer.batch_size: 32 images of \d+ px and this network need more memory than there is"


def test_pictures_beyond_any_memory_are_one_line(tmp_path, capsys):
    assert cli.main(arguments(tmp_path, data__image_size=200_000)) == 2  # 196 TiB, more than a process can address
    err = capsys.readouterr().err
    assert re.search(NEEDS_MORE, err.splitlines()[-1])
    assert "Traceback" not in err


def test_a_device_without_memory_is_one_line(tmp_path, capsys, monkeypatch):
    def full(*_):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor with shape[32,64]")

    monkeypatch.setattr(train, "fit", full)
    assert cli.main(arguments(tmp_path)) == 2
    assert re.search(NEEDS_MORE, capsys.readouterr().err.splitlines()[-1])
