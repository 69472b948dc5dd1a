"""Twenty steps on one and on two devices, in a process of its own: logical devices come before TensorFlow's start.

python tests/replicas.py FILE writes {run/place: array} for the runs "one", "two", "halves" (one device whose BatchNorm
sees each half of the batch by itself), "two_unsynchronized", "calls" (two, three steps a call);
and "ends", how many steps two devices take of four batches whose number nobody knows, by steps a call.
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf

from simsiam_tf import LinearProbe, SimSiam, make_optimizer, recipe
from simsiam_tf.data import ArrayImages, training_batches
from simsiam_tf.networks.layers import BatchNorm
from simsiam_tf.runs.workers import Workers

STEPS, BATCH = 20, 16


def backbone(synchronized):
    """A strided convolution and one more, 8 features."""
    images = keras.Input((None, None, 3))
    x = keras.layers.Rescaling(1 / 127.5, -1.0)(images)
    for index, filters in enumerate((4, 8)):
        kernel = keras.initializers.HeNormal(seed=index)
        x = keras.layers.Conv2D(filters, 3, 2 - index, use_bias=False, kernel_initializer=kernel, name=f"conv{index}")(
            x
        )
        x = keras.layers.ReLU()(BatchNorm(synchronized=synchronized, name=f"bn{index}")(x))
    return keras.Model(images, keras.layers.GlobalAveragePooling2D()(x))


def make(workers, synchronized=True, per_execution=1):
    keras.utils.clear_session(free_memory=False)  # the same names in every run
    with workers.strategy.scope():
        augmenter = recipe("none", image_size=12, min_area=0.3, flip=0.5)  # others take seconds to compile
        sizes = {"projection_dim": 16, "predictor_hidden": 4, "num_views": 3}
        model = SimSiam(backbone(synchronized), augmenter, weight_average=0.9, seed=3, **sizes)
        for layer in model._flatten_layers():
            if isinstance(layer, BatchNorm):
                layer.synchronized = synchronized
        settings = {"learning_rate": 0.5, "batch_size": BATCH, "epochs": 4, "weight_decay": 5e-4, "warmup_epochs": 1}
        model.compile(make_optimizer(model, STEPS // 4, **settings), steps_per_execution=per_execution)
    return model


def train(workers, synchronized=True, per_execution=1):
    """Every variable and the loss and probe accuracy of each epoch."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (85, 14, 14, 3), dtype=np.uint8)
    labels, sizes = generator.integers(0, 4, 85), generator.integers(8, 15, (85, 2)).astype(np.int32)
    images = ArrayImages(images, labels=labels, sizes=sizes)
    model, probe, history = make(workers, synchronized, per_execution), LinearProbe(4), []
    keep = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: history.append(dict(logs)))

    def batches(part, parts):
        return training_batches(images, BATCH, 5, with_labels=True, with_rows=True, part=part, parts=parts)

    stream = workers.batches(batches)
    model.fit(stream, steps_per_epoch=STEPS // 4, epochs=4, verbose=0, shuffle=False, callbacks=[probe, keep])
    variables = model.weights + model.optimizer.variables + probe.variables
    arrays = {f"{i:03d} {v.path}": tf.convert_to_tensor(v).numpy() for i, v in enumerate(variables)}
    return arrays | {name: np.array([float(logs[name]) for logs in history]) for name in ("loss", "probe_accuracy")}


def halves(self, inputs, training):
    """The fused kernel on each half of a batch; the moving statistics follow the first. The probe's sees all."""
    if not training or self.synchronized:
        return fused(self, inputs, training)
    (first, mean, variance), (second, *_) = (fused(self, half, training) for half in tf.split(inputs, 2))
    return tf.concat([first, second], axis=0), mean, variance


def diverged_at(workers):
    """The step that the model notes when only the last image of every batch is not finite, in each replica."""
    model = make(workers, synchronized=False)
    images = np.random.default_rng(0).uniform(0, 255, (BATCH, 12, 12, 3)).astype("float32")
    images[-1] = np.nan
    model.fit(tf.data.Dataset.from_tensors(images).repeat(), steps_per_epoch=1, verbose=0, shuffle=False)
    return [copy.numpy() for copy in workers.strategy.experimental_local_results(model.diverged_at.value)]


def steps_of_unknown(workers, per_execution):
    model = make(workers, per_execution=per_execution)
    images = np.zeros((4 * BATCH, 12, 12, 3), np.uint8)
    model.fit(tf.data.Dataset.from_tensor_slices(images).batch(BATCH).filter(lambda batch: True), verbose=0)
    return int(model.step.numpy())


fused = BatchNorm._fused

if __name__ == "__main__":
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    one, two = Workers(), Workers("mirrored")
    runs = {"one": train(one), "two": train(two), "two_unsynchronized": train(two, synchronized=False)}
    runs["calls"] = train(two, per_execution=3)
    runs["diverged"] = {"at": np.array(diverged_at(two))}
    runs["ends"] = {str(each): np.array(steps_of_unknown(two, each)) for each in (1, 3)}
    BatchNorm._fused = halves
    runs["halves"] = train(one, synchronized=False)
    np.savez(sys.argv[1], **{f"{run}/{name}": array for run, arrays in runs.items() for name, array in arrays.items()})
