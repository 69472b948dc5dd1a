"""What a study's file says, and how a result is named."""

import dataclasses
import json

import pytest

from simsiam_tf.cli.sweep import parser
from simsiam_tf.errors import InputError
from simsiam_tf.evaluation.verdict import judge
from simsiam_tf.experiments.results import Results, figure, file_name, identity, outcome, shown_outcome
from simsiam_tf.experiments.study import Study
from simsiam_tf.settings import yaml_files
from simsiam_tf.settings.data import PLACES
from simsiam_tf.settings.methods.byol import BYOLSettings
from simsiam_tf.settings.schema import Config, DataSettings

SHIPPED = sorted((yaml_files.shipped_folder() / "studies").glob("*.yaml"))


def read(tmp_path, text, *arguments):
    path = tmp_path / "study.yaml"
    path.write_text(text)
    study = Study.read(path)
    return study, study.cells(parser, list(arguments))[1]


def test_rows_times_grid_times_seeds(tmp_path):
    study, cells = read(
        tmp_path,
        """
        base: digits
        seeds: [3, 5]
        set: {optimizer.epochs: 7}
        rows: [{name: a}, {name: b, set: {method.predictor: none}, paper: {knn_accuracy: 13.27}}]
        grid: {optimizer.learning_rate: [0.1, 0.2]}
        """,
    )
    names = ["a, learning_rate 0.1", "a, learning_rate 0.2", "b, learning_rate 0.1", "b, learning_rate 0.2"]
    assert [row.name for row in study.rows] == names
    assert [cell.row for cell in cells] == 2 * names
    assert [cell.seed for cell in cells] == 4 * [3] + 4 * [5]
    last = cells[-1].config
    assert (last.seed, last.optimizer.epochs, last.optimizer.learning_rate, last.method.predictor) == (
        5,
        7,
        0.2,
        "none",
    )
    assert study.rows[3].paper == {"knn_accuracy": "13.27"}
    assert len({cell.config.folder for cell in cells}) == 8
    assert {cell.config.output for cell in cells} == {"runs/study"}


def test_a_row_of_another_method(tmp_path):
    cells = read(tmp_path, "{base: small, rows: [{name: BYOL, set: {method.name: byol, method.momentum: 0.9}}]}")[1]
    assert cells[0].config.method == BYOLSettings(momentum=0.9)


def test_arguments_win_over_the_base_but_not_over_the_study(tmp_path):
    text = "{base: digits, set: {optimizer.epochs: 7}, rows: [{name: a}]}"
    grid = "{base: digits, grid: {optimizer.epochs: [7]}}"
    assert read(tmp_path, text, "--optimizer.batch_size", "32")[1][0].config.optimizer.batch_size == 32  # 64 in digits
    for argument in (["--optimizer.epochs=1"], ["--optimizer.epochs", "1"]):
        for study in (text, grid):
            with pytest.raises(InputError, match=r"^optimizer.epochs: it is what the study sets; give another study"):
                read(tmp_path, study, *argument)
    with pytest.raises(InputError, match=r"^seed: it is the study's to set; give seeds in its file"):
        read(tmp_path, text, "--seed=7")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{base: digits, rowz: []}", r"study.yaml.rowz: unknown; give one of title"),
        ("{base: digits, rows: [{nam: a}]}", r"rows.nam: unknown; give one of name, set, paper"),
        ("{base: digits, seeds: 3, rows: [{name: a}]}", r"study.yaml.seeds: 3 is no value of it; give a list"),
        ("{rows: [{name: a}]}", r"study.yaml: .* is no study; give base, and rows or a grid"),
        ("{base: digits}", r"study.yaml: .* is no study; give base"),
        ("{base: digits, rows: []}", r"study.yaml: .* is no study; give base, and rows or a grid"),
        (
            "{base: digits, rows: [{name: a}, {name: a}]}",
            r"study.yaml.rows: .* are no names of rows; give each row its",
        ),
        ("{base: digits, rows: [{name: raw pixels}]}", r"study.yaml.rows: .* are no names of rows; give each row its"),
        ("{base: digits, rows: [{name: a}, {}]}", r"study.yaml.rows: .* are no names of rows; give each row its own"),
        ("{base: digits, seeds: [], rows: [{name: a}]}", r"study.yaml.seeds: \[\] are no seeds; give different whole"),
        (
            "{base: digits, seeds: [0, 0], rows: [{name: a}]}",
            r"study.yaml.seeds: \[0, 0\] are no seeds; give different",
        ),
        (
            "{base: digits, columns: [loss], rows: [{name: a, paper: {los: 1}}]}",
            r"study.yaml.rows.a.paper: los is no column; give one of loss$",
        ),
        (
            "{base: digits, rows: [{name: a}], compared: [nn_accuracy]}",
            r"study.yaml.compared: nn_accuracy is no column; give one of knn_accuracy, ",
        ),
        ("{base: digits, grid: {seed: [3, 4]}}", r"study.yaml.seed: it is the sweep's to set; leave it out"),
        ("{base: digits, grid: {method.predictor: mlp}}", r"grid.method.predictor: mlp is no value of it; give a list"),
        ("{base: digitz, rows: [{name: a}]}", r"--config: no file 'digitz'; give"),
        ("{base: digits, grid: {optimizer.learning_rat: [1]}}", r"--optimizer.learning_rat=1: unknown; give an option"),
        (
            "{base: digits, grid: {optimizer.learning_rate: [-1]}}",
            r"optimizer.learning_rate: -1.0 is no value of it; give a number above 0",
        ),
        (
            "{base: digits, grid: {method.predictor: [mpl]}}",
            r"method.predictor: mpl is no value of it; give mlp or none",
        ),
    ],
)
def test_mistakes_in_one_line(tmp_path, text, message):
    with pytest.raises(InputError, match=f"^{message}"):
        read(tmp_path, text)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_studies_can_be_run(path):
    study = Study.read(path)
    cells = study.cells(parser, [])[1]
    assert len({file_name(cell.config) for cell in cells}) == len(study.rows) * len(study.seeds)


def test_a_name_is_of_what_decides_the_figures():
    config = Config(seed=1)
    assert identity(config) == {"seed": 1}
    same = dataclasses.replace(config, name="other", output="elsewhere", data=DataSettings(path="/data"))
    assert file_name(same) == file_name(config)
    others = [
        dataclasses.replace(config, seed=2),
        dataclasses.replace(config, data=DataSettings(limit=5)),
        dataclasses.replace(config, method=BYOLSettings()),
    ]
    others += [
        dataclasses.replace(config, data=DataSettings(source=source, path=f"/data/{name}"))
        for source, place in PLACES.items()
        if place
        for name in ("cats", "dogs")
    ]
    assert len({file_name(each) for each in [config, *others]}) == 1 + len(others)


@pytest.fixture
def kept(tmp_path):
    """A results folder with one result, its configuration and that file."""
    run = tmp_path / "run"
    run.mkdir()
    by_fraction = {"encoder": [{"fraction": 1.0, "knn_accuracy": 0.5}, {"fraction": 0.1, "knn_accuracy": 0.4}]}
    by_fraction["untrained"] = [{"fraction": 1.0, "knn_accuracy": 0.2}]
    figures = {
        "steps": 9,
        "total_steps": 9,
        "knn_accuracy": 0.5,
        "by_fraction": by_fraction,
        "feature_std": 1 / 64,
        "verdict": "healthy: spread 0.71 of 1/sqrt(d)",
        "evaluation": {"subsets": 1},
    }
    (run / "result.json").write_text(json.dumps(figures | {"label_free": {"encoder": {"rankme": 12.34567891}}}))
    (run / "environment.json").write_text(json.dumps({"packages": {"keras": "3"}, "precision": "float32"}))
    (run / "metrics.csv").write_text("epoch,loss,epoch_seconds\n1,-0.123456789,5\n2,,6\n")
    (run / "collapse.csv").write_text("step,relative_std\n1,0.98765432\n")
    results, config = Results(tmp_path / "results"), Config()
    results.keep(config, run)
    return results, config, next((tmp_path / "results").iterdir())


def test_a_result_holds_figures_and_epochs(kept):
    result = kept[0].find(kept[1])
    assert result["epochs"] == [{"epoch": 1.0, "loss": -0.123457}, {"epoch": 2.0}]
    assert result["looks"] == [{"step": 1.0, "relative_std": 0.987654}]
    assert result["outcome"] == "healthy"
    assert "data.path" not in result["configuration"]
    figures = {
        "knn_accuracy": 0.5,
        "knn_accuracy@0.1": 0.4,
        "untrained/knn_accuracy": 0.2,
        "label_free.encoder.rankme": 12.3457,
        "relative_std": 2048**0.5 / 64,
    }
    assert {key: figure(result, key) for key in figures} == pytest.approx(figures, rel=1e-5)
    assert [figure(result, key) for key in ("linear_accuracy", "knn_accuracy@0.01", "a.b")] == [None] * 3


def test_a_result_of_another_default_is_none(kept):
    results, config, path = kept
    content = json.loads(path.read_text())
    content["configuration"]["optimizer.momentum"] = 0.8  # the default then, not named, hence in no name
    path.write_text(json.dumps(content))
    assert results.find(config) is None
    del content["configuration"]["optimizer.momentum"]  # a setting that was not there then, with its neutral default
    path.write_text(json.dumps(content))
    assert results.find(config) is not None
    path.write_text("{")
    with pytest.raises(InputError, match=r"results: .* is damaged .*; delete it"):
        results.find(config)


@pytest.mark.parametrize(
    ("figures", "message"),
    [({"steps": 5, "total_steps": 9}, "is at step 5 of 9; finish it"), ([1], "has no readable figures")],
)
def test_what_is_not_whole_is_no_result(tmp_path, figures, message):
    (tmp_path / "result.json").write_text(json.dumps(figures))
    (tmp_path / "environment.json").write_text(json.dumps({"packages": {}}))
    with pytest.raises(InputError, match=message):
        Results(tmp_path / "results").keep(Config(), tmp_path)
    assert not (tmp_path / "results").exists()


def test_a_diverged_run_is_a_result_without_figures(tmp_path):
    (tmp_path / "result.json").write_text(json.dumps({"stopped": "diverged", "steps": 5}))
    (tmp_path / "environment.json").write_text(json.dumps({"packages": {}}))
    result = Results(tmp_path / "results").keep(Config(), tmp_path)
    assert (result["outcome"], figure(result, "knn_accuracy"), result["epochs"]) == ("diverged", None, [])


def test_a_setting_that_decides_no_figures_may_have_another_default(kept):
    results, config, path = kept
    kept_one = json.loads(path.read_text())
    path.write_text(
        json.dumps(kept_one | {"configuration": kept_one["configuration"] | {"monitor.collapse_epochs": 5}})
    )
    assert results.find(config) is not None


def test_outcomes():
    assert outcome({"knn_accuracy": 0.5}) == "not watched"  # without a monitor
    assert outcome({"verdict": "at risk: correlation 0.85"}) == "healthy"  # of an earlier version
    assert outcome({"outcome": "not converging", "steps": 5}) == "not converging"
    assert outcome({"stopped": "diverged"}) == "diverged"


def test_tables_tell_what_is_healthy_from_what_may_not_be():
    look = {"relative_std": 1, "correlation_strength": 0, "effective_rank": 4, "rows": 8, "channels": 4}
    early = judge([look | {"step": 10}])
    for said in (early.sentence, "at risk: correlation 0.85", "healthy: spread 0.98 of 1/sqrt(d)"):
        result = {"outcome": "healthy", "figures": {"verdict": said}}
        assert shown_outcome(result) == said.partition(",")[0].partition(":")[0]
    assert shown_outcome({"outcome": "oscillating", "figures": {"verdict": "at risk"}}) == "oscillating"


def test_rows_of_further_studies_follow_each_once(tmp_path):
    (tmp_path / "other_small.yaml").write_text(
        "base: digits\nrows: [{name: same, set: {method.predictor_hidden: 32}}, "
        "{name: none, set: {method.predictor: none}, paper: {knn_accuracy: 1, loss: 2}}]\n"
        "columns: [knn_accuracy, loss]\n"
    )
    (tmp_path / "all.yaml").write_text(
        "base: digits\nrows: [{name: narrow, set: {method.predictor_hidden: 32, evaluation.baselines: [raw]}}]\n"
        "studies: [other_small.yaml]\ncolumns: [knn_accuracy]\n"
    )
    rows = Study.read(tmp_path / "all.yaml").rows
    assert [row.name for row in rows] == ["narrow", "other: none"]
    assert rows[1].overrides == {"method.predictor": "none"}
    assert rows[1].paper == {"knn_accuracy": "1"}
    (tmp_path / "all.yaml").write_text("base: small\nrows: [{name: a}]\nstudies: [other_small.yaml]\n")
    with pytest.raises(InputError, match="studies: other_small begins with digits, not with small"):
        Study.read(tmp_path / "all.yaml")
