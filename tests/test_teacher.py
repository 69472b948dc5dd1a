"""A run that distils by the command line: its teacher, from a run, a file or an import, and what is kept of it."""

import hashlib
import json
import shutil

import keras
import numpy as np
import pytest

import small_methods
from command_line import run
from simsiam_tf.experiments.results import Results, file_name
from simsiam_tf.runs.folder import RunFolder
from simsiam_tf.settings import files
from small_run import assert_same_state, newest

STUDENT = ["--config=digits", "--method.name=distillation", "--data.limit=96", "--data.test_limit=40"]
STUDENT += ["--data.image_size=12", "--optimizer.batch_size=32", "--optimizer.epochs=2", "--augmentation.recipe=none"]
STUDENT += ["--evaluation.baselines=[]", "--evaluation.fractions=[1.0]", "--evaluation.linear_epochs=1"]
STUDENT += ["--monitor.tensorboard=false", "--monitor.knn_epochs=0"]


pytestmark = pytest.mark.usefixtures("small_backbones")


def train(output, teacher, *arguments, name="student"):
    return run("train", *STUDENT, f"--output={output}", f"--name={name}", f"--method.teacher={teacher}", *arguments)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """A finished run's folder, as far as it is looked at."""
    folder = tmp_path_factory.mktemp("teachers") / "large"
    folder.mkdir()
    RunFolder(folder).save_backbone(small_methods.backbone(seed=7))
    return folder


@pytest.fixture(scope="module")
def student(teacher, tmp_path_factory):
    output = tmp_path_factory.mktemp("students")
    assert train(output, teacher) == 0
    return output / "student"


def test_nothing_looks_for_a_collapse_that_a_fixed_target_holds_off(student):
    assert not (student / "collapse.csv").exists()
    assert "outcome" not in json.loads((student / "result.json").read_text())


def test_the_run_names_its_teacher_and_keeps_it_as_it_was(student, teacher):
    file = teacher / "backbone.keras"
    assert files.read(student / "config.yaml").method.teacher == str(teacher)
    named = json.loads((student / "environment.json").read_text())["teacher"]
    assert named == {"name": "large", "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    assert (student / "teacher.keras").read_bytes() == file.read_bytes()
    trained, given = newest(student), keras.models.load_model(file)
    for variable in given.variables:
        np.testing.assert_array_equal(trained[f"teacher/{variable.path}"], variable, err_msg=variable.path)


def test_what_is_evaluated_is_the_students_backbone(student):
    kept, state = keras.models.load_model(student / "backbone.keras"), newest(student)
    assert kept.output_shape == (None, 8)
    np.testing.assert_array_equal(kept.get_layer("conv0").kernel, state["backbone/conv0/kernel"])
    assert np.abs(state["backbone/conv0/kernel"] - small_methods.backbone().get_layer("conv0").kernel).max() > 1e-4
    assert 0 <= json.loads((student / "result.json").read_text())["linear_accuracy"] <= 1


def test_a_run_goes_on_bit_for_bit_when_its_teachers_folder_has_gone(student, teacher, tmp_path):
    shutil.copytree(teacher, tmp_path / "lent")
    assert train(tmp_path, tmp_path / "lent", "--training.stop_after_steps=4") == 0
    shutil.rmtree(tmp_path / "lent")
    assert train(tmp_path, tmp_path / "lent") == 0
    assert_same_state(tmp_path / "student", student)


def test_a_run_does_not_go_on_with_another_teacher(student, teacher, tmp_path, capsys):
    shutil.copytree(student, tmp_path / "student")
    RunFolder(tmp_path).save_backbone(small_methods.backbone(seed=8))
    (tmp_path / "student" / "result.json").unlink()
    assert train(tmp_path, tmp_path / "backbone.keras") == 2
    copy = tmp_path / "student" / "teacher.keras"
    assert (
        f"began with another one than {tmp_path}/backbone.keras; give another --name, or {copy}"
        in capsys.readouterr().err
    )
    assert train(tmp_path, copy) == 0


def test_a_file_is_a_teacher_as_its_folder_is(student, teacher, tmp_path):
    assert train(tmp_path, teacher / "backbone.keras") == 0
    assert_same_state(tmp_path / "student", student)


def test_a_run_goes_on_as_another_with_the_same_teacher(student, tmp_path):
    assert run("import-weights", student, f"--output={tmp_path}", "--name=more", "--optimizer.epochs=1") == 0
    assert (tmp_path / "more" / "teacher.keras").read_bytes() == (student / "teacher.keras").read_bytes()
    assert run("train", "--config", tmp_path / "more" / "config.yaml", "--method.teacher=gone") == 0
    before, after = newest(student), newest(tmp_path / "more")
    assert int(after["method/step"]) == 3
    assert 0 < np.abs(after["head/dense1/kernel"] - before["head/dense1/kernel"]).max() < 0.1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "method.teacher: none given; give the folder of a finished run, or a .keras file"),
        ("nowhere", "method.teacher: nowhere is not there; give the folder of a finished run, or a .keras file"),
        ("unfinished", "has no backbone.keras yet; give the folder of a finished run"),
        ("letter.txt", "letter.txt is of another kind; give the folder of a finished run"),
        ("letter.keras", "teacher.keras cannot be loaded"),
        ("maps.keras", "from (None, 8, 8, 3) to (None, 6, 6, 2), not from images to (n, d) vectors; give a trained"),
        (
            "square.keras",
            "it takes images of 8x8, the views are of 12x12; give its size as data.image_size, or another",
        ),
    ],
)
def test_what_cannot_teach_is_refused_in_one_line(tmp_path, monkeypatch, capsys, given, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "unfinished").mkdir()
    for name in ("letter.txt", "letter.keras"):
        (tmp_path / name).write_text("dear")
    maps = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3)])
    maps.save(tmp_path / "maps.keras")
    keras.Sequential([maps, keras.layers.Flatten()]).save(tmp_path / "square.keras")
    code = run("train", *STUDENT) if given is None else train(tmp_path, given)
    err = capsys.readouterr().err.splitlines()
    assert code == 2
    assert message in err[-1]


def test_a_refused_teacher_leaves_the_folder_to_another(student, teacher, tmp_path):
    (tmp_path / "letter.keras").write_text("dear")
    assert train(tmp_path, tmp_path / "letter.keras") == 2
    assert train(tmp_path, teacher, "--training.stop_after_steps=1") == 0
    assert (tmp_path / "student" / "teacher.keras").read_bytes() == (student / "teacher.keras").read_bytes()


def test_a_sweep_misses_its_teacher_before_it_begins(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run("sweep", "--config=distillation_small") == 2
    assert "method.teacher: runs/small_teacher is not there; give" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_result_knows_its_teacher_by_name(student, teacher, tmp_path):
    """As it does data: where it lies decides nothing, and does not stand in the file."""
    config = files.read(student / "config.yaml")
    kept = Results(tmp_path).keep(config, student)
    assert kept["made"]["teacher"]["name"] == "large"
    assert str(teacher.parent) not in (tmp_path / file_name(config)).read_text()
    names = set()
    for path in ("here/large", "there/large", "here/small"):
        lines = ["--config", str(student / "config.yaml"), f"--method.teacher={path}"]
        asked = files.parse(files.OneLineParser(prog="test"), lines)[1]
        names.add(file_name(asked))
        assert (Results(tmp_path).find(asked) is not None) == path.endswith("large")
    assert len(names) == 2
