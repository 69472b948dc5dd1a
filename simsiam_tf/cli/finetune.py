"""simsiam-tf finetune."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from simsiam_tf.cli.tensorflow import quiet_tensorflow
from simsiam_tf.cli.train import compilation_cache, train_and_report
from simsiam_tf.errors import InputError
from simsiam_tf.settings import files
from simsiam_tf.settings.data import IN_EPOCHS
from simsiam_tf.settings.paths import check_data
from simsiam_tf.settings.schema import Config

OWN = ["--method.name=classifier", "--optimizer.name=sgd"]
# Per 256 images; of the encoder a tenth, the papers' 0.03. That on a frozen one was chosen on held-out labels.
RATE, FROZEN_RATE, ENCODER_RATIO, EPOCHS, WEIGHT_DECAY = 0.3, 0.03, 0.1, 30, 5e-4
CROPS = "min_area", "max_area", "flip"
NO_COLOUR = dict.fromkeys(("jitter_probability", "grayscale", "blur_probability", "solarize"), 0.0)


def run(arguments: list[str]) -> int:
    """Train a classifier on a finished run's encoder, by all labels or a few; goes on where it was interrupted."""
    options, asked = _parsed([*OWN, *arguments])
    frozen = options.frozen or asked.method.encoder_ratio == 0
    stored = files.stored(options.run)
    here = files.read(stored)
    chosen = defaults(here, stored.parent, frozen, arguments)
    chosen |= {"method.labels": options.fraction} if options.fraction else {}
    given = [*OWN, *_words(chosen), *arguments]
    _, config = _parsed(["--config", str(stored), *given])
    files.only_differ_in(here, config, CHANGED)
    if not any(argument.split("=")[0] == "--name" for argument in arguments):
        config = dataclasses.replace(config, name=_name(stored.parent, config))
    if config.training.distribution == "multi_worker":
        raise InputError("training.distribution: multi_worker is not for this verb; give none or mirrored")
    check_data(config.data)

    compilation_cache(config)
    quiet_tensorflow()
    from simsiam_tf.runs import transfer
    from simsiam_tf.runs.folder import RunFolder

    transfer.begin_with(RunFolder.existing(stored.parent), config)
    return train_and_report(config)


CHANGED = ("name", "output", "data.", "augmentation.", "method.", "optimizer.", "training.", "monitor.", "evaluation.")


def defaults(here: Config, folder: Path, frozen: bool, arguments: list[str]) -> dict:
    """{dotted key: value} of what is not as in the run: beside it, crops and flips or no views, a new schedule."""
    a = here.augmentation
    views = a.views[0] if a.views else a
    crops = {key: getattr(views, key) for key in ("recipe", *CROPS)}
    crops = {"recipe": "none"} | dict.fromkeys(CROPS) if frozen else {k: v for k, v in crops.items() if v is not None}
    chosen = {"augmentation.views": [], "augmentation.view_sizes": []}
    chosen |= {f"augmentation.{key}": value for key, value in (crops | NO_COLOUR).items()}
    beside = folder.parent if folder.name not in ("", "..") else folder.resolve().parent
    chosen |= {"output": str(beside), "training.stop_after_steps": None, "training.distribution": "none"}
    chosen |= {f"data.{name}": value for name, value in IN_EPOCHS.items()}
    chosen |= {"optimizer.epochs": EPOCHS, "optimizer.warmup_epochs": 0}
    if files.chosen([*OWN, *arguments], "optimizer") == "sgd":
        rate, decay = (FROZEN_RATE, 0.0) if frozen else (RATE, WEIGHT_DECAY)
        chosen |= {"optimizer.learning_rate": rate, "optimizer.weight_decay": decay}
    return chosen | {"method.encoder_ratio": 0.0 if frozen else ENCODER_RATIO}


def _words(settings):
    return [f"--{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in settings.items()]


def _name(folder: Path, config: Config) -> str:
    """Such as digits-finetuned-0.1: of the run, and of what tells its classifiers apart most often."""
    m = config.method
    few = [] if m.labels == 1 else [f"{m.labels:g}", *([f"subset{m.subset}"] if m.subset else [])]
    return "-".join([folder.resolve().name, "finetuned" if m.encoder_ratio else "frozen", *few])


def _parsed(arguments):
    parser = files.OneLineParser(prog="simsiam-tf finetune", description=run.__doc__)
    parser.add_argument("run", type=str, metavar="RUN", help="run folder that train has made")
    few = "labels to learn from: a share such as 0.1, or from 2 on about how many; the same as --method.labels"
    parser.add_argument("--fraction", type=str | None, default=None, help=few)
    frozen = "leave the encoder as it is and train a linear classifier on it; the same as --method.encoder_ratio 0"
    parser.add_argument("--frozen", action="store_true", help=frozen)
    return files.parse(parser, arguments)
