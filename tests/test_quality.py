"""Is it any good? The sentence at the end of an evaluation."""

import numpy as np
import pytest

from simsiam_tf.data import Splits, from_arrays
from simsiam_tf.evaluation.features import extract
from simsiam_tf.evaluation.knn import choose_neighbors, knn_predict
from simsiam_tf.evaluation.paired import paired_difference
from simsiam_tf.evaluation.protocol import NEIGHBORS, TEMPERATURES
from simsiam_tf.runs import quality as module
from simsiam_tf.runs.build import build_backbone
from simsiam_tf.runs.quality import quality, sentence, sentence_without_labels
from simsiam_tf.settings.schema import Config, DataSettings, ResNetSettings

CONFIG = Config(seed=5, data=DataSettings(image_size=12), backbone=ResNetSettings(width=2))


@pytest.fixture
def splits():
    """Images of four colours, so noisy that their pixels are a poor guide."""
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 4
    palette = np.array([[140, 110, 110], [110, 140, 110], [110, 110, 140], [140, 140, 110]])
    images = palette[labels][:, None, None] + rng.normal(0, 60, (200, 12, 12, 3))
    images = np.clip(images, 0, 255).astype(np.uint8)
    return Splits(from_arrays(images[:120], labels[:120]), from_arrays(images[120:], labels[120:]))


def colours(images):
    """The features of a perfect encoder of such images."""
    return images.mean(axis=(1, 2)) - 120


def right(train, test, splits):
    chosen = choose_neighbors(train, splits.train.labels, NEIGHBORS, TEMPERATURES)
    return knn_predict(train, splits.train.labels, test, *chosen) == splits.test.labels


def test_all_three_are_judged_alike(splits):
    train, test = splits.train.images, splits.test.images
    found = quality(CONFIG, splits, (colours(train), colours(test)))
    untrained = build_backbone(CONFIG)
    hits = {
        "raw": right(train.reshape(120, -1) / np.float32(255), test.reshape(80, -1) / np.float32(255), splits),
        "untrained": right(*(extract(untrained, part.batches(256)) for part in (splits.train, splits.test)), splits),
        "encoder": right(colours(train), colours(test), splits),
    }
    assert {name: found[name] for name in hits} == {name: each.mean() for name, each in hits.items()}
    assert (found["bank"], found["queries"], found["encoder"]) == (120, 80, 1.0)
    assert found["raw"] < 0.9
    for name in ("raw", "untrained"):
        assert found["against"][name] == paired_difference(hits["encoder"], hits[name])
    assert found["sentence"] == sentence(found)
    known = [extract(untrained, part.batches(256)) for part in (splits.train, splits.test)]
    assert quality(CONFIG, splits, (colours(train), colours(test)), known) == found


def test_large_data_are_sampled_evenly(splits, monkeypatch):
    monkeypatch.setattr(module, "BANK", 40)
    monkeypatch.setattr(module, "QUERIES", 10)
    seen = []
    monkeypatch.setattr(module, "knn_predict", lambda *given: seen.append(given) or splits.test.labels[:10])
    found = quality(CONFIG, splits, [colours(part.images) for part in (splits.train, splits.test)])
    assert (found["bank"], found["queries"]) == (40, 10)
    train, labels, test, *_ = seen[-1]
    rows = np.linspace(0, 119, 40).astype(int)
    np.testing.assert_array_equal(labels, splits.train.labels[rows])
    np.testing.assert_array_equal(train, colours(splits.train.images)[rows])
    np.testing.assert_array_equal(test, colours(splits.test.images)[np.linspace(0, 79, 10).astype(int)])


def against(low, high):
    return {"difference": (low + high) / 2, "low": low, "high": high}


def test_the_sentence_says_better_worse_or_neither():
    found = {"encoder": 0.5, "queries": 300, "raw": 0.4, "untrained": 0.6}
    found["against"] = {"raw": against(0.05, 0.15), "untrained": against(-0.15, -0.05)}
    assert sentence(found) == (
        "kNN 50.0 % of 300 test images: better than raw pixels (40.0 %; +10.0 points, 95 % interval +5.0 to +15.0), "
        "worse than the untrained encoder (60.0 %; -10.0 points, 95 % interval -15.0 to -5.0)"
    )
    found["against"]["raw"] = against(-0.01, 0.21)
    assert "not surely different from raw pixels (40.0 %; +10.0 points, 95 % interval -1.0 to +21.0)" in sentence(found)


@pytest.mark.parametrize(
    ("here", "before", "words"),
    [
        (20.0, 10.0, "more directions tell pictures apart than before training (LiDAR 20.0, untrained 10.0), a good"),
        (10.5, 10.0, "as many directions tell pictures apart as before training (LiDAR 10.5, untrained 10.0), no sign"),
        (5.0, 10.0, "fewer directions tell pictures apart than before training (LiDAR 5.0, untrained 10.0), a bad"),
    ],
)
def test_without_labels_the_words_are_careful(here, before, words):
    text = sentence_without_labels({"encoder": {"lidar": here}, "untrained": {"lidar": before}})
    assert words in text
    assert text.endswith("only labels can tell how good it is")


def test_without_lidar_there_is_no_sentence():
    assert sentence_without_labels({"encoder": {}, "untrained": {"lidar": 3.0}}) is None
