"""Where a training step spends its time: operations of a few steps, by TensorFlow's profiler.

    python benchmarks/step_profile.py --precision bfloat16

On a GPU the table shows the device's kernels; the trace itself stays in --trace, for TensorBoard's profile page.
"""

import argparse
import collections
import os
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import record
import tensorflow as tf
from step import build, our_block
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from simsiam_tf.cli.tensorflow import two_at_a_time


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--stem", default="cifar")
    parser.add_argument("--width", type=int, default=64, help="channels of the first stage")
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--trace", metavar="FOLDER", help="default: a temporary one")
    parser.add_argument("--json", metavar="FILE", help="write the figures here, too")
    return parser.parse_args()


def milliseconds(folder):
    """{operation: milliseconds} of a trace: of the GPU's streams if it has any, else of the host's threads."""
    [file] = Path(folder).rglob("*.xplane.pb")
    space = xplane_pb2.XSpace.FromString(file.read_bytes())
    planes = [plane for plane in space.planes if plane.name.startswith("/device:GPU")]
    planes = planes or [plane for plane in space.planes if plane.name == "/host:CPU"]
    totals = collections.Counter()
    for plane in planes:
        for line in plane.lines:
            for event in line.events:
                name = plane.event_metadata[event.metadata_id].name
                if plane.name.startswith("/host"):  # an operation is "name:Kind"; the rest is the runtime's own
                    name = name.rsplit(":", 1)[-1]
                    if not (hasattr(tf.raw_ops, name) or name.startswith(("_Mkl", "_Fused"))):
                        continue
                totals[name] += event.duration_ps / 1e9
    return totals


def main():
    arguments = parse()
    two_at_a_time()
    shape = (2, arguments.batch_size, arguments.image_size, arguments.image_size, 3)
    views = np.random.default_rng(0).uniform(0, 255, shape).astype(np.float32)
    block = our_block(build(arguments, arguments.precision), views, arguments.steps)
    block()
    folder = arguments.trace or tempfile.mkdtemp()
    tf.profiler.experimental.start(folder)
    block()
    tf.profiler.experimental.stop()
    totals = milliseconds(folder)
    whole = sum(totals.values())
    print(f"{whole / arguments.steps:.1f} ms of operations a step, {arguments.precision}, batch {arguments.batch_size}")
    rows = [(name, ms / arguments.steps, ms / whole) for name, ms in totals.most_common(15)]
    for name, ms, share in rows:
        print(f"{100 * share:6.1f} % {ms:10.2f} ms  {name[:90]}")
    if arguments.json:
        setting = {k: v for k, v in vars(arguments).items() if k not in ("json", "trace")}
        operations = [{"operation": n, "milliseconds_per_step": ms, "share": share} for n, ms, share in rows]
        record.write(arguments.json, setting | {"operations": operations})


if __name__ == "__main__":
    main()
