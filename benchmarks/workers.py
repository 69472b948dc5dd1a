"""One process beside two or more that share the batch: seconds per step, each process on a core of its own.

    python benchmarks/workers.py --json benchmarks/results/workers.json

Weak scaling: every process has the same share of the batch, so that an ideal step takes as long whatever their number.
The CPU seconds of a process also count what distribution costs where other work slows the wall clock.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys

CHILD = """
import json, os, sys, time
index, count, share, width, size, steps, rounds, synchronized = map(int, sys.argv[1:])
os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[index]})
os.environ |= {"CUDA_VISIBLE_DEVICES": "-1"}
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import numpy as np
from simsiam_tf.runs.build import build_method, compile_method, prepare_process
from simsiam_tf.settings.schema import Config, DataSettings, ResNetSettings, SGDSettings, TrainingSettings
from simsiam_tf.data import training_batches
from simsiam_tf.data.sources import from_arrays
from simsiam_tf.runs.workers import Workers
config = Config(backbone=ResNetSettings(width=width), data=DataSettings(image_size=size),
                optimizer=SGDSettings(batch_size=share * count), training=TrainingSettings(
                    distribution="multi_worker" if count > 1 else "none", sync_batch_norm=bool(synchronized)))
workers = Workers(config.training.distribution)
prepare_process(config)
with workers.strategy.scope():
    model = build_method(config)
    compile_method(model, config, steps)
images = from_arrays(np.random.default_rng(0).integers(0, 256, (8 * share * count, size, size, 3), np.uint8))
def fit(steps):
    def batches(part, parts):
        return training_batches(images, share * count, 0, part=part, parts=parts)
    model.fit(workers.batches(batches), steps_per_epoch=steps, shuffle=False, verbose=0)
    return int(model.step.numpy())
with workers.watched():
    fit(1)
    figures = []
    for _ in range(rounds):
        workers.wait()
        cpu, wall = time.process_time(), time.perf_counter()
        fit(steps)
        figures.append({"cpu": (time.process_time() - cpu) / steps, "wall": (time.perf_counter() - wall) / steps})
    workers.wait()
print("FIGURES" + json.dumps(figures), flush=True)
os._exit(0)
"""


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, nargs="+", default=(1, 2))
    parser.add_argument("--share", type=int, default=32, help="images of a batch per process")
    parser.add_argument("--width", type=int, default=16, help="channels of the first stage of a ResNet-18")
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", metavar="FILE", help="write the figures here, too")
    return parser.parse_args()


def measure(count, synchronized, a):
    """Seconds per step of each round, [{"cpu", "wall"}]: the slowest process's wall, the mean of their CPU."""
    sockets = [socket.create_server(("localhost", 0)) for _ in range(count)]
    addresses = [f"localhost:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    children = []
    for index in range(count):
        numbers = [index, count, a.share, a.width, a.image_size, a.steps, a.rounds, int(synchronized)]
        cluster = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        command = [sys.executable, "-c", CHILD, *map(str, numbers)]
        environment = os.environ | {"TF_CONFIG": json.dumps(cluster)}
        children.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
    said = [child.communicate()[0] for child in children]
    if any(child.returncode for child in children):
        raise SystemExit("a process has failed; its message is above")
    rounds = zip(*(json.loads(text.split("FIGURES")[1]) for text in said), strict=True)
    return [{"wall": max(p["wall"] for p in each), "cpu": statistics.mean(p["cpu"] for p in each)} for each in rounds]


def main():
    a = parse()
    import record  # checks that it can be written before minutes are spent

    points = []
    print(f"{'processes':>9} {'SyncBatchNorm':>14} {'wall s/step':>12} {'CPU s/step':>11} {'images/s':>9}")
    for count in a.processes:
        for synchronized in (True, False) if count > 1 else (True,):
            rounds = measure(count, synchronized, a)
            wall, cpu = (statistics.median(r[clock] for r in rounds) for clock in ("wall", "cpu"))
            point = {"processes": count, "sync_batch_norm": synchronized, "rounds": rounds}
            points.append(point | {"wall_seconds_per_step": wall, "cpu_seconds_per_step": cpu})
            name = "-" if count == 1 else "on" if synchronized else "off"
            print(f"{count:9} {name:>14} {wall:12.3f} {cpu:11.3f} {count * a.share / wall:9.1f}", flush=True)
    if a.json:
        setting = {"share": a.share, "width": a.width, "image_size": a.image_size, "steps": a.steps}
        record.write(a.json, setting | {"points": points})


if __name__ == "__main__":
    main()
