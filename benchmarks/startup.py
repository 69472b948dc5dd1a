"""From the command to the first training step, and the most memory a run takes, each run in its own process.

    python benchmarks/startup.py --json benchmarks/results/startup.json

The run is that of `simsiam-tf train` on random images: imports, networks and optimizer, then the first step (graph,
compilation of the augmentation, one step), then the second.
"""

import argparse
import itertools
import resource
import subprocess
import sys
import time

CHILD = """
import os, sys, time
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
marks = [float(sys.argv[1])]
def mark(): marks.append(time.time())
mark()
from simsiam_tf.runs import train
mark()
import numpy as np
from simsiam_tf.runs.build import build_method, compile_method, prepare_process
from simsiam_tf.settings.schema import Config, DataSettings, ResNetSettings, SGDSettings
from simsiam_tf.data.sources import from_arrays
from simsiam_tf.data import training_batches
width, size, batch = map(int, sys.argv[2:5])
config = Config(backbone=ResNetSettings(width=width), data=DataSettings(image_size=size),
                optimizer=SGDSettings(batch_size=batch))
prepare_process(config)
model = build_method(config)
compile_method(model, config, 10)
mark()
images = from_arrays(np.random.default_rng(0).integers(0, 256, (2 * batch, size, size, 3), np.uint8))
model.fit(training_batches(images, batch, 0), steps_per_epoch=1, shuffle=False, verbose=0)
mark()
model.fit(training_batches(images, batch, 0, 1), steps_per_epoch=1, shuffle=False, verbose=0)
mark()
print("MARKS", *marks)
"""
PARTS = ("interpreter", "import", "build", "first_step", "second_step")


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=64, help="channels of the first stage of a ResNet-18")
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", metavar="FILE", help="write the figures here, too")
    return parser.parse_args()


def run(width, image_size, batch_size):
    """Seconds of each part of one run."""
    arguments = [str(value) for value in (time.time(), width, image_size, batch_size)]
    done = subprocess.run([sys.executable, "-c", CHILD, *arguments], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    marks = [float(m) for m in done.stdout.split("MARKS")[1].split()]
    return dict(zip(PARTS, (after - before for before, after in itertools.pairwise(marks)), strict=True))


def main():
    arguments = parse()
    runs = [run(arguments.width, arguments.image_size, arguments.batch_size) for _ in range(arguments.rounds)]
    # Of all children so far, in KiB on Linux.
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024

    import record  # brings TensorFlow, which the runs should have for themselves

    results = {part: record.spread([each[part] for each in runs]) for part in PARTS}
    results["to_first_step"] = record.spread([sum(each[part] for part in PARTS[:-1]) for each in runs])
    print(f"ResNet-18, width {arguments.width}, {arguments.image_size} px, batch {arguments.batch_size}")
    print(f"{'':16}{'seconds':>9}{'min':>8}{'max':>8}")
    for part, s in results.items():
        print(f"{part:16}{s['median']:>9.1f}{s['min']:>8.1f}{s['max']:>8.1f}")
    print(f"peak memory {peak / 1e9:.2f} GB")
    if arguments.json:
        figures = {k: v for k, v in vars(arguments).items() if k != "json"}
        record.write(arguments.json, figures | {"seconds": results, "peak_memory_bytes": peak})


if __name__ == "__main__":
    main()
