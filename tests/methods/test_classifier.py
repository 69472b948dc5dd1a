"""The classifier: its loss by hand, what a frozen encoder keeps, and the network that it is in the end."""

import numpy as np
import pytest
import tensorflow as tf

from simsiam_tf import Classifier
from simsiam_tf.data import from_arrays, training_batches
from simsiam_tf.errors import InputError
from simsiam_tf.methods import Batch
from simsiam_tf.optimizers import learning_rates
from simsiam_tf.runs.build import build_augmenter
from simsiam_tf.settings.augmentation import AugmentationSettings, ViewSettings
from simsiam_tf.settings.methods.classifier import ClassifierSettings
from simsiam_tf.settings.schema import Config, DataSettings
from small_methods import BATCH, CLASSES, SIDE, STEPS, backbone, build, images, labels


def weights(network):
    return [np.array(weight) for weight in network.get_weights()]


def moved(before, network):
    return [not np.array_equal(a, b) for a, b in zip(before, weights(network), strict=True)]


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_the_loss_is_the_cross_entropy(smoothing):
    model, y = build("classifier", label_smoothing=smoothing), labels()[:5]
    logits = np.random.default_rng(0).normal(size=(5, CLASSES)).astype("float32")
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    expected = 0.0
    for row, label in zip(log_p, y, strict=True):
        for k in range(CLASSES):
            expected -= ((1 - smoothing) * (k == label) + smoothing / CLASSES) * row[k] / 5
    found = model.objective({"logits": [tf.constant(logits)]}, Batch(None, tf.constant(y)))
    assert float(found) == pytest.approx(expected, rel=1e-5)
    zeros = model.objective({"logits": [tf.zeros((5, CLASSES))]}, Batch(None, tf.constant(y[:, None])))
    assert float(zeros) == pytest.approx(np.log(CLASSES), rel=1e-6)


def test_a_frozen_encoder_stays_as_it_is():
    """With the statistics of its BatchNorm; what is before the classifier is normalised all the same."""
    model = build("classifier", encoder_ratio=0.0)
    encoder, head = weights(model.backbone), weights(model.classifier)
    seen = model.forward(model.draw_views(images()[:BATCH], 0))["features"][0]
    np.testing.assert_array_equal(seen, model(model.draw_views(images()[:BATCH], 0)[0]))
    model.fit(images(), labels(), BATCH, verbose=0)
    assert not any(moved(encoder, model.backbone))
    assert all(moved(head, model.classifier))
    assert len(model.trainable_variables) == 2
    assert all(layer.trainable for layer in model.backbone.layers)  # a file of it is no frozen network


def test_an_encoder_that_is_trained_moves_at_its_own_rate():
    model = build("classifier", encoder_ratio=0.1)
    encoder = weights(model.backbone)
    rates = learning_rates(model.optimizer)
    assert rates["learning_rate"] == pytest.approx(0.1 * rates["classifier_learning_rate"])
    model.fit(images(), labels(), BATCH, verbose=0)
    assert all(moved(encoder, model.backbone))


@pytest.mark.parametrize("average", [0.0, 0.5])
def test_the_network_gives_the_probabilities_of_the_logits(average):
    model = build("classifier", weight_average=average)
    model.fit(images(), labels(), BATCH, verbose=0)
    found = np.asarray(model.network()(images()))
    logits = np.asarray(model.classifier(model(images()), training=False))
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    np.testing.assert_allclose(found, odds / odds.sum(axis=1, keepdims=True), atol=1e-5)
    if not average:
        np.testing.assert_array_equal(found.argmax(axis=1), np.asarray(model.project(images())).argmax(axis=1))


def test_the_size_of_the_features_does_not_matter():
    """They are normalised before the classifier."""
    head, features = build("classifier").classifier, np.random.default_rng(0).normal(size=(64, 8)).astype("float32")
    np.testing.assert_allclose(head(features, training=True), head(1000 * features + 5, training=True), atol=1e-3)


def test_labels_that_cannot_be_learned_are_refused():
    model, few = build("classifier"), images()[:BATCH]
    unlabelled = training_batches(from_arrays(images()), BATCH, 0)
    for x in (few, unlabelled):
        with pytest.raises(
            InputError, match=r"^labels: none given, but Classifier learns from them; give fit\(images, l"
        ):
            model.fit(x, batch_size=None if x is unlabelled else BATCH, steps_per_epoch=1, verbose=0)
    wrong = training_batches(from_arrays(images(), labels() + 1), BATCH, 0, with_labels=True)
    for x, y in ((few, labels()[:BATCH] + CLASSES), (wrong, None)):
        with pytest.raises(InputError, match=r"^labels: \d to \d, for 4 classes; give 0 to 3$"):
            model.fit(x, y, None if x is wrong else BATCH, steps_per_epoch=STEPS, verbose=0)
    with pytest.raises(InputError, match=r"^num_classes: none given, but a classifier needs them; give the number"):
        Classifier(backbone())


def test_of_views_that_are_not_alike_it_takes_the_first():
    views = ViewSettings(recipe="none", size=SIDE, flip=0.25), ViewSettings(recipe="none", size=4)
    augmentation = AugmentationSettings(views=views)
    config = Config(method=ClassifierSettings(), data=DataSettings(image_size=16), augmentation=augmentation)
    [augmenter] = build_augmenter(config)
    assert (augmenter.image_size, augmenter.flip) == (SIDE, 0.25)
