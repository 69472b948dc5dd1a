import copy

import pytest

from simsiam_tf.report.records import Record

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
