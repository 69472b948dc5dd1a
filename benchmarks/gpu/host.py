"""What the host does of a training step on a GPU, counted without one: calls, copies and waits of a real `fit`.

    V/bin/python benchmarks/gpu/host.py        V as program.py says

The stand-ins' kernels do nothing, and with STANDIN_TRACE=1 they write each call to stderr, "standin: cuLaunchKernel
...". Counted is the second epoch, from its first step to its last; then its end. The time
is that of another process, which traces nothing.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import program

KINDS = {
    "launches": r"cuLaunchKernel|cuGraphLaunch",
    "to the host": r"cuMemcpyDtoH",
    "to the GPU": r"cuMemcpyHtoD",
    "waits": r"cu(Stream|Event|Ctx)Synchronize",
}
COLUMNS = ("loop", "steps a call", *KINDS, "ms of host a step", "waits at the epoch's end")


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--driver", type=Path, metavar="FOLDER", help="where the stand-ins are, or are made")
    parser.add_argument("--steps", type=int, default=23, help="of an epoch")
    parser.add_argument("--per-execution", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--loops", nargs="+", choices=["keras", "ours"], default=["keras", "ours"])
    parser.add_argument("--width", type=int, default=64, help="channels of the first stage")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


def mark(name):
    os.write(2, f"mark: {name} {time.perf_counter_ns() // 1000} us\n".encode())


def child(arguments):
    """One process: two epochs with the linear probe in the step, as `train` has it."""
    import keras
    import numpy as np
    import tensorflow as tf

    from simsiam_tf import cuda
    from simsiam_tf.callbacks import LinearProbe
    from simsiam_tf.methods.step import TrainStep
    from simsiam_tf.runs.build import build_method, compile_method, prepare_process
    from simsiam_tf.settings.backbones import ResNetSettings
    from simsiam_tf.settings.schema import Config, SGDSettings, TrainingSettings

    cuda.cudnn_version = lambda: None  # the stand-in's number says nothing
    loop, per_execution = arguments.child[0], int(arguments.child[1])
    if loop == "keras":
        del TrainStep._make_function
        TrainStep._maybe_symbolic_build = lambda self, **given: None
    config = Config(
        backbone=ResNetSettings(width=arguments.width),
        optimizer=SGDSettings(batch_size=arguments.batch_size, epochs=2),
        training=TrainingSettings(steps_per_execution=1),
    )
    prepare_process(config)
    model = build_method(config, arguments.steps)
    compile_method(model, config, arguments.steps)
    assert model.jit_compile, "TensorFlow lists no GPU"
    model.steps_per_execution = per_execution
    LinearProbe(10, None).set_model(model)
    images = np.zeros([arguments.batch_size, 32, 32, 3], np.uint8), np.zeros([arguments.batch_size], np.int64)

    class Marks(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            mark("begin")

        def on_train_batch_end(self, batch, logs=None):
            if batch + 1 >= arguments.steps:
                mark("end")

        def on_epoch_end(self, epoch, logs=None):
            float(logs["loss"])
            mark("over")

    batches = tf.data.Dataset.from_tensors(images).repeat()
    model.fit(batches, epochs=2, steps_per_epoch=arguments.steps, callbacks=[Marks()], shuffle=False, verbose=0)


def run(arguments, loop, per_execution, trace):
    """The lines that a child and the stand-in wrote, from the second epoch on."""
    environment = program.with_stand_ins(arguments.driver) | ({"STANDIN_TRACE": "1"} if trace else {})
    # The stand-in for cuBLAS launches nothing, and a recorded graph of nothing is an error: record fusions alone.
    environment["XLA_FLAGS"] += " --xla_gpu_enable_command_buffer=FUSION"
    command = [sys.executable, __file__, *sys.argv[1:], "--child", loop, str(per_execution)]
    with tempfile.TemporaryFile("w+", errors="replace") as file:
        done = subprocess.run(command, env=environment, stderr=file, check=False)
        file.seek(0)
        lines = file.read().splitlines()
    begins = [i for i, line in enumerate(lines) if line.startswith("mark: begin")]
    if done.returncode or len(begins) < 2:
        raise SystemExit("\n".join(line for line in lines if not line.startswith("standin:"))[-4000:])
    return lines[begins[1] :]


def measure(arguments, loop, per_execution):
    """One row of the table."""
    lines = run(arguments, loop, per_execution, trace=True)
    end, over = (find(lines, name) for name in ("end", "over"))
    counts = [f"{count(kind, lines[:end]) / arguments.steps:.2f}" for kind in KINDS]
    times = [int(line.split()[2]) for line in run(arguments, loop, per_execution, False) if line.startswith("mark")]
    milliseconds = (times[1] - times[0]) / 1000 / arguments.steps
    return loop, per_execution, *counts, f"{milliseconds:.2f}", count("waits", lines[end:over])


def find(lines, name):
    return next(i for i, line in enumerate(lines) if line.startswith(f"mark: {name}"))


def count(kind, lines):
    return sum(bool(re.match(rf"standin: ({KINDS[kind]})", line)) for line in lines)


def main():
    arguments = parse()
    if arguments.child:
        return child(arguments)
    print("| " + " | ".join(COLUMNS) + " |\n" + "|---" * len(COLUMNS) + "|")
    with tempfile.TemporaryDirectory() as temporary:
        arguments.driver = (arguments.driver or Path(temporary)).resolve()
        for loop in arguments.loops:
            for per_execution in arguments.per_execution:
                print("| " + " | ".join(map(str, measure(arguments, loop, per_execution))) + " |", flush=True)


if __name__ == "__main__":
    main()
