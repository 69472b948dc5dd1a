"""A study's tables from results that are written down here."""

import json

import numpy as np
import pytest
from scipy import stats

from simsiam_tf.cli.sweep import parser
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
    """p and intervals are scipy's of the values themselves; raw pixels do not vary, hence its test of one sample."""
    good, as_good, bad = (np.array(values) for values in KNN.values())
    welch = [stats.ttest_ind(good, other, equal_var=False, alternative="greater").pvalue for other in (as_good, bad)]
    low, high = 100 * np.array(stats.ttest_ind(as_good, good, equal_var=False).confidence_interval())
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
    assert differences.splitlines() == [
        "| kNN against good | difference | 95 % interval | p x 3 |  |",
        "| --- | ---: | ---: | ---: | ---: |",
        f"| as good | -0.7 | {low:+.1f} to {high:+.1f} | {3 * welch[0]:.2g} | undecided |",
        f"| bad | -30.0 | -32.3 to -27.7 | {3 * welch[1]:.2g} | lower |",
        "| raw pixels | +0.0 | -2.5 to +2.5 | 1 | undecided |",
    ]


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
    assert "| bad | - | - | - |  | 3 missing |" in table
    assert "bad" not in differences
