"""Every method at 8 px on a network of two convolutions; as a program, each trained on one or on several devices.

python tests/small_methods.py FILE writes {method/run/variable: array}: for the runs "one" and "two devices", or, in a
cluster of TF_CONFIG, for "two processes".
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf

from simsiam_tf import METHODS, make_optimizer, recipe
from simsiam_tf.data import training_batches
from simsiam_tf.data.sources import from_arrays
from simsiam_tf.networks.layers import BatchNorm
from simsiam_tf.settings.methods import METHODS as SETTINGS

BATCH, STEPS, SIDE, CLASSES = 16, 4, 8, 4
LONG = 20  # steps of the comparison of devices
VARIANTS = {  # what else looks across devices or keeps a state, beside the methods as they are
    "simclr/hybrid": {"predictor": "mlp"},
    "swav/end to end": {"stop_gradient": False},
    "swav/frozen prototypes": {"freeze_prototypes": 3},
    "alternating/bank": {"target": "bank", "predictor": "none"},
    "alternating/bank in float16": {"target": "bank", "predictor": "none", "bank_dtype": "float16"},
    "moco/symmetric": {"symmetric": True},
    "classifier/frozen": {"encoder_ratio": 0.0},
    "nnsiam/a longer queue": {"queue": 3 * BATCH},
}


def images():
    return np.random.default_rng(0).integers(0, 256, (BATCH * STEPS, SIDE, SIDE, 3), np.uint8)


def labels():
    return np.random.default_rng(1).integers(0, CLASSES, BATCH * STEPS)


def backbone(seed=0):
    """8 features."""
    x = inputs = keras.Input((None, None, 3))
    x = keras.layers.Rescaling(1 / 127.5, -1.0, name="normalization")(x)
    for index, filters in enumerate((4, 8)):
        kernel = keras.initializers.HeNormal(seed=10 * seed + index)
        x = keras.layers.Conv2D(filters, 3, 2 - index, "same", use_bias=False, kernel_initializer=kernel,
                                name=f"conv{index}")(x)  # fmt: skip
        x = keras.layers.ReLU(name=f"relu{index}")(BatchNorm(name=f"bn{index}")(x))
    return keras.Model(inputs, keras.layers.GlobalAveragePooling2D(dtype="float32", name="avgpool")(x), name="small")


def small(name, seed=0):
    """A method's settings with every width of more than 16 at 16, and its teacher."""
    defaults = SETTINGS[name]().arguments()
    sizes = {key: 16 for key, value in defaults.items() if type(value) is int and value > 16}
    return sizes | ({"teacher": backbone(seed + 7)} if "teacher" in defaults else {})


def build(name, seed=0, total_steps=None, rate=0.5, **settings):
    """The method, or its variant, compiled, its optimizer built."""
    method = name.split("/")[0]
    augmenter = recipe("none", image_size=SIDE, min_area=0.3, flip=0.5)  # others take seconds to compile
    facts = {"steps_per_epoch": STEPS, "num_images": BATCH * STEPS, "num_classes": CLASSES}
    options = small(method, seed) | facts | VARIANTS.get(name, {}) | settings
    model = METHODS[method](backbone(seed), augmenter, seed=seed, total_steps=total_steps, **options)
    model.compile(make_optimizer(model, STEPS, learning_rate=rate, batch_size=BATCH, epochs=2))
    model.optimizer.build(model.trainable_variables)
    return model


def train(name, workers):
    """Every weight of the method, or of its variant, after the steps, the input cut into parts for the devices."""
    keras.utils.clear_session(free_memory=False)  # the same names in every run
    with workers.strategy.scope():
        # At a higher rate two kernels that differ by rounding are soon two networks.
        model = build(name, total_steps=LONG, rate=0.05)
    picture_set = from_arrays(images(), labels())
    read = {f"with_{part}": part in model.reads for part in ("labels", "rows")}
    stream = workers.batches(
        lambda part, parts: training_batches(picture_set, BATCH, 5, part=part, parts=parts, **read)
    )
    model.fit(stream, steps_per_epoch=LONG, verbose=0, shuffle=False)
    return {f"{v.path} {i}": tf.convert_to_tensor(v).numpy() for i, v in enumerate(model.weights)}


if __name__ == "__main__":
    from simsiam_tf.runs.workers import Workers

    if "TF_CONFIG" in os.environ:
        kinds = {"two processes": Workers("multi_worker")}
    else:
        (cpu,) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
        kinds = {"one": Workers(), "two devices": Workers("mirrored")}
    runs = {f"{name}/{kind}": train(name, each) for name in [*METHODS, *VARIANTS] for kind, each in kinds.items()}
    if next(iter(kinds.values())).chief:
        np.savez(
            sys.argv[1], **{f"{run}/{key}": array for run, arrays in runs.items() for key, array in arrays.items()}
        )
