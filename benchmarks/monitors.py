"""What the monitors cost: time of ten epochs with all of them at their default intervals, over ten without.

    python benchmarks/monitors.py --json benchmarks/results/monitors.json

10,000 training and 2,000 test images of CIFAR-10's shape, random pixels, a small ResNet-18 at 16 px: a small network
and few pixels make the monitors look dear, since they cost less the more a training step costs. Blocks of both kinds
alternate in one process; the median ratio of neighbours counts.
"""

import argparse
import os
import statistics
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import record

from simsiam_tf import CollapseMonitor, KNNMonitor, LinearProbe, Rates, SimSiam, ViewImages, make_optimizer, recipe
from simsiam_tf.callbacks import MonitorImages
from simsiam_tf.cli.tensorflow import two_at_a_time
from simsiam_tf.networks import resnet as backbones

EPOCHS, BATCH = 10, 64


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--width", type=int, default=16, help="channels of the first stage")
    parser.add_argument("--projection-dim", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=3, help="pairs of blocks")
    parser.add_argument("--json", metavar="FILE", help="write the figures here, too")
    return parser.parse_args()


def main():
    arguments = parse()
    two_at_a_time()
    n = arguments.images // BATCH * BATCH
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (n + 2000, 16, 16, 3), np.uint8)
    labels = generator.integers(0, 10, n + 2000)
    backbone = backbones.build("resnet18", width=arguments.width)
    model = SimSiam(backbone, recipe("cifar10", image_size=16), projection_dim=arguments.projection_dim)
    model.compile(optimizer=make_optimizer(model, n // BATCH, learning_rate=0.03, batch_size=BATCH, epochs=1000))
    bank, queries = MonitorImages(images[:n], labels[:n]), MonitorImages(images[n:], labels[n:])
    folder = tempfile.mkdtemp()
    monitors = [
        Rates(BATCH),
        KNNMonitor(bank, queries),
        LinearProbe(10, queries),
        CollapseMonitor(bank),
        ViewImages(images[:8], folder),
        keras.callbacks.TensorBoard(folder, write_graph=False),
    ]

    def block(callbacks):
        start = time.perf_counter()
        model.fit(images[:n], labels[:n], BATCH, EPOCHS, 0, callbacks)
        return time.perf_counter() - start

    for callbacks in ([], monitors):  # trace and compile
        model.fit(images[:BATCH], labels[:BATCH], BATCH, EPOCHS, 0, callbacks)
    pairs = []
    for _ in range(arguments.repeats):
        pairs.append((block([]), block(monitors)))
        print(f"without {pairs[-1][0]:6.1f} s   with {pairs[-1][1]:6.1f} s   ratio {pairs[-1][1] / pairs[-1][0]:.3f}")
    ratios = [b / a for a, b in pairs]
    print(f"median ratio of {len(ratios)}: {statistics.median(ratios):.3f}")
    if arguments.json:
        figures = {"images": n, "width": arguments.width, "projection_dim": arguments.projection_dim}
        record.write(arguments.json, figures | {"ratios": ratios, "median_ratio": statistics.median(ratios)})


if __name__ == "__main__":
    main()
