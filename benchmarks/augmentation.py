"""Views per second of an augmentation recipe on this machine, compiled by XLA and not.

    python benchmarks/augmentation.py --recipe cifar10 --image-size 32 --batch-size 512 --json FILE

Each figure is the median over several timed calls on uint8 images of the views' size, one new seed per call.
"""

import argparse
import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import record
import tensorflow as tf

from simsiam_tf.augment import RECIPES, recipe


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", choices=list(RECIPES), default="cifar10")
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--batch-size", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=15, help="timed calls, of which the median counts")
    parser.add_argument("--json", metavar="FILE", help="write the figures here, too")
    return parser.parse_args()


def measure(augmenter, images, compiled, repeats):
    """Views per second: median, slowest, fastest call; and the seconds of the first one, with tracing."""
    function = tf.function(augmenter, jit_compile=compiled)
    seconds = []
    for i in range(repeats + 1):
        start = time.perf_counter()
        function(images, tf.constant([0, i])).numpy()
        seconds.append(time.perf_counter() - start)
    first, *seconds = seconds
    rates = [len(images) / s for s in seconds]
    return {
        "compiled": compiled,
        "views_per_second": round(statistics.median(rates)),
        "slowest": round(min(rates)),
        "fastest": round(max(rates)),
        "first_call_seconds": round(first, 2),
    }


def main():
    arguments = parse()
    shape = (arguments.batch_size, arguments.image_size, arguments.image_size, 3)
    images = tf.constant(np.random.default_rng(0).integers(0, 256, shape, np.uint8))
    augmenter = recipe(arguments.recipe, arguments.image_size)
    results = [measure(augmenter, images, compiled, arguments.repeats) for compiled in (True, False)]

    print(f"{arguments.recipe}, {arguments.image_size} px, batch {arguments.batch_size}")
    print(f"{'':12}{'views/s':>10}{'slowest':>10}{'fastest':>10}{'first call':>12}")
    for r in results:
        name = "compiled" if r["compiled"] else "uncompiled"
        rates = "".join(f"{r[key]:>10,}" for key in ("views_per_second", "slowest", "fastest"))
        print(f"{name:12}{rates}{r['first_call_seconds']:>10} s")

    if arguments.json:
        setting = {name: getattr(arguments, name) for name in ("recipe", "image_size", "batch_size", "repeats")}
        record.write(arguments.json, setting | {"results": results})


if __name__ == "__main__":
    main()
