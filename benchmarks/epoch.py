"""Images per second of an epoch as `simsiam-tf train` runs it, and of its parts by themselves.

    python benchmarks/epoch.py --json benchmarks/results/epoch.json

Random images in memory. input: the batches alone; augmentation: two views of one batch; step: one training step on
given views; epoch: everything, through `fit`, with the progress and TensorBoard callbacks. All take turns.
"""

import argparse
import os
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import record
import tensorflow as tf

from simsiam_tf.callbacks import Rates
from simsiam_tf.cli.tensorflow import two_at_a_time
from simsiam_tf.data import training_batches
from simsiam_tf.data.sources import from_arrays
from simsiam_tf.runs.build import build_method, compile_method, prepare_process
from simsiam_tf.settings.schema import Config, DataSettings, ResNetSettings, SGDSettings, TrainingSettings


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=2048)
    parser.add_argument("--width", type=int, default=16, help="channels of the first stage of a ResNet-18")
    parser.add_argument("--image-size", type=int, default=16)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--precision", choices=["auto", "float32", "bfloat16"], default="auto")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", metavar="FILE", help="write the figures here, too")
    return parser.parse_args()


def configure(arguments):
    return Config(
        backbone=ResNetSettings(width=arguments.width),
        data=DataSettings(image_size=arguments.image_size),
        optimizer=SGDSettings(batch_size=arguments.batch_size),
        training=TrainingSettings(precision=arguments.precision),
    )


def parts(config, images, steps):
    """Functions that do each part of an epoch as often as an epoch does."""
    model = build_method(config)
    compile_method(model, config, steps)
    batch_size = config.optimizer.batch_size
    batch = next(iter(training_batches(images, batch_size, 0)))
    draw = tf.function(lambda step: model.draw_views(batch, step))
    views = draw(tf.constant(0, tf.int64))
    given = build_method(config)
    compile_method(given, config, steps)
    given.draw_views = lambda *_: views
    train_step = tf.function(given.train_step, jit_compile=given.jit_compile)
    callbacks = [Rates(batch_size), keras.callbacks.TensorBoard(tempfile.mkdtemp(), write_graph=False)]

    def synchronously(function):
        def whole():
            for step in range(steps):
                function(step)
            tf.test.experimental.sync_devices()

        return whole

    def read():
        for _ in training_batches(images, batch_size, 0, steps=steps):
            pass

    def epoch():
        batches = training_batches(images, batch_size, 0)
        model.fit(batches, steps_per_epoch=steps, callbacks=callbacks, shuffle=False, verbose=0)

    return {
        "input": read,
        "augmentation": synchronously(lambda step: draw(tf.constant(step, tf.int64))),
        "step": synchronously(lambda _: train_step(batch)),
        "epoch": epoch,
    }


def main():
    arguments = parse()
    two_at_a_time()
    config = configure(arguments)
    precision = prepare_process(config)
    shape = (arguments.images, arguments.image_size, arguments.image_size, 3)
    images = from_arrays(np.random.default_rng(0).integers(0, 256, shape, np.uint8))
    steps = arguments.images // arguments.batch_size
    seconds = record.in_turns(parts(config, images, steps), arguments.rounds)

    print(f"ResNet-18, width {arguments.width}, {arguments.image_size} px, batch {arguments.batch_size}, {precision}")
    print(f"{'':16}{'images/s':>10}{'slowest':>10}{'fastest':>10}{'of the epoch':>14}")
    results = []
    for part, values in seconds.items():
        rates = record.spread([steps * arguments.batch_size / s for s in values])
        results.append({"part": part, "images_per_second": rates, "share": record.ratio(values, seconds["epoch"])})
        figures = "".join(f"{rates[key]:>10,.0f}" for key in ("median", "min", "max"))
        print(f"{part:16}{figures}{100 * results[-1]['share']:>12.1f} %")
    lost = 1 - results[2]["share"]
    print(f"lost to everything but the step: {100 * lost:.1f} %")
    if arguments.json:
        setting = {k: v for k, v in vars(arguments).items() if k != "json"} | {"precision": precision}
        record.write(arguments.json, setting | {"results": results, "lost_share": lost})


if __name__ == "__main__":
    main()
