"""What a report is about: runs and studies in one form, seeds together, settings that differ."""

import json
import shutil

import pytest

from simsiam_tf.cli.sweep import parser
from simsiam_tf.errors import InputError
from simsiam_tf.experiments.results import Results
from simsiam_tf.experiments.study import Study
from simsiam_tf.report.grouping import differences, groups
from simsiam_tf.report.records import of_folders, of_study
from simsiam_tf.settings import files


def test_a_run_and_all_runs_below_a_folder(trained, tmp_path):
    (only,) = of_folders(trained)
    figures = json.loads((trained / "result.json").read_text())
    assert only.name == "run"
    assert only.figures["knn_accuracy"] == pytest.approx(figures["knn_accuracy"])
    assert len(only.result["epochs"]) == 4
    for name in ("a", "study/b", "study/deep/c", "study/deep/too/d"):
        shutil.copytree(trained, tmp_path / name, ignore=shutil.ignore_patterns("checkpoints", "tensorboard"))
    assert [record.folder.name for record in of_folders(tmp_path)] == ["a", "b", "c"]
    shutil.rmtree(tmp_path / "a" / "export", ignore_errors=True)
    (tmp_path / "a" / "result.json").unlink()
    unfinished = of_folders(tmp_path)[0]
    assert unfinished.result["outcome"] == "4 of 4 epochs"
    assert unfinished.figures == {}
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match=r"^RUN_OR_STUDY: .*none holds no run; give a run folder, a folder of runs"):
        of_folders(tmp_path / "none")


def test_a_study_has_the_results_that_are_there(trained, tmp_path):
    config = files.read(trained / "config.yaml")
    settings = {"base": str(trained / "config.yaml"), "seeds": [0, 1], "rows": [{"name": "all of it"}]}
    (tmp_path / "mine.yaml").write_text(json.dumps(settings))
    study = Study.read(tmp_path / "mine.yaml")
    cells = study.cells(parser, [])[1]
    assert of_study(study, cells, Results(tmp_path / "results")) == []
    Results(tmp_path / "results").keep(config, trained)
    (found,) = of_study(study, cells, Results(tmp_path / "results"))
    assert (found.name, found.row, found.seed) == ("all of it", "mine/all of it", config.seed)
    assert found.folder is None


def test_seeds_of_a_configuration_are_one_group(record):
    records = [
        record("a", seed=0),
        record("b", seed=1, monitor__knn_epochs=5),
        record("c", optimizer__learning_rate=0.2),
        record("d", row="study/d", seed=2),
        record("d", row="study/d", seed=3, optimizer__learning_rate=0.3),  # an older result has other keys
    ]
    records += [record("e", seed=0), record("a", optimizer__learning_rate=0.5)]  # a second run of a seed; a name again
    found = groups(records)
    assert [(group.name, [each.name for each in group.records]) for group in found] == [
        ("a (2 seeds)", ["a", "b"]),
        ("c", ["c"]),
        ("d", ["d", "d"]),
        ("e", ["e"]),
        ("a", ["a"]),
    ]


def test_what_cannot_be_read_is_said_to_be_so(trained, tmp_path):
    for name in "abcd":
        shutil.copytree(trained, tmp_path / name, ignore=shutil.ignore_patterns("checkpoints", "tensorboard"))
    (tmp_path / "a" / "config.yaml").write_text("nonsense: {")
    (tmp_path / "b" / "result.json").write_text("{")
    (tmp_path / "b" / "metrics.csv").write_text("epoch,loss\nx,1\n")
    for name in ("environment.json", "metrics.csv", "collapse.csv"):  # as of a run that was imported and evaluated
        (tmp_path / "c" / name).unlink()
    figures = json.loads((tmp_path / "c" / "result.json").read_text())
    evaluated = {key: figures[key] for key in figures if key not in ("outcome", "verdict", "steps", "total_steps")}
    (tmp_path / "c" / "result.json").write_text(json.dumps(evaluated))
    assert [record.result["outcome"] for record in of_folders(tmp_path)] == [
        *["unreadable"] * 2,
        "not watched",
        "healthy",
    ]


def test_weights_from_elsewhere_make_no_seed(trained, tmp_path):
    for name in "ab":
        shutil.copytree(trained, tmp_path / name, ignore=shutil.ignore_patterns("checkpoints", "tensorboard"))
    (tmp_path / "b" / "imported.pth.tar").touch()
    assert [len(group.records) for group in groups(of_folders(tmp_path))] == [1, 1]


def test_settings_that_differ(record):
    made = [record("a", method__new=1), record("b", optimizer__learning_rate=0.2), record("c", backbone__width=8)]
    assert differences(groups(made)) == [("optimizer.learning_rate", ["0.1", "0.2", "0.1"])]
    assert differences(groups([record("a", seed=1), record("b", row="x/b", monitor__knn_epochs=9)])) == []
