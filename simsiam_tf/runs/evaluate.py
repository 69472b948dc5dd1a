"""The final protocol on a trained encoder and its baselines, as figures for result.json."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import asdict
from itertools import count

import numpy as np
import tensorflow as tf

from simsiam_tf.errors import InputError
from simsiam_tf.evaluation.features import Extractor, raw_pixels
from simsiam_tf.evaluation.protocol import evaluate_features, evaluate_supervised, summarise
from simsiam_tf.evaluation.supervised import SupervisedBenchmark
from simsiam_tf.methods.bank import free_memory
from simsiam_tf.runs.build import build_augmenter, build_backbone
from simsiam_tf.runs.label_free import judged_without_labels
from simsiam_tf.runs.quality import quality, sentence_without_labels
from simsiam_tf.settings.schema import Config

OUT_OF_MEMORY = MemoryError, tf.errors.ResourceExhaustedError
RAW_COPIES = 4  # of the pixels as float32: as they are divided, drawn from, and given to TensorFlow
TITLES = {
    "raw": "raw pixels",
    "untrained": "untrained encoder",
    "supervised": "supervised network",
    "encoder": "trained encoder",
}


def can_evaluate(splits) -> bool:
    """Whether there are images to test with, and labels."""
    return splits.test is not None and splits.train.labels is not None and splits.test.labels is not None


@contextmanager
def enough_memory(splits, folder):
    """Say of an evaluation that runs out of memory what it needed it for.

    Raises:
        InputError: it has.
    """
    try:
        yield
    except OUT_OF_MEMORY as error:
        images = len(splits.train) + len(splits.test or ())
        raise InputError(
            f"evaluation: {images} images need more memory than there is; the training is done and kept: evaluate "
            f"{folder} where there is more, or with a smaller data.limit and data.test_limit"
        ) from error


def evaluate(config: Config, backbone, splits, say=lambda text: None) -> dict:
    """Accuracies of the trained backbone and of `evaluation.baselines`, and its label-free figures.

    Args:
        backbone: Keras model, pixels -> (n, d).
        splits: Training and test images, both with labels.
        say: Called with a line before each part, "evaluating 1 of 6: ...".

    Returns:
        {"by_fraction": {method: [summary per label fraction]}, "quality", "label_free", "forecast"}, and the encoder's
        accuracies with all labels, "knn_accuracy" and so on.

    Raises:
        InputError: labels or test images are missing.
    """
    e = config.evaluation
    if not can_evaluate(splits):
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
        "optimizer": e.linear_optimizer,
        "batch_size": e.linear_batch_size,
        "epochs": e.linear_epochs,
    }

    def features(model):
        extractor = Extractor(model)
        return [extractor.of(part, config.data.image_size) for part in images]

    def score(train, test):
        return summarise(evaluate_features(train, labels[0], test, labels[1], **options, **probes))

    part = count(1)

    def begin(title):
        say(f"evaluating {next(part)} of {len(e.baselines) + 3}: {title}")

    by_fraction, untrained = {}, None
    for name in e.baselines:
        if name == "supervised":
            begin(f"{TITLES[name]}, {sum(1 if f == 1 else e.subsets for f in e.fractions)} trainings")
            by_fraction[name] = summarise(_supervised(config, images, labels, options))
            continue
        begin(TITLES[name])
        if (
            name == "raw"
            and (need := RAW_COPIES * 4 * sum(map(len, images)) * config.data.image_size**2 * 3) > free_memory()
        ):
            say(f"evaluation.baselines: raw is left out, its {need / 1e9:.3g} GB are more than there is")
        elif name == "untrained":
            untrained = features(build_backbone(config))
            by_fraction[name] = score(*untrained)
        else:
            by_fraction[name] = score(*map(raw_pixels, _pixels(config, images)))
    begin(TITLES["encoder"])
    trained = features(backbone)
    by_fraction["encoder"] = score(*trained)
    begin("beside raw pixels and the untrained encoder")
    judged = quality(config, splits, trained, untrained)
    begin("figures without labels")
    figures = judged_without_labels(config, backbone, splits.train, trained[0], untrained and untrained[0])
    result = {"evaluation": asdict(e), "by_fraction": by_fraction, "quality": judged} | figures
    if splits.train.class_names is not None:
        result["class_names"] = list(splits.train.class_names)
    for row in by_fraction["encoder"]:
        if row["fraction"] == 1:
            result |= {key: value for key, value in row.items() if key.endswith("_accuracy")}
    return result


def without_labels(config: Config, backbone, splits, say=lambda text: None) -> dict:
    """What is left without labelled test images, or of a run that stopped itself: figures of the training images.

    Returns:
        {"label_free", "forecast"} and, where there are no labels at all, {"quality": {"sentence"}}; {} if features are
        not finite.
    """
    say("evaluating without labels")
    with suppress(InputError):
        found = judged_without_labels(config, backbone, splits.train)
        said = sentence_without_labels(found["label_free"]) if splits.train.labels is None else None
        return found | ({"quality": {"sentence": said}} if said else {})
    return {}


def _pixels(config, images):
    return [np.concatenate(list(part.batches(1024, crop=config.data.image_size))) for part in images]


def _supervised(config, images, labels, options):
    e = config.evaluation
    steps_per_epoch = max(1, e.supervised_steps // 100)
    augmenter, o = build_augmenter(config), config.optimizer
    # The benchmark's is SGD: another optimizer's weight decay would be another thing in it.
    own = {"momentum": o.momentum, "weight_decay": o.weight_decay} if o.name == "sgd" else {}
    benchmark = SupervisedBenchmark(
        build_backbone(config),
        int(max(map(np.max, labels))) + 1,
        augmenter[0] if isinstance(augmenter, list) else augmenter,
        steps_per_epoch=steps_per_epoch,
        epochs=max(1, e.supervised_steps // steps_per_epoch),
        batch_size=config.optimizer.batch_size,
        base_learning_rate=e.supervised_learning_rate,
        seed=config.seed,
        **own,
    )
    train, test = _pixels(config, images)
    return evaluate_supervised(benchmark, train, labels[0], test, labels[1], **options)
