"""The final protocol gets what the configuration says."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import tensorflow as tf

from simsiam_tf.cli import main as cli
from simsiam_tf.cli.table import print_result
from simsiam_tf.data import Splits, from_arrays
from simsiam_tf.errors import InputError
from simsiam_tf.evaluation.features import extract, forward_batch
from simsiam_tf.runs import evaluate as module
from simsiam_tf.runs.evaluate import evaluate
from simsiam_tf.settings.schema import Config, DataSettings, EvaluationSettings, ResNetSettings, SGDSettings
from small_run import arguments

SETTINGS = EvaluationSettings(
    fractions=(1.0, 0.5),
    subsets=2,
    baselines=("untrained", "supervised", "raw"),
    neighbors=3,
    temperature=0.7,
    linear_learning_rate=0.9,
    linear_optimizer="lars",
    linear_batch_size=32,
    linear_epochs=4,
    supervised_steps=300,
    supervised_learning_rate=0.4,
)
CONFIG = Config(
    seed=5,
    data=DataSettings(image_size=12),
    backbone=ResNetSettings(width=2),
    optimizer=SGDSettings(batch_size=8, weight_decay=0.02, momentum=0.6),
    evaluation=SETTINGS,
)
OPTIONS = {"fractions": (1.0, 0.5), "subsets": 2, "seed": 5}
PROBES = {"k": 3, "temperature": 0.7, "base_learning_rate": 0.9, "optimizer": "lars", "batch_size": 32, "epochs": 4}
ACCURACIES = {"knn_accuracy": 0.25, "linear_accuracy": 0.5, "any_other_accuracy": 0.75}
ROWS = [{"fraction": 1.0, **ACCURACIES, "any_other_accuracy_std": 0.1}, {"fraction": 0.5, "knn_accuracy": 0.1}]


@pytest.fixture
def splits(images):
    labels = np.arange(64) % 4
    return Splits(from_arrays(images[:48], labels[:48]), from_arrays(images[48:], labels[48:]))


def test_every_setting_reaches_its_evaluator(splits, small_backbone, monkeypatch):
    features, supervised, benchmarks, said = [], [], [], []

    def note(seen, *given, **options):
        seen.append((given, options))
        return ROWS

    monkeypatch.setattr(module, "evaluate_features", lambda *given, **options: note(features, *given, **options))
    monkeypatch.setattr(module, "evaluate_supervised", lambda *given, **options: note(supervised, *given, **options))
    monkeypatch.setattr(module, "SupervisedBenchmark", lambda *given, **options: note(benchmarks, *given, **options))
    backbone = small_backbone()
    result = evaluate(CONFIG, backbone, splits, said.append)

    assert [options for _, options in features] == [OPTIONS | PROBES] * 3  # untrained, raw, encoder
    train, labels, test, truth = features[-1][0]
    np.testing.assert_allclose(train, extract(backbone, splits.train.batches(48)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(test, extract(backbone, splits.test.batches(16)), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(labels, splits.train.labels)
    np.testing.assert_array_equal(truth, splits.test.labels)
    assert features[0][0][0].shape == (48, 16)  # of the network of the configuration
    assert features[1][0][0].shape == (48, 12 * 12 * 3)

    assert [options for _, options in supervised] == [OPTIONS]
    ((_, classes, _), options) = benchmarks[0]
    assert classes == 4
    assert options == {
        "steps_per_epoch": 3,
        "epochs": 100,
        "batch_size": 8,
        "base_learning_rate": 0.4,
        "momentum": 0.6,
        "weight_decay": 0.02,
        "seed": 5,
    }
    assert list(result["by_fraction"]) == ["untrained", "supervised", "raw", "encoder"]
    assert result["evaluation"] == asdict(SETTINGS)
    assert result.keys() == {"evaluation", "by_fraction", "quality", "label_free", "forecast"} | ACCURACIES.keys()
    assert result.items() >= ACCURACIES.items()
    assert [line.split(":")[0] for line in said] == [f"evaluating {part} of 6" for part in range(1, 7)]


def test_the_table_has_a_row_for_every_classifier(capsys):
    by_fraction = {"encoder": ROWS[:1], "supervised": [{"fraction": 1.0, "supervised_accuracy": 1.0}]}
    print_result({"evaluation": {"subsets": 2}, "by_fraction": by_fraction})
    rows = [line.split("│")[1:-1] for line in capsys.readouterr().out.splitlines() if "│" in line]
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["trained encoder", "kNN", "25.0"],
        ["trained encoder", "linear probe", "50.0"],
        ["trained encoder", "any_other", "75.0 ± 10.0"],
        ["supervised network", "end to end", "100.0"],
    ]


def test_images_go_forward_in_chunks_of_a_size():
    assert [forward_batch(side) for side in (16, 64, 128, 224, 1024)] == [256, 256, 64, 20, 8]


def test_too_little_memory_for_the_evaluation_is_not_blamed_on_the_batch(tmp_path, monkeypatch, capsys):
    def fail(*given):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM")

    monkeypatch.setattr("simsiam_tf.runs.train.evaluate", fail)
    assert cli.main(arguments(tmp_path, optimizer__epochs=1, monitor__tensorboard="false")) == 2
    said = capsys.readouterr().err
    assert "evaluation: 260 images need more memory than there is; the training is done and kept" in said
    assert "batch_size" not in said
    monkeypatch.undo()
    assert cli.main(["evaluate", str(tmp_path / "run")]) == 0
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert (result["steps"], result["outcome"]) == (5, "healthy")  # of the training
    assert "knn_accuracy" in result


def test_pixels_that_do_not_fit_are_left_out_by_name(splits, small_backbone, monkeypatch):
    said = []
    monkeypatch.setattr(module, "free_memory", lambda: 64 * 12 * 12 * 3 * 4 * 4 - 1)
    settings = replace(SETTINGS, baselines=("raw",), linear_epochs=1, subsets=1)
    result = evaluate(replace(CONFIG, evaluation=settings), small_backbone(), splits, said.append)
    assert list(result["by_fraction"]) == ["encoder"]
    assert "evaluation.baselines: raw is left out, its 0.000442 GB are more than there is" in said
    assert "raw" in result["quality"]  # of a few images


def test_what_the_figures_say_stands_below_the_table(capsys):
    said = {"quality": {"sentence": "kNN 50.0 % of 300 test images: better than raw pixels " + "word " * 20}}
    print_result(said | {"verdict": "at risk: correlation 0.85"})
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("kNN 50.0 % of 300 test images: better than raw pixels word")
    assert lines[-1] == "training: at risk: correlation 0.85"
    print_result({})
    assert capsys.readouterr().out == ""


def test_images_without_labels_cannot_be_judged(images, small_backbone):
    splits = Splits(from_arrays(images), None)
    with pytest.raises(InputError, match=r"^data.source: tfds has no labelled test images to evaluate on; use class"):
        evaluate(CONFIG, small_backbone(), splits)
