"""Twenty steps on one and on two devices, in a process of its own: logical devices come before TensorFlow's start.

python tests/replicas.py FILE writes {run/place: array} for the runs "one", "two", "halves" (one device whose BatchNorm
sees each half of the batch by itself), "two_unsynchronized", "compiled" (the same by XLA), "calls" (two, three steps a
call), "scaled_one" and "scaled_two" (with a loss scale), "chunks_one" and "chunks_two" (images in chunks). Beside them
"refused", why XLA compiles no synchronized BatchNorm, "ends", how many steps two devices take of four batches whose
number nobody knows, by steps a call, and what images that are not finite do: "diverged" and "overflow".
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf

from simsiam_tf import LinearProbe, SimSiam, make_optimizer, recipe
from simsiam_tf.data import ArrayImages, training_batches
from simsiam_tf.data.order import ContinualOrder
from simsiam_tf.errors import InputError
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


def make(workers, synchronized=True, per_execution=1, jit=False, loss_scale=None):
    keras.utils.clear_session(free_memory=False)  # the same names in every run
    with workers.strategy.scope():
        augmenter = recipe("none", image_size=12, min_area=0.3, flip=0.5)  # others take seconds to compile
        sizes = {"projection_dim": 16, "predictor_hidden": 4, "num_views": 3}
        model = SimSiam(backbone(synchronized), augmenter, weight_average=0.9, seed=3, **sizes)
        for layer in model._flatten_layers():
            if isinstance(layer, BatchNorm):
                layer.synchronized = synchronized
        settings = {"learning_rate": 0.5, "batch_size": BATCH, "epochs": 4, "weight_decay": 5e-4, "warmup_epochs": 1}
        optimizer = make_optimizer(model, STEPS // 4, **settings)
        if loss_scale:  # as Keras does for float16
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer, loss_scale, dynamic_growth_steps=7)
        model.compile(optimizer, steps_per_execution=per_execution, jit_compile=jit)
    return model


def train(workers, synchronized=True, order=None, **options):
    """Every variable and the loss and probe accuracy of each epoch."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (85, 14, 14, 3), dtype=np.uint8)
    labels, sizes = generator.integers(0, 4, 85), generator.integers(8, 15, (85, 2)).astype(np.int32)
    images = ArrayImages(images, labels=labels, sizes=sizes)
    model, probe, history = make(workers, synchronized, **options), LinearProbe(4), []
    keep = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: history.append(dict(logs)))

    def batches(part, parts):
        shared = {"part": part, "parts": parts, "order": order}
        return training_batches(images, BATCH, 5, with_labels=True, with_rows=True, **shared)

    stream = workers.batches(batches)
    model.fit(stream, steps_per_epoch=STEPS // 4, epochs=4, verbose=0, shuffle=False, callbacks=[probe, keep])
    variables = model.weights + model.optimizer.variables + probe.variables
    # The average has the backbone's; a loss scale is before the optimizer's where that is built within it.
    paths = [v.path.removeprefix("loss_scale_optimizer/") for v in variables]
    names = [f"{path} {paths[:i].count(path)}" for i, path in enumerate(paths)]
    arrays = {name: tf.convert_to_tensor(v).numpy() for name, v in zip(names, variables, strict=True)}
    return arrays | {name: np.array([float(logs[name]) for logs in history]) for name in ("loss", "probe_accuracy")}


def halves(self, inputs, training):
    """The fused kernel on each half of a batch; the moving statistics follow the first. The probe's sees all."""
    if not training or self.synchronized:
        return fused(self, inputs, training)
    (first, mean, variance), (second, *_) = (fused(self, half, training) for half in tf.split(inputs, 2))
    return tf.concat([first, second], axis=0), mean, variance


def broken(workers, **options):
    """A model after a step on a batch whose last image alone is not finite, and its kernels before."""
    model = make(workers, synchronized=False, **options)
    before = [each.numpy() for each in model.trainable_variables]
    images = np.random.default_rng(0).uniform(0, 255, (BATCH, 12, 12, 3)).astype("float32")
    images[-1] = np.nan
    model.fit(tf.data.Dataset.from_tensors(images).repeat(), steps_per_epoch=1, verbose=0, shuffle=False)
    return model, before


def copies(workers, variable):
    """Its value in each replica."""
    return np.array([copy.numpy() for copy in workers.strategy.experimental_local_results(variable.value)])


def overflow(workers):
    """The loss scale in each replica after it, and how far any of them has moved a weight."""
    model, before = broken(workers, loss_scale=64.0)
    moved = [np.abs(copies(workers, v) - old).max() for v, old in zip(model.trainable_variables, before, strict=True)]
    return {"scale": copies(workers, model.optimizer.dynamic_scale), "moved": np.max(moved)}


def refused(workers):
    try:
        train(workers, jit=True)
    except InputError as error:
        return str(error)


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
    runs |= {"scaled_one": train(one, loss_scale=1024.0), "scaled_two": train(two, loss_scale=1024.0)}
    order = ContinualOrder(np.random.default_rng(1).permutation(85), BATCH, 5, "single_pass", 4, switch_epoch=3)
    runs |= {"chunks_one": train(one, order=order), "chunks_two": train(two, order=order)}
    runs["diverged"] = {"at": copies(two, broken(two)[0].diverged_at)}
    runs["overflow"] = overflow(two)
    runs["compiled"] = train(two, synchronized=False, jit=True)
    runs["refused"] = {"why": np.array(refused(two))}
    runs["ends"] = {str(each): np.array(steps_of_unknown(two, each)) for each in (1, 3)}
    BatchNorm._fused = halves
    runs["halves"] = train(one, synchronized=False)
    np.savez(sys.argv[1], **{f"{run}/{name}": array for run, arrays in runs.items() for name, array in arrays.items()})
