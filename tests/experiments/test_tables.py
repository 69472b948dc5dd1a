"""A study's tables from results that are written down here."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from simsiam_tf.cli.sweep import _show, parser
from simsiam_tf.experiments import tables
from simsiam_tf.experiments.results import Results, file_name
from simsiam_tf.experiments.study import Study
from simsiam_tf.settings import files

KNN = {"good": [0.80, 0.82, 0.81], "as good": [0.80, 0.81, 0.80], "bad": [0.50, 0.52, 0.51]}


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text("""
base: digits
seeds: [0, 1, 2]
columns: [knn_accuracy, knn_accuracy@0.1, correlation_strength]
rows:
  - {name: good, paper: {knn_accuracy: 89.5}}
  - {name: as good, set: {optimizer.learning_rate: 0.5}}
  - {name: bad, set: {method.stop_gradient: false}}
""")
    study = Study.read(path)
    cells, results = study.cells(parser, [])[1], Results(tmp_path)
    for cell in cells:
        accuracy = KNN[cell.row][cell.seed]
        rows = {
            "encoder": [{"fraction": 0.1, "knn_accuracy": accuracy - 0.1}],
            "raw": [{"fraction": 1.0, "knn_accuracy": 0.81}],
        }
        figures = {"knn_accuracy": accuracy, "by_fraction": rows, "correlation_strength": 0.25}
        result = {"configuration": files.flat(cell.config), "outcome": "finished", "figures": figures}
        result["configuration"] = {k: v for k, v in result["configuration"].items() if k not in ("name", "output")}
        (tmp_path / file_name(cell.config)).write_text(json.dumps(result))
    return study, cells, results


def test_both_tables(study):
    """p and intervals are scipy's of the values themselves, of three comparisons together; raw pixels do not vary."""
    good, *others = (np.array(values) for values in KNN.values())
    found = [stats.ttest_ind(other, good, equal_var=False) for other in others]
    found.append(stats.ttest_1samp(good, 0.81))
    expected = []
    for test in found:
        low, high = 100 * np.array(test.confidence_interval(1 - 0.05 / 3))
        expected.append(f"{low:+.1f} to {high:+.1f} | {min(1, 3 * test.pvalue):.2g}")
    low, high = 81 - 100 * np.array(found[2].confidence_interval(1 - 0.05 / 3))[::-1]
    expected[2] = f"{low:+.1f} to {high:+.1f} | 1"
    table, differences = tables.markdown(*study).split("\n\n")
    assert (
        table
        == """\
|  | kNN | kNN 10 % | correlation | paper: kNN | runs |
| --- | ---: | ---: | ---: | ---: | ---: |
| good | **81.0 ± 1.0** | **71.0 ± 1.0** | 0.25 ± 0.00 | 89.5 | 3 finished |
| as good | **80.3 ± 0.6** | **70.3 ± 0.6** | 0.25 ± 0.00 |  | 3 finished |
| bad | 51.0 ± 1.0 | 41.0 ± 1.0 | 0.25 ± 0.00 |  | 3 finished |
| raw pixels | **81.0 ± 0.0** | - | - |  |  |"""
    )
    assert differences.splitlines()[2:] == [
        f"| as good | kNN | -0.7 | {expected[0]} | undecided |",
        f"| bad | kNN | -30.0 | {expected[1]} | lower |",
        f"| raw pixels | kNN | +0.0 | {expected[2]} | undecided |",
    ]


@pytest.mark.parametrize(
    ("column", "heading"),
    [
        ("linear_accuracy@0.1", "linear 10 %"),
        ("raw/any_other_accuracy", "any_other (raw)"),
        ("supervised/supervised_accuracy@0.01", "supervised 1 %"),
        ("label_free.encoder.rankme", "RankMe"),
        ("label_free.encoder.lidar", "lidar"),
    ],
)
def test_headings(column, heading):
    assert tables.title(column) == heading


def test_every_compared_column_counts(study):
    read, cells, results = study
    both = ("knn_accuracy", "knn_accuracy@0.1")
    header, body = tables.differences(both, tables.lines(read, cells, results))
    assert [row[:2] for row in body][:2] == [["as good", "kNN"], ["as good", "kNN 10 %"]]
    assert header[4] == "p x 5"  # raw pixels have one of the two


def test_the_untrained_encoder_has_its_own_figures(study):
    read, cells, _ = study
    run = {
        "outcome": "healthy",
        "configuration": {},
        "figures": {
            "correlation_strength": 0.5,
            "by_fraction": {
                "encoder": [{"fraction": 1.0, "knn_accuracy": 0.8}],
                "untrained": [{"fraction": 1.0, "knn_accuracy": 0.3}],
            },
            "label_free": {"encoder": {"spectrum_auc": 0.7}, "untrained": {"spectrum_auc": 0.9}},
        },
    }
    results = SimpleNamespace(find=lambda config: run)
    columns = ("knn_accuracy", "correlation_strength", "label_free.encoder.spectrum_auc")
    *_, last = tables.lines(dataclasses.replace(read, columns=columns), cells, results)
    assert last.name == "untrained encoder"
    assert [each and each.mean for each in last.samples.values()] == [0.3, None, 0.9]


def test_single_runs_are_neither_judged_nor_set_in_bold(study):
    read, cells, results = study
    text = tables.markdown(read, cells[:3], results)  # of one seed
    assert "| good | 80.0 | 70.0 | 0.25 |" in text
    assert "**" not in text
    assert "interval" not in text


def test_missing_runs_are_counted(study, tmp_path):
    _, cells, _ = study
    for cell in cells[:1] + cells[2::3]:  # of "good" one, of "bad" all
        (tmp_path / file_name(cell.config)).unlink()
    table, differences = tables.markdown(*study).split("\n\n")
    assert "| good | **81.5 ± 0.7** |" in table
    assert "| 1 missing, 2 finished |" in table
    assert "| bad | - | - | - |  | not measured |" in table
    assert "bad" not in differences


def test_a_row_with_one_run_is_not_set_in_bold(study, tmp_path):
    _, cells, _ = study
    for cell in cells[5::3]:  # of "bad" two of three
        (tmp_path / file_name(cell.config)).unlink()
    table, _ = tables.markdown(*study).split("\n\n")
    assert "| bad | 50.0 |" in table
    assert "| good | **81.0 ± 1.0** |" in table


def test_a_sweep_says_what_it_has_used(study, tmp_path, capsys):
    for cell, more in zip(study[1][:2], ({"carbon_kg": 0.54}, {"gpu_energy_kwh": 0.5}), strict=True):
        path = tmp_path / file_name(cell.config)
        result = json.loads(path.read_text())
        path.write_text(json.dumps(result | {"figures": result["figures"] | {"energy_kwh": 1.5} | more}))
    _show(*study, tmp_path)
    said = "energy: 3 kWh in the training of 2 of 9 runs, 0.5 of it measured on the GPU, the rest an estimate, "
    assert said + "0.54 kg of CO2 of 1 of them, as a car's 5 km\n" in capsys.readouterr().out
