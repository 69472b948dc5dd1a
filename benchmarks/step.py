"""A training step, ours and that of a PyTorch twin (same network, views, optimizer), taking turns in one process.

    python benchmarks/step.py --json benchmarks/results/step.json

The views are given, so that no side augments. Below the table: the floating-point rate reached, as a share of what a
large matrix product reaches on this machine in the same precision and in the same minutes. On a machine that others
use, `--threads 1 --clock cpu` keeps the ratios meaningful.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import record
import tensorflow as tf
from flops import step_flop

from simsiam_tf import SimSiam, make_optimizer
from simsiam_tf.networks import resnet as backbones
from simsiam_tf.runs.build import POLICIES, has_gpu

try:
    import twin
except ImportError:  # no torch here
    twin = None

TORCH = twin.VARIANTS if twin else ()


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", choices=list(backbones.BACKBONES), default="resnet18")
    parser.add_argument("--stem", choices=list(backbones.STEM_LAYERS), default="cifar")
    parser.add_argument("--width", type=int, default=64, help="channels of the first stage")
    parser.add_argument("--image-size", type=int, default=32)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--precision", nargs="+", choices=["float32", "bfloat16"], default=["float32", "bfloat16"])
    parser.add_argument("--variants", nargs="+", choices=["ours", *TORCH], default=["ours", *TORCH])
    parser.add_argument("--steps", type=int, default=2, help="steps of a variant in a round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of TensorFlow and of torch each")
    parser.add_argument("--clock", choices=list(record.CLOCKS), default="wall", help="cpu: of all threads together")
    parser.add_argument("--json", metavar="FILE", help="write the figures here, too")
    return parser.parse_args()


class GivenViews(SimSiam):
    """SimSiam whose training data are the two views themselves."""

    def draw_views(self, images, step, stream=0, sizes=None):
        return list(images)


def build(arguments, precision):
    keras.config.set_dtype_policy(POLICIES[precision])
    model = GivenViews(backbones.build(arguments.backbone, stem=arguments.stem, width=arguments.width))
    settings = {"learning_rate": 0.03, "batch_size": arguments.batch_size, "epochs": 100, "weight_decay": 5e-4}
    model.compile(optimizer=make_optimizer(model, 100, **settings))
    model.optimizer.build(model.trainable_variables)
    return model


def our_block(model, views, steps):
    """A function that does `steps` training steps as Keras's `fit` compiles them."""
    step = tf.function(model.train_step, jit_compile=model.jit_compile, autograph=False)
    data = (tuple(tf.constant(view) for view in views),)

    def block():
        for _ in range(steps):
            step(data)
        tf.test.experimental.sync_devices()

    return block


def torch_block(step, steps):
    def block():
        for _ in range(steps):
            step()
        twin.synchronize()

    return block


def matrix_block(precision, size):
    """A function that computes two products of square matrices, which a CPU does side by side."""
    a, b = (tf.cast(tf.random.normal((size, size)), precision) for _ in range(2))
    products = tf.function(lambda: (tf.linalg.matmul(a, b), tf.linalg.matmul(b, a)), autograph=False)

    def block():
        products()
        tf.test.experimental.sync_devices()

    return block


def measure(arguments, precision, matrix_size):
    """Seconds {variant: [one step's, each round]} and the operations of a step."""
    shape = (2, arguments.batch_size, arguments.image_size, arguments.image_size, 3)
    views = np.random.default_rng(0).uniform(0, 255, shape).astype(np.float32)
    model = build(arguments, precision)
    blocks = {"matrix": matrix_block(precision, matrix_size)}
    for variant in arguments.variants:
        if variant == "ours":
            blocks[variant] = our_block(model, views, arguments.steps)
        elif reason := twin.missing(variant, has_gpu()):
            print(f"{variant} left out: {reason}")
        else:
            a = arguments
            step = twin.step(model, a.backbone, a.stem, a.width, views, variant, precision, a.threads)
            blocks[variant] = torch_block(step, a.steps)
    seconds = record.in_turns(blocks, arguments.rounds, arguments.clock)
    matrix = seconds.pop("matrix")
    seconds = {name: [s / arguments.steps for s in values] for name, values in seconds.items()}
    return seconds, matrix, step_flop(model, arguments.image_size, arguments.batch_size)


def main():
    arguments = parse()
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)  # torch needs some of it
    tf.config.threading.set_intra_op_parallelism_threads(max(1, arguments.threads // 2))  # as `two_at_a_time`
    tf.config.threading.set_inter_op_parallelism_threads(arguments.threads)
    matrix_size = 8192 if has_gpu() else 2048
    results = []
    for precision in arguments.precision:
        seconds, matrix, flop = measure(arguments, precision, matrix_size)
        matrix_rate = 2 * 2 * matrix_size**3 / record.spread(matrix)["median"]
        reference = seconds.get("torch_eager")
        for variant, values in seconds.items():
            median = record.spread(values)["median"]
            results.append(
                {
                    "variant": variant,
                    "precision": precision,
                    "step_seconds": record.spread(values),
                    "images_per_second": arguments.batch_size / median,
                    "speed_over_torch_eager": 1 / record.ratio(values, reference) if reference else None,
                    "gigaflop": flop / 1e9,
                    "gigaflop_per_second": flop / median / 1e9,
                    "share_of_matrix_rate": flop / median / matrix_rate,
                }
            )
        print_table(arguments, [r for r in results if r["precision"] == precision], flop, matrix_rate)
    if arguments.json:
        record.write(arguments.json, {k: v for k, v in vars(arguments).items() if k != "json"} | {"results": results})


def print_table(arguments, results, flop, matrix_rate):
    a = arguments
    print(
        f"\n{a.backbone}, width {a.width}, {a.image_size} px, batch {a.batch_size}, {results[0]['precision']}; "
        f"{a.threads} threads, {a.clock} time"
    )
    print(f"{'':22}{'ms/step':>8}{'min':>8}{'max':>8}{'images/s':>10}{'over eager':>12}{'GFLOP/s':>9}{'of matrix':>11}")
    for r in results:
        times = "".join(f"{1000 * r['step_seconds'][key]:>8.0f}" for key in ("median", "min", "max"))
        over = f"{r['speed_over_torch_eager']:.2f} x" if r["speed_over_torch_eager"] else "-"
        share = f"{100 * r['share_of_matrix_rate']:.0f} %"
        print(
            f"{r['variant']:22}{times}{r['images_per_second']:>10.1f}{over:>12}"
            f"{r['gigaflop_per_second']:>9.0f}{share:>11}"
        )
    print(f"{flop / 1e9:.0f} GFLOP a step; a matrix product reaches {matrix_rate / 1e9:.0f} GFLOP/s")


if __name__ == "__main__":
    main()
