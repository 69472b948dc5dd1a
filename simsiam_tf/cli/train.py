"""simsiam-tf train."""

from __future__ import annotations

import os
import sys

from simsiam_tf.cli import DONE, FAILED
from simsiam_tf.cli.tensorflow import quiet_tensorflow
from simsiam_tf.evaluation.verdict import HEALTHY, NOT_WATCHED
from simsiam_tf.experiments.results import outcome
from simsiam_tf.settings import files
from simsiam_tf.settings.paths import check_data, check_permutation, check_teacher
from simsiam_tf.settings.schema import Config


def run(arguments: list[str]) -> int:
    """Train an encoder on images without labels, then evaluate it."""
    parser = files.OneLineParser(prog="simsiam-tf train", description=run.__doc__)
    _, config = files.parse(parser, files.file_first(arguments, "cifar10"))
    check_data(config.data)
    check_permutation(config)
    check_teacher(config)

    compilation_cache(config)
    quiet_tensorflow()
    return train_and_report(config)


def compilation_cache(config: Config) -> None:
    """Tell TensorFlow, which reads it once, when it is loaded."""
    if config.training.compilation_cache:
        flag = f"--tf_xla_persistent_cache_directory={config.training.compilation_cache}"
        os.environ["TF_XLA_FLAGS"] = f"{os.environ.get('TF_XLA_FLAGS', '')} {flag}".strip()


def train_and_report(config: Config) -> int:
    """Train, print the result, and make an exit code of it."""
    from simsiam_tf.cli.table import print_result
    from simsiam_tf.runs.train import pretrain

    result = pretrain(config)
    if result is None:  # the first worker has them
        return DONE
    print_result(result)
    print(f"run folder: {config.folder}")
    if (ended := outcome(result)) not in (HEALTHY, NOT_WATCHED):
        why = f"{ended}: {result['reason']}" if "reason" in result else result.get("verdict", ended)
        print(f"the run has failed: {why}", file=sys.stderr)
        return FAILED
    return DONE
