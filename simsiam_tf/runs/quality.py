"""Is the encoder any good? It beside raw pixels and itself untrained, on a few images, in seconds and in words."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from simsiam_tf.evaluation.features import Extractor, forward_batch, raw_pixels
from simsiam_tf.evaluation.knn import knn_predict
from simsiam_tf.evaluation.paired import paired_difference
from simsiam_tf.evaluation.protocol import choose
from simsiam_tf.runs.build import build_backbone
from simsiam_tf.runs.label_free import spaced
from simsiam_tf.settings.schema import Config

BANK, QUERIES = 5000, 2000  # images at most
PIXELS = 32  # side that pictures are shrunk to before their pixels are compared
OTHERS = {"raw": "raw pixels", "untrained": "the untrained encoder"}


def quality(config: Config, splits, encoder, untrained=None) -> dict:
    """kNN with all labels of at most 5,000 training images, on at most 2,000 test images, evenly spaced.

    Args:
        encoder: (training, test) features of the trained encoder, (n, d) each, of all images of the splits.
        untrained: The same of the untrained encoder, where they are known.

    k and T are chosen for each without the test labels. Intervals are of the difference on the same test images: other
    images would give other figures, and so would another seed, which they do not know of.

    Returns:
        {"raw", "untrained", "encoder": accuracy, "bank", "queries": images,
        "against": {"raw", "untrained": {"difference", "low", "high"}}, "sentence"}.
    """
    rows, tested = spaced(len(splits.train), BANK), spaced(len(splits.test), QUERIES)
    bank, queries, crop = splits.train.take(rows), splits.test.take(tested), config.data.image_size

    def right(train, test):
        k, temperature = choose(train, bank.labels)
        return knn_predict(train, bank.labels, test, k, temperature) == queries.labels

    def of(features):
        return [features(images, crop) for images in (bank, queries)]

    def sampled(train, test):
        return train[rows], test[tested]

    hits = {
        "raw": right(*of(_small_pixels)),
        "untrained": right(*(sampled(*untrained) if untrained else of(Extractor(build_backbone(config)).of))),
        "encoder": right(*sampled(*encoder)),
    }
    found = {name: float(np.mean(each)) for name, each in hits.items()}
    against = {name: paired_difference(hits["encoder"], hits[name]) for name in OTHERS}
    found |= {"bank": len(bank), "queries": len(queries), "against": against}
    return found | {"sentence": sentence(found)}


def sentence(found: dict) -> str:
    """Better or worse than raw pixels and the untrained encoder, by how much, and whether that is certain."""
    parts = []
    for name, title in OTHERS.items():
        each = found["against"][name]
        word = "better than" if each["low"] > 0 else "worse than" if each["high"] < 0 else "not surely different from"
        interval = f"{100 * each['difference']:+.1f} points, 95 % interval {100 * each['low']:+.1f} to "
        parts.append(f"{word} {title} ({100 * found[name]:.1f} %; {interval}{100 * each['high']:+.1f})")
    return f"kNN {100 * found['encoder']:.1f} % of {found['queries']} test images: {', '.join(parts)}"


def sentence_without_labels(figures: dict) -> str | None:
    """The same in careful words, from `runs.label_free`; None where LiDAR is not known.

    LiDAR (Thilak et al. 2024) counts the directions in which pictures differ more from each other than their own
    augmented views do.
    """
    here, before = (figures[name].get("lidar") for name in ("encoder", "untrained"))
    if here is None or before is None:
        return None
    change = "more" if here > 1.1 * before else "fewer" if here < before / 1.1 else "as many"
    sign = {"more": "a good sign", "as many": "no sign of learning", "fewer": "a bad sign"}[change]
    return (
        f"without labels: {change} directions tell pictures apart {'than' if change != 'as many' else 'as'} before "
        f"training (LiDAR {here:.1f}, untrained {before:.1f}), {sign}; only labels can tell how good it is"
    )


def _small_pixels(images, side):
    return np.concatenate([raw_pixels(_shrunk(batch)) for batch in images.batches(forward_batch(side), crop=side)])


def _shrunk(images):
    """Pixels (n, 32, 32, 3) or smaller, each the mean of those that it covers."""
    side = min(PIXELS, images.shape[1])
    return tf.image.resize(images, (side, side), method="area").numpy()
