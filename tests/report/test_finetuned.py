"""A finetuned run in a report: its own classifier, and its labels."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from command_line import run
from simsiam_tf.experiments.results import figure
from simsiam_tf.report import plots, registry
from simsiam_tf.report.bars import of_classifiers
from simsiam_tf.report.finetuned import compared
from simsiam_tf.report.grouping import groups
from simsiam_tf.report.page import html
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


def test_it_stands_beside_the_run_that_it_began_with(finetuned, trained, tmp_path):
    both = groups([*of_folders(trained), *of_folders(finetuned)])
    (drawn,) = of_classifiers(compared(both))
    right = json.loads((finetuned / "result.json").read_text())["classifier"]["test_accuracy"]
    whole, tenth = (100 * figure(both[0].records[0].result, key) for key in ("knn_accuracy", "knn_accuracy@0.1"))
    assert (
        f"Classifiers that began with run: test accuracy by labels: finetuned {100 * right:.1f} % with 50 %; " in drawn
    )
    assert f"kNN {whole:.1f} % with 100 %, {tenth:.1f} % with 10 %; linear probe " in drawn
    assert compared(both[1:]) == []
    assert '<a href="#finetuned">' in html("x", [*both[0].records, *both[1].records], [], [])
    shutil.copytree(finetuned, tmp_path / "unknown")
    (tmp_path / "unknown" / "began_with.json").unlink()
    assert compared(groups([*of_folders(trained), *of_folders(tmp_path / "unknown")])) == []


def test_those_that_began_with_seeds_of_a_group_are_seeds(record, tmp_path):
    def of(name, parent, seed, **changes):
        made = replace(record(name, seed=seed, **changes), folder=tmp_path / name)
        made.folder.mkdir()
        if parent:
            (made.folder / "imported.pth.tar").touch()
            (made.folder / "began_with.json").write_text(json.dumps({"run": f"../{parent}"}))
        return made

    other = {"optimizer__learning_rate": 0.5}
    made = [of("tuned0", "a0", 0), of("tuned1", "a1", 1), of("a0", None, 0), of("a1", None, 1)]
    made += [of("b0", None, 0, **other), of("tuned2", "b0", 2), of("far", "nowhere", 3)]
    assert [[each.name for each in group.records] for group in groups(made)] == [
        ["tuned0", "tuned1"],
        ["a0", "a1"],
        ["b0"],
        ["tuned2"],
        ["far"],
    ]


def test_bars_are_means_over_seeds_of_the_same_images(record, tmp_path):
    made = [record("a", seed=seed, knn_accuracy=0.5) for seed in (0, 1)]
    for seed, (accuracy, labels) in enumerate([(0.5, 0.1), (0.7, 0.1), (0.4, 40)]):
        tuned = {"classifier": {"test_accuracy": accuracy}, "method__labels": labels, "seed": seed}
        made.append(record(f"tuned {seed}", method__name="classifier", **tuned))
    made.append(record("slow", optimizer__epochs=9, method__labels=0.1, classifier={"test_accuracy": 0.2}))
    made.append(record("elsewhere", data__name="other", classifier={"test_accuracy": 0.1}))
    placed = [replace(each, folder=tmp_path / each.name.replace("a", f"a{each.seed}")) for each in made]
    for each in placed[2:]:
        each.folder.mkdir()
        (each.folder / "began_with.json").write_text(json.dumps({"run": f"../a{each.seed % 2}"}))
    found = compared(groups(placed))
    (drawn,) = of_classifiers(found)
    said = "finetuned 60.0 % with 10 %, 40.0 % with 40 labels; slow 20.0 % with 10 %; kNN 50.0 % with 100 %, 30.0 %"
    assert said in drawn
    ((header, body), (against, differences)) = found[0].tables()
    assert header[1:] == ["accuracy", "accuracy 10 %", "accuracy 40 labels", "runs"]
    assert body[:2] == [["finetuned", "-", "**60.0 ± 14.1**", "40.0", ""], ["slow", "-", "20.0", "-", ""]]
    assert against[0] == "against finetuned"
    assert [row[:3] for row in differences] == [["kNN", "accuracy 10 %", "-30.0"]]
