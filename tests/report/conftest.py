import copy
import json

import pytest

from simsiam_tf.cli.sweep import parser
from simsiam_tf.experiments.results import Results, file_name
from simsiam_tf.experiments.study import Study
from simsiam_tf.report import compared, records
from simsiam_tf.report.records import Record
from simsiam_tf.settings import files

STUDY = """
title: What a study asks
base: digits
seeds: [0, 1, 2]
columns: [knn_accuracy, linear_accuracy, knn_accuracy@0.1, linear_accuracy@0.1, correlation_strength, relative_std]
rows:
  - {name: a row of a rather long name, paper: {knn_accuracy: 89.5, linear_accuracy: 91.1}}
  - {name: as good, set: {optimizer.learning_rate: 0.5}}
  - {name: no stop-gradient, set: {method.stop_gradient: false}}
"""
ACCURACIES = {"a row of a rather long name": (0.80, 0.82, 0.81), "as good": (0.80, 0.81, 0.80)}

RESULT = {
    "configuration": {"seed": 0, "method.name": "simsiam", "optimizer.learning_rate": 0.1, "monitor.knn_epochs": 1},
    "outcome": "healthy",
    "figures": {
        "knn_accuracy": 0.5,
        "loss": -0.7,
        "verdict": "healthy: spread 0.98 of 1/sqrt(d)",
        "quality": {
            "sentence": "kNN 50.0 % of 300 test images",
            "against": {"raw": {"low": 0.1, "high": 0.2}, "untrained": {"low": 0.1, "high": 0.2}},
        },
        "by_fraction": {
            "encoder": [{"fraction": 1.0, "knn_accuracy": 0.5}, {"fraction": 0.1, "knn_accuracy": 0.3}],
            "raw": [{"fraction": 1.0, "knn_accuracy": 0.2}],
        },
    },
    "epochs": [{"epoch": 1.0, "step": 10.0, "loss": -0.5}, {"epoch": 2.0, "step": 20.0, "loss": -0.7}],
    "looks": [{"step": 5.0, "effective_rank": 20.0}, {"step": 20.0, "effective_rank": 40.0}],
    "made": {},
}


@pytest.fixture
def record():
    """Makes a record; an argument such as optimizer__learning_rate is a setting, another one a figure."""

    def make(name="run", outcome="healthy", loss=None, row=None, **changes):
        result = copy.deepcopy(RESULT) | {"outcome": outcome}
        for key, value in changes.items():
            if "__" in key or key == "seed":
                result["configuration"][key.replace("__", ".")] = value
            else:
                result["figures"][key] = value
        if loss:
            result["epochs"] = [{"epoch": i + 1.0, "step": 10.0 * (i + 1), "loss": each} for i, each in enumerate(loss)]
        return Record(name, result, row=row)

    return make


@pytest.fixture(scope="session")
def study(tmp_path_factory):
    """(its table, its runs) of a study whose results are written down here."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "mine.yaml").write_text(STUDY)
    read = Study.read(folder / "mine.yaml")
    cells, results = read.cells(parser, [])[1], Results(folder)
    for cell in cells:
        accuracy = ACCURACIES.get(cell.row, (0.50, 0.52, 0.51))[cell.seed]
        result = copy.deepcopy(RESULT) | {"configuration": files.flat(cell.config)}
        for key in ("name", "output"):
            del result["configuration"][key]
        lines = [{"fraction": 0.1, "knn_accuracy": accuracy - 0.1, "linear_accuracy": accuracy - 0.05}]
        result["figures"] |= {"knn_accuracy": accuracy, "linear_accuracy": accuracy + 0.02, "feature_std": 0.0441}
        result["figures"] |= {"correlation_strength": 0.25, "by_fraction": {"encoder": lines}}
        (folder / file_name(cell.config)).write_text(json.dumps(result))
    return compared.of_study(read, cells, results), records.of_study(read, cells, results)
