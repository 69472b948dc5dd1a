"""Cost against batch size, image size and number of images: seconds per image and peak memory.

    python benchmarks/scaling.py --json benchmarks/results/scaling.json --figure benchmarks/results/scaling.png

Every point is a process of its own, since memory peaks do not go down; one size varies while the others keep the
middle of their grid. Memory is the host's on a CPU, the device's on a GPU.
"""

import argparse
import json
import subprocess
import sys

CHILD = """
import os, sys, time, json, resource
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
import numpy as np, tensorflow as tf
from simsiam_tf.cli.tensorflow import two_at_a_time
from simsiam_tf.runs.build import build_method, compile_method, has_gpu, prepare_process
from simsiam_tf.settings.schema import Config, DataSettings, ResNetSettings, SGDSettings
from simsiam_tf.data import training_batches
from simsiam_tf.data.sources import from_arrays
width, batch, size, count, steps = map(int, sys.argv[1:])
config = Config(backbone=ResNetSettings(width=width), data=DataSettings(image_size=size),
                optimizer=SGDSettings(batch_size=batch))
two_at_a_time()
prepare_process(config)
model = build_method(config)
compile_method(model, config, count // batch)
images = from_arrays(np.random.default_rng(0).integers(0, 256, (count, size, size, 3), np.uint8))
def fit(steps):
    start = time.process_time(), time.perf_counter()
    model.fit(training_batches(images, batch, 0), steps_per_epoch=steps, shuffle=False, verbose=0)
    return (time.process_time() - start[0]) / steps, (time.perf_counter() - start[1]) / steps
fit(1)
cpu, wall = fit(steps)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
if has_gpu():
    peak = tf.config.experimental.get_memory_info("GPU:0")["peak"]
print("POINT" + json.dumps({"cpu_seconds_per_step": cpu, "seconds_per_step": wall, "peak_memory_bytes": peak}))
"""
GRID = {"batch_size": (16, 64, 256), "image_size": (16, 32, 64), "images": (1024, 8192, 65536)}
NAMES = {"batch_size": "batch size", "image_size": "image size / px", "images": "number of images"}


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=16, help="channels of the first stage of a ResNet-18")
    parser.add_argument("--steps", type=int, default=4)
    for name, values in GRID.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, nargs="+", default=values)
    parser.add_argument("--json", metavar="FILE", help="write the figures here, too")
    parser.add_argument("--figure", metavar="FILE", help="draw them here")
    return parser.parse_args()


def measure(width, batch_size, image_size, images, steps):
    numbers = [str(n) for n in (width, batch_size, image_size, images, steps)]
    done = subprocess.run([sys.executable, "-c", CHILD, *numbers], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    point = {"batch_size": batch_size, "image_size": image_size, "images": images}
    return point | json.loads(done.stdout.split("POINT")[1])


def draw(series, path):
    """A column for each size that varies: milliseconds per image above, peak memory below."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, len(series), figsize=(9, 5), sharey="row", layout="constrained", squeeze=False)
    for (name, points), (above, below) in zip(series.items(), axes.T, strict=True):
        x = [point[name] for point in points]
        above.loglog(x, [1000 * p["cpu_seconds_per_step"] / p["batch_size"] for p in points], "o-")
        below.semilogx(x, [p["peak_memory_bytes"] / 1e9 for p in points], "o-")
        for axis in (above, below):
            axis.set_xticks(x, [f"{value:,}" for value in x])
            axis.minorticks_off()
        below.set_xlabel(NAMES[name])
    ticks = (1, 2, 5, 10, 20, 50, 100)
    axes[0, 0].set_yticks(ticks, ticks)
    axes[0, 0].set_ylabel("CPU ms per image")
    axes[1, 0].set_ylabel("peak memory / GB")
    figure.savefig(path, dpi=120)


def main():
    arguments = parse()
    grid = {name: getattr(arguments, name) for name in GRID}
    middle = {name: values[len(values) // 2] for name, values in grid.items()}
    series = {}
    for name, values in grid.items():
        print(f"\n{NAMES[name]:18}{'ms/image':>10}{'CPU ms/image':>14}{'ms/step':>10}{'peak GB':>9}")
        series[name] = []
        for value in values:
            p = measure(arguments.width, **(middle | {name: value}), steps=arguments.steps)
            series[name].append(p)
            step, cpu = (1000 * p[key] for key in ("seconds_per_step", "cpu_seconds_per_step"))
            print(
                f"{value:<18}{step / p['batch_size']:>10.2f}{cpu / p['batch_size']:>14.2f}{step:>10.0f}"
                f"{p['peak_memory_bytes'] / 1e9:>9.2f}",
                flush=True,
            )
    if arguments.figure:
        draw(series, arguments.figure)
    if arguments.json:
        import record  # brings TensorFlow, which the children should have for themselves

        record.write(arguments.json, {"width": arguments.width, "steps": arguments.steps, "series": series})


if __name__ == "__main__":
    main()
