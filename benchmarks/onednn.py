"""On a CPU: oneDNN's kernels, as TensorFlow calls them, beside what networks/onednn.py has in their place.

    python benchmarks/onednn.py --json benchmarks/results/onednn.json

Batch normalisation with its gradient, by channels, and the gradient of a 3x3 kernel, by pixels and channels of its
inputs, in bfloat16; where the output has very few pixels, in float32, too.
Each process has one core for an operation, as the command has on two.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import record
import tensorflow as tf

from simsiam_tf.cli.tensorflow import two_at_a_time
from simsiam_tf.networks import onednn

BATCH = 64
NORMS = [(32, 8), (32, 16), (32, 24), (32, 64), (1, 2048)]  # pixels and channels
# Pixels, channels and stride.
KERNELS = [(16, 16, 1), (8, 16, 1), (8, 64, 1), (8, 256, 1), (4, 32, 1), (4, 128, 1), (4, 512, 1), (2, 512, 1)]
KERNELS += [(32, 64, 1), (16, 64, 1), (16, 128, 1), (32, 64, 2), (16, 128, 2), (8, 64, 2), (8, 256, 2), (4, 256, 2)]
KERNELS = [(*each, tf.bfloat16) for each in KERNELS]
KERNELS += [(*each, tf.float32) for each in ((8, 256, 1), (4, 512, 1), (2, 512, 1), (1, 512, 1), (4, 512, 2))]


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=5, help="of each in a round")
    parser.add_argument("--json", metavar="FILE", help="write the figures here, too")
    return parser.parse_args()


def normal(*shape, dtype=tf.bfloat16):
    return tf.cast(tf.random.stateless_normal(shape, [0, 1]), dtype)


def norm(side, channels, dtype):
    """A function that normalises images in a dtype, and has the gradient."""

    @tf.function(autograph=False)
    def both(x, upstream):
        with tf.GradientTape() as tape:
            tape.watch(x)
            none, ones, zeros = tf.zeros([0]), tf.ones([channels]), tf.zeros([channels])
            outputs, *_ = tf.raw_ops.FusedBatchNormV3(
                x=tf.cast(x, dtype), scale=ones, offset=zeros, mean=none, variance=none, epsilon=1e-5, is_training=True
            )
            outputs = tf.cast(outputs, x.dtype)
        return tape.gradient(outputs, x, upstream)

    x, upstream = (normal(BATCH, side, side, channels) for _ in range(2))
    return lambda: both(x, upstream)


def kernel(side, channels, stride, dtype, convolution):
    """A function that has the gradient of a 3x3 kernel of `convolution(inputs, kernel, stride, padding)`."""

    @tf.function(autograph=False)
    def gradient(x, weights):
        with tf.GradientTape() as tape:
            tape.watch(weights)
            outputs = convolution(x, weights, stride, "SAME" if stride == 1 else "VALID")
        return tape.gradient(outputs, weights, tf.ones_like(outputs))

    pads = 0 if stride == 1 else 2
    x = normal(BATCH, side + pads, side + pads, channels, dtype=dtype)
    weights = normal(3, 3, channels, channels * stride, dtype=dtype)
    return lambda: gradient(x, weights)


def block(function, calls):
    def run():
        for _ in range(calls):
            result = function()
        result.numpy()

    return run


def measure(arguments, **functions):
    """{name: spread of a call's milliseconds}"""
    blocks = {name: block(function, arguments.calls) for name, function in functions.items()}
    seconds = record.in_turns(blocks, arguments.rounds, "wall")
    return {name: record.spread([1000 * s / arguments.calls for s in values]) for name, values in seconds.items()}


def main():
    arguments = parse()
    two_at_a_time()
    rows = []
    for side, channels in NORMS:
        functions = {"onednn": norm(side, channels, tf.bfloat16), "ours": norm(side, channels, tf.float32)}
        taken = onednn.batch_norm_dtype(normal(1, channels)) == tf.float32
        rows.append({"what": f"batch normalisation, {side} px, {channels} channels", "taken": taken})
        rows[-1] |= measure(arguments, **functions)
    for side, channels, stride, dtype in KERNELS:
        found = {"onednn": tf.nn.conv2d, "ours": onednn.conv2d}
        functions = {name: kernel(side, channels, stride, dtype, each) for name, each in found.items()}
        side_in = side if stride == 1 else side + 2
        inputs = tf.TensorSpec((BATCH, side_in, side_in, channels), dtype)
        taken = onednn.slow_gradient(inputs, 3, stride, "SAME" if stride == 1 else "VALID")
        what = f"3x3 kernel, stride {stride}, {side} px, {channels} channels, {dtype.name}"
        rows.append({"what": what, "taken": taken})
        rows[-1] |= measure(arguments, **functions)
    print("| | oneDNN's, ms | ours, ms | ratio | taken |\n|---|---|---|---|---|")
    for row in rows:
        theirs, ours = row["onednn"], row["ours"]
        texts = (f"{each['median']:.2f} ({each['min']:.2f} to {each['max']:.2f})" for each in (theirs, ours))
        ratio = theirs["median"] / ours["median"]
        print(f"| {row['what']} | {' | '.join(texts)} | {ratio:.2f} | {'yes' if row['taken'] else 'no'} |")
    if arguments.json:
        record.write(arguments.json, {"batch": BATCH, "rounds": arguments.rounds, "rows": rows})


if __name__ == "__main__":
    main()
