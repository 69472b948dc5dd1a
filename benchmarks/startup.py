"""From the command to its first loss, and the most memory it takes until then, each run in its own process.

    python benchmarks/startup.py --json benchmarks/results/startup.json

It is `simsiam-tf train --config digits`, or with other arguments, and is ended after two steps: imports;
images, networks and optimizer; the first step (graph, compilation of the augmentation, one step); the second.
"""

import argparse
import itertools
import resource
import subprocess
import sys
import tempfile
import time

CHILD = """
import os, sys, time
marks = [float(sys.argv[1])]
def mark(): marks.append(time.time())
mark()
from simsiam_tf.cli.tensorflow import quiet_tensorflow
quiet_tensorflow()
from simsiam_tf.runs import fit, train
mark()
trained = train.fit
def begin(*arguments):
    mark()
    return trained(*arguments)
train.fit = begin
def end(self, batch, logs=None):
    mark()
    if len(marks) == 6:
        print("MARKS", *marks, flush=True)
        os._exit(0)
fit.EndOfPart.on_train_batch_end = end
from simsiam_tf.cli.main import main
sys.exit(main(["train", "--output", *sys.argv[2:]]))
"""
PARTS = ("interpreter", "import", "images and networks", "first step", "second step")


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", metavar="FILE", help="write the figures here, too")
    parser.add_argument("train", nargs="*", default=["--config=digits"], help="arguments of train, after --")
    return parser.parse_args()


def run(arguments):
    """Seconds of each part of one run."""
    with tempfile.TemporaryDirectory() as output:
        command = [sys.executable, "-c", CHILD, str(time.time()), output, *arguments]
        done = subprocess.run(command, capture_output=True, text=True)
    if "MARKS" not in done.stdout:
        raise SystemExit(done.stderr)
    marks = [float(m) for m in done.stdout.split("MARKS")[1].split()]
    return dict(zip(PARTS, (after - before for before, after in itertools.pairwise(marks)), strict=True))


def main():
    arguments = parse()
    runs = [run(arguments.train) for _ in range(arguments.rounds)]
    # Of all children so far, in KiB on Linux.
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024

    import record  # brings TensorFlow, which the runs should have for themselves

    results = {part: record.spread([each[part] for each in runs]) for part in PARTS}
    results["to the first loss"] = record.spread([sum(each[part] for part in PARTS[:-1]) for each in runs])
    print(f"{'train ' + ' '.join(arguments.train):<36}{'seconds':>9}{'min':>8}{'max':>8}")
    for part, s in results.items():
        print(f"{part:36}{s['median']:>9.1f}{s['min']:>8.1f}{s['max']:>8.1f}")
    print(f"peak memory {peak / 1e9:.2f} GB")
    if arguments.json:
        figures = {k: v for k, v in vars(arguments).items() if k != "json"}
        record.write(arguments.json, figures | {"seconds": results, "peak_memory_bytes": peak})


if __name__ == "__main__":
    main()
