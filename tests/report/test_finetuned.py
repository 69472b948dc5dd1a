"""A finetuned run in a report: its own classifier, and its labels."""

import json

import numpy as np
import pytest

from command_line import run
from simsiam_tf.report import plots, registry
from simsiam_tf.report.pictures import details
from simsiam_tf.report.records import of_folders
from simsiam_tf.runs.build import load_data
from simsiam_tf.runs.folder import RunFolder
from simsiam_tf.settings import files


@pytest.fixture(scope="module")
def finetuned(trained, tmp_path_factory):
    output = tmp_path_factory.mktemp("finetuned")
    assert run("finetune", trained, f"--output={output}", "--fraction=0.5", "--optimizer.epochs=1") == 0
    return output / "run-finetuned-0.5"


def test_confusion_is_that_of_its_classifier(finetuned, monkeypatch):
    drawn = {}
    monkeypatch.setattr(plots, "confusion", lambda counts, names, by: drawn.update(counts=counts, by=by) or "")
    details(finetuned)
    test = load_data(files.read(finetuned / "config.yaml")).test
    pixels = np.concatenate(list(test.batches(64, crop=12)))
    predicted = RunFolder(finetuned).load_classifier().predict(pixels, verbose=0).argmax(axis=1)
    expected = np.zeros((10, 10), int)
    np.add.at(expected, (test.labels, predicted), 1)
    np.testing.assert_array_equal(drawn["counts"], expected)
    assert drawn["by"] == "the classifier"
    right = json.loads((finetuned / "result.json").read_text())["classifier"]["test_accuracy"]
    assert np.trace(expected) / expected.sum() == pytest.approx(right)


def test_its_line_has_its_labels_and_claims_no_health(finetuned):
    records = of_folders(finetuned)
    header, (row,) = registry.table(records)
    line = dict(zip(header, row, strict=True))
    assert line["labels"] == "82"  # half of each class, rounded
    assert line["outcome"] == "not watched"
