"""Which labels a classifier learns from, and which are held out."""

import numpy as np
import pytest

from simsiam_tf.data import Splits, from_arrays
from simsiam_tf.errors import InputError
from simsiam_tf.evaluation.protocol import label_subsets
from simsiam_tf.runs.labelled import class_names, labelled
from simsiam_tf.settings.methods.classifier import ClassifierSettings
from simsiam_tf.settings.schema import Config

LABELS = np.repeat([0, 1, 2, 3], [100, 100, 50, 50])
TEST = from_arrays(np.zeros((5, 4, 4, 3), np.uint8), np.arange(5) % 4)


def split(truth=LABELS, seed=0, **settings):
    images = from_arrays(np.zeros((300, 4, 4, 3), np.uint8), truth)
    return labelled(Config(seed=seed, method=ClassifierSettings(**settings)), Splits(images, TEST))


def ids(images):
    return set(images.ids.tolist())


@pytest.mark.parametrize(
    ("labels", "classes", "held", "times"),
    [
        (1.0, [100, 100, 50, 50], [10, 10, 5, 5], 1),
        (0.2, [20, 20, 10, 10], [2, 2, 1, 1], 5),
        (30, [10, 10, 5, 5], [1, 1, 1, 1], 10),
        (10_000, [100, 100, 50, 50], [10, 10, 5, 5], 1),
    ],
)
def test_labels_are_stratified_and_held_out_ones_are_others(labels, classes, held, times):
    train, test = split(labels=labels)
    assert np.bincount(test.labels).tolist() == held
    assert not ids(train) & ids(test)
    one = train.take(np.unique(train.ids, return_index=True)[1])
    assert (np.bincount(one.labels) + held).tolist() == classes
    assert len(train) == times * len(one)  # an epoch has the same steps whatever the share
    assert np.unique(train.ids, return_counts=True)[1].tolist() == [times] * len(one)


def test_the_labels_are_those_of_the_probes():
    """So that figures of one share are of one draw."""
    for (_, subset, rows), seed in zip(label_subsets(LABELS, (0.1,), 3, seed=4), [4] * 3, strict=True):
        train, test = split(labels=0.1, subset=subset, seed=seed)
        assert ids(train) | ids(test) == {str(row) for row in rows}


def test_another_seed_holds_others_out():
    assert ids(split()[1]) == ids(split()[1])
    assert ids(split()[1]) != ids(split(seed=1)[1])


@pytest.mark.parametrize("settings", [{"labels": 4}, {"labels": 0.01}, {"labels": 12}, {"held_out": 0.0}])
def test_where_there_are_too_few_none_is_held_out(settings):
    train, test = split(**settings)
    assert test is None
    assert set(train.labels.tolist()) == {0, 1, 2, 3}
    assert len(ids(train)) == {4: 4, 0.01: 4, 12: 12}.get(settings.get("labels"), 300)


def test_a_method_without_labels_has_all_images():
    splits = Splits(TEST, TEST)
    assert labelled(Config(), splits) is splits


@pytest.mark.parametrize(("truth", "why"), [(None, "has no labels"), (np.zeros(300, int), "has labels of one class")])
def test_labels_that_say_nothing_are_refused(truth, why):
    with pytest.raises(InputError, match=rf"^data.source: arrays {why}.*; give "):
        split(truth)


def test_classes_without_names_are_called_by_number():
    assert class_names(TEST) == ["0", "1", "2", "3"]
