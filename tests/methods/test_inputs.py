"""What a script gives that cannot be meant: each has an answer, before the first step."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from simsiam_tf import LinearProbe, SimSiam, make_optimizer
from simsiam_tf.errors import InputError
from small_methods import BATCH, build, images, labels


@pytest.fixture(scope="module")
def model():
    return build("simsiam")


FLOATS = images().astype("float32") / 255
BLACK = r"^images: floats up to 1, which are black; give pixels from 0 to 255$"
SHAPE = r"^images: their shape is \(.*8, 8.*\); give \(n, h, w, 3\), gray ones three times over$"


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (FLOATS, BLACK),
        (tf.constant(FLOATS), BLACK),
        ({"images": FLOATS}, BLACK),
        (tf.data.Dataset.from_tensor_slices(FLOATS).batch(BATCH), BLACK),
        (tf.data.Dataset.from_tensor_slices((FLOATS, labels())).batch(BATCH), BLACK),
        (images()[..., 0], SHAPE),
        (images()[..., :1], SHAPE),
        (tf.data.Dataset.from_tensor_slices(images()[..., 0]).batch(BATCH), SHAPE),
    ],
)
def test_images_that_are_none_are_refused(model, x, message):
    with pytest.raises(InputError, match=message):
        model.fit(x, verbose=0)
    assert int(model.step) == 0


def test_pixels_as_floats_are_fine(model):
    model.fit(images().astype("float32"), batch_size=BATCH, verbose=0)
    assert int(model.step) == 4
    model.step.assign(0)


@pytest.mark.parametrize("key", ["class_weight", "sample_weight"])
def test_weights_are_refused(model, key):
    weights = {"class_weight": {0: 1.0}, "sample_weight": np.ones(len(images()))}
    with pytest.raises(InputError, match=f"^{key}: SimSiam weighs all images alike; leave it out$"):
        model.fit(images(), labels(), verbose=0, **{key: weights[key]})


@pytest.mark.parametrize(("key", "value"), [("loss", "mse"), ("metrics", ["accuracy"])])
def test_a_loss_of_the_scripts_own_is_refused(key, value):
    model = build("simsiam")
    model.compile(make_optimizer(model, 4, batch_size=BATCH, epochs=2), **{key: value})
    with pytest.raises(InputError, match=rf"^{key}: SimSiam has its own; give compile\(optimizer=...\) alone$"):
        model.fit(images(), batch_size=BATCH, verbose=0)


def test_labels_that_a_probe_has_no_class_for_are_refused(model):
    with pytest.raises(InputError, match=r"^labels: 1 to 4, for 4 classes; give 0 to 3$"):
        model.fit(images(), labels() + 1, batch_size=BATCH, verbose=0, callbacks=[LinearProbe(4)])
    data = tf.data.Dataset.from_tensor_slices((images(), labels() + 1)).batch(BATCH)
    with pytest.raises(InputError, match=r"^labels: [12] to 4, for 4 classes; give 0 to 3$"):
        model.fit(data, verbose=0, callbacks=[LinearProbe(4)])


def test_a_backbone_whose_input_is_not_known_is_refused():
    pooled = keras.Sequential([keras.layers.Conv2D(4, 3), keras.layers.GlobalAveragePooling2D()])
    with pytest.raises(
        InputError, match=r"^backbone: its input is not known; begin it with keras.Input\(\(h, w, 3\)\)$"
    ):
        SimSiam(pooled)
