"""The program that XLA makes of a training step for an H100, without one: its kernels, bytes, and a time from these.

    python3 -m venv V && V/bin/pip install 'tensorflow[and-cuda]==2.21.0' -r requirements.txt       # some 3 GB
    V/bin/python benchmarks/gpu/program.py cifar10 imagenet

Linux, x86-64, a C compiler; neither GPU nor driver. XLA compiles for devices that it finds only, so stand-ins for
NVIDIA's libraries (standin/, made by build.sh into a temporary folder) show it one "H100". The program, its layouts and
precisions are real; what it would compute here is garbage, and it is not run. See README.md for what was found.
"""

import argparse
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
RECIPES = {"cifar10": (512, 32, 10), "imagenet": (64, 224, 1000)}  # batch size, side in pixels, classes


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("configs", nargs="*", default=list(RECIPES), help=f"of {', '.join(RECIPES)}")
    parser.add_argument("--driver", type=Path, metavar="FOLDER", help="where the stand-ins are, or are made")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="write the programs there")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here, too")
    arguments = parser.parse_args()
    if unknown := set(arguments.configs) - set(RECIPES):
        parser.error(f"configs: {min(unknown)} is unknown; give some of {', '.join(RECIPES)}")
    return arguments


def with_stand_ins(driver):
    """The environment in which TensorFlow finds the stand-ins."""
    site = sysconfig.get_paths()["purelib"]
    if not (driver / "libcuda.so.1").exists():
        subprocess.run(["sh", str(HERE / "standin" / "build.sh"), site, str(driver)], check=True)
    paths = f"{HERE.parents[1]}:{os.environ.get('PYTHONPATH', '')}"
    flags = f"--xla_gpu_cuda_data_dir={site}/nvidia/cuda_nvcc --xla_gpu_autotune_level=0"
    found = {"LD_LIBRARY_PATH": str(driver), "PYTHONPATH": paths, "XLA_FLAGS": flags}
    return os.environ | found | {"TF_CPP_MIN_LOG_LEVEL": "2", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}


def program(name):
    """The optimised HLO of a step of a shipped recipe: bfloat16, the augmentation and the linear probe inside."""
    import dataclasses

    import tensorflow as tf

    from simsiam_tf.callbacks import LinearProbe
    from simsiam_tf.runs.build import build_method, compile_method, prepare_process
    from simsiam_tf.settings import files, yaml_files

    batch, side, classes = RECIPES[name]
    config = files.read(yaml_files.find(name))
    config = dataclasses.replace(config, optimizer=dataclasses.replace(config.optimizer, batch_size=batch))
    prepare_process(config)
    model = build_method(config)
    compile_method(model, config, 97)
    model.jit_compile = True  # whatever cuDNN the stand-in says it is
    LinearProbe(classes).set_model(model)
    data = tf.zeros([batch, side, side, 3], tf.uint8), tf.zeros([batch], tf.int64)
    step = tf.function(lambda *data: model.train_step(data), jit_compile=True, autograph=False)
    return step.experimental_get_compiler_ir(*data)(stage="optimized_hlo", device_name="/device:GPU:0")


def compiled(name, environment, folder):
    """The same, from a process of its own."""
    path = folder / f"{name}.hlo"
    code = f"import program; open({str(path)!r}, 'w').write(program.program({name!r}))"
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=HERE, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    return path.read_text()


def main():
    import hlo

    arguments = parse()
    results = {}
    print("| recipe | kernels | GB | bound / ms | of it convolutions | guess / ms |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        environment = with_stand_ins((arguments.driver or Path(temporary, "driver")).resolve())
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for name in arguments.configs:
            found = results[name] = hlo.summary(hlo.kernels(compiled(name, environment, folder.resolve())))
            convolutions = found["bound_ms_by_kind"]["convolution"]
            print(
                f"| {name} | {found['kernels']} | {found['gb']:.1f} | {found['bound_ms']:.2f} | {convolutions:.2f} "
                f"| {found['guess_ms']:.2f} |",
                flush=True,
            )
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
