"""The final protocol on a trained encoder and its baselines, as rows for a table and figures for result.json."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
from rich.console import Console
from rich.table import Table

from simsiam_tf.errors import InputError
from simsiam_tf.evaluation.collapse import effective_rank, spectrum_auc
from simsiam_tf.evaluation.features import Extractor, raw_pixels
from simsiam_tf.evaluation.protocol import evaluate_features, evaluate_supervised, summarise
from simsiam_tf.evaluation.supervised import SupervisedBenchmark
from simsiam_tf.runs.build import build_augmenter, build_backbone
from simsiam_tf.settings.schema import Config

TITLES = {
    "raw": "raw pixels",
    "untrained": "untrained encoder",
    "supervised": "supervised network",
    "encoder": "trained encoder",
}


def evaluate(config: Config, backbone, splits, say=lambda text: None) -> dict:
    """Accuracies of the trained backbone and of `evaluation.baselines`, and the spectrum of its features.

    Args:
        backbone: Keras model, pixels -> (n, d).
        splits: Training and test images, both with labels.
        say: Called with a line before each part.

    Returns:
        {"by_fraction": {method: [summary per label fraction]}, "knn_accuracy", "linear_accuracy", "spectrum_auc", ...}.

    Raises:
        InputError: labels or test images are missing.
    """
    e = config.evaluation
    if splits.test is None or splits.train.labels is None or splits.test.labels is None:
        raise InputError(
            f"data.source: {config.data.source} has no labelled test images to evaluate on; use class sub-folders or "
            "labels, and data.validation_fraction 0.2 to hold some out"
        )
    images = splits.train, splits.test
    labels = splits.train.labels, splits.test.labels
    options = {"fractions": e.fractions, "subsets": e.subsets, "seed": config.seed}
    probes = {
        "k": e.neighbors,
        "temperature": e.temperature,
        "base_learning_rate": e.linear_learning_rate,
        "epochs": e.linear_epochs,
    }

    def features(model):
        extractor = Extractor(model)
        return [extractor(part.batches(256, crop=config.data.image_size)) for part in images]

    def score(train, test):
        return summarise(evaluate_features(train, labels[0], test, labels[1], **options, **probes))

    by_fraction = {}
    for name in e.baselines:
        if name == "supervised":
            say(f"evaluating: {TITLES[name]}, {sum(1 if f == 1 else e.subsets for f in e.fractions)} trainings")
            by_fraction[name] = summarise(_supervised(config, images, labels, options))
            continue
        say(f"evaluating: {TITLES[name]}")
        if name == "untrained":
            by_fraction[name] = score(*features(build_backbone(config)))
        else:
            by_fraction[name] = score(*map(raw_pixels, _pixels(config, images)))
    say(f"evaluating: {TITLES['encoder']}")
    train, test = features(backbone)
    by_fraction["encoder"] = score(train, test)
    result = {"evaluation": asdict(e), "by_fraction": by_fraction, "spectrum_auc": spectrum_auc(train)}
    result["feature_effective_rank"] = effective_rank(train)
    for row in by_fraction["encoder"]:
        if row["fraction"] == 1:
            result |= {"knn_accuracy": row["knn_accuracy"], "linear_accuracy": row["linear_accuracy"]}
    return result


def _pixels(config, images):
    return [np.concatenate(list(part.batches(1024, crop=config.data.image_size))) for part in images]


def _supervised(config, images, labels, options):
    e = config.evaluation
    steps_per_epoch = max(1, e.supervised_steps // 100)
    benchmark = SupervisedBenchmark(
        build_backbone(config),
        int(max(map(np.max, labels))) + 1,
        build_augmenter(config),
        steps_per_epoch=steps_per_epoch,
        epochs=max(1, e.supervised_steps // steps_per_epoch),
        batch_size=config.optimizer.batch_size,
        base_learning_rate=e.supervised_learning_rate,
        momentum=config.optimizer.momentum,
        weight_decay=config.optimizer.weight_decay,
        seed=config.seed,
    )
    train, test = _pixels(config, images)
    return evaluate_supervised(benchmark, train, labels[0], test, labels[1], **options)


def print_table(result: dict) -> None:
    """Test accuracy by share of the labels, a row per method and classifier."""
    subsets = result["evaluation"]["subsets"]
    spread = f" (mean ± std of {subsets} label subsets)" if subsets > 1 else ""
    by_fraction = result["by_fraction"]
    fractions = [row["fraction"] for row in by_fraction["encoder"]]
    table = Table(title=f"Test accuracy in % by share of the labels{spread}")
    table.add_column("features")
    table.add_column("classifier")
    for fraction in fractions:
        table.add_column(f"{100 * fraction:.4g} %", justify="right")
    for name, rows in by_fraction.items():
        kinds = {"supervised": ["supervised"]}.get(name, ["knn", "linear"])
        for kind in kinds:
            cells = [_cell(row, f"{kind}_accuracy") for row in rows]
            shown = {"knn": "kNN", "linear": "linear probe", "supervised": "end to end"}[kind]
            table.add_row(TITLES[name], shown, *cells, style="bold" if name == "encoder" else None)
    Console(width=100).print(table)


def _cell(row, key):
    text = f"{100 * row[key]:.1f}"
    return f"{text} ± {100 * row[key + '_std']:.1f}" if f"{key}_std" in row else text
