"""Less time to the same accuracy: candidates of the literature against plain SimSiam, all with the same arithmetic.

    python benchmarks/fast.py --data FOLDER_WITH_TFDS --json benchmarks/results/fast.json

CIFAR-10 shrunk to 16 px, ResNet-18 of small width. A candidate whose step costs more (four views) gets fewer epochs,
one whose step costs less (small views) more, so that multiplications and additions are alike; their count stands
beside each figure. Every run also keeps a moving average of its weights, which changes nothing in training, so each
candidate is judged with and without. Finished candidates stay in the JSON: the same command goes on after the last.
"""

import argparse
import json
import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import flops
import keras
import record

from simsiam_tf.callbacks import ProgressBar
from simsiam_tf.cli.tensorflow import two_at_a_time
from simsiam_tf.evaluation.features import extract
from simsiam_tf.evaluation.knn import knn_predict
from simsiam_tf.runs.build import build_method, compile_method, load_data, prepare_process, view_stages
from simsiam_tf.runs.fit import fit
from simsiam_tf.runs.interrupt import Interrupt
from simsiam_tf.runs.stop import SharedStop
from simsiam_tf.runs.watchers import Watchers
from simsiam_tf.runs.workers import Workers
from simsiam_tf.settings import files

TWICE = {"optimizer.warmup_epochs": 1, "optimizer.learning_rate": 0.3}
# Options beside the plain recipe, and epochs per epoch of it.
CANDIDATES = {
    "plain": ({}, 1),
    "predictor rate 2/3": ({"method.predictor_ratio": 2 / 3}, 1),
    "no output BatchNorm": ({"method.head_norm": "hidden"}, 1),
    "four views": ({"method.num_views": 4}, 1 / 2),
    "warm-up, twice the rate": (TWICE, 1),
    "views of 12, then 16 px": ({"augmentation.view_sizes": [12, 16]}, 4 / 3),
    "half the batch": ({"optimizer.batch_size": 32}, 1),
    "four views, rate 2/3": ({"method.num_views": 4, "method.predictor_ratio": 2 / 3}, 1 / 2),
    "four views, twice the rate": ({"method.num_views": 4} | TWICE, 1 / 2),
    "views of 12, then 16 px, twice the rate": ({"augmentation.view_sizes": [12, 16]} | TWICE, 7 / 6),
    "four views of 12, then 16 px": ({"method.num_views": 4, "augmentation.view_sizes": [12, 16]}, 2 / 3),
}


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", metavar="FOLDER", help="TFDS data_dir that holds cifar10")
    parser.add_argument("--images", type=int, default=20_000, help="training images")
    parser.add_argument("--width", type=int, default=16, help="channels of the first stage")
    parser.add_argument("--epochs", type=int, default=6, help="epochs of the plain recipe")
    parser.add_argument("--weight-average", type=float, default=0.99)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--candidates", nargs="+", default=list(CANDIDATES), choices=list(CANDIDATES), metavar="NAME")
    parser.add_argument("--json", metavar="FILE", required=True)
    return parser.parse_args()


def configure(arguments, name, seed):
    """The recipe of the CPU study with a candidate's options."""
    changes, epochs = CANDIDATES[name]
    options = {
        "data.path": arguments.data,
        "data.limit": arguments.images,
        "backbone.width": arguments.width,
        "method.weight_average": arguments.weight_average,
        "optimizer.epochs": round(arguments.epochs * epochs),
        "seed": seed,
    }
    given = [f"--{key}={value}" for key, value in (options | changes).items() if value is not None]
    return files.parse(files.OneLineParser(), ["--config", "cifar10_cpu", *given])[1]


def accuracy(encoder, splits):
    """kNN accuracy on all test images, k = 200, T = 0.1."""
    train, test = (extract(encoder, images.batches(256)) for images in (splits.train, splits.test))
    return float((knn_predict(train, splits.train.labels, test) == splits.test.labels).mean())


def run(config):
    """Train one candidate; its figures."""
    keras.utils.clear_session()
    prepare_process(config)
    splits = load_data(config)
    steps = len(splits.train) // config.optimizer.batch_size
    model = build_method(config)
    compile_method(model, config, steps)
    workers = Workers()
    watchers = Watchers([ProgressBar(config.optimizer.epochs)], SharedStop(workers, Interrupt()))
    seconds = fit(config, model, splits.train, watchers, workers, steps)
    flop, begin = 0, 0
    for end, size in view_stages(config):
        flop += (end - begin) * steps * flops.step_flop(model, size, config.optimizer.batch_size)
        begin = end
    return {
        "epochs": config.optimizer.epochs,
        "flop": flop,
        "seconds": seconds,
        "knn_accuracy": accuracy(model.backbone, splits),
        "knn_accuracy_average": accuracy(model.average, splits),
    }


def main():
    arguments = parse()
    two_at_a_time()
    file = Path(arguments.json)
    setting = {key: getattr(arguments, key) for key in ("images", "width", "epochs", "weight_average")}
    stored = json.loads(file.read_text()) if file.is_file() else {"setting": setting, "runs": {}}
    if stored["setting"] != setting:
        raise SystemExit(f"--json: {file} holds figures of another setting, {stored['setting']}; give another file")
    runs = stored["runs"]
    for seed in arguments.seeds:
        for name in arguments.candidates:
            if str(seed) in runs.get(name, {}):
                continue
            start = time.monotonic()
            runs.setdefault(name, {})[str(seed)] = run(configure(arguments, name, seed))
            record.write(file, {"setting": setting, "runs": runs})
            print(f"{name}, seed {seed}: {time.monotonic() - start:.0f} s", flush=True)
    print(f"{'candidate':<40}{'epochs':>7}{'arithmetic':>12}{'kNN':>8}{'average':>9}")
    for name, figures in sorted(runs.items(), key=lambda item: -mean(item[1], "knn_accuracy")):
        share = mean(figures, "flop") / mean(runs["plain"], "flop") if "plain" in runs else float("nan")
        print(
            f"{name:<40}{mean(figures, 'epochs'):>7.0f}{share:>12.2f}{mean(figures, 'knn_accuracy'):>8.1%}"
            f"{mean(figures, 'knn_accuracy_average'):>9.1%}"
        )


def mean(figures, key):
    """Mean over the seeds."""
    return sum(each[key] for each in figures.values()) / len(figures)


if __name__ == "__main__":
    main()
