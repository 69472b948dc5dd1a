"""simsiam-tf evaluate."""

from __future__ import annotations

import logging

from simsiam_tf.cli import DONE
from simsiam_tf.cli.tensorflow import quiet_tensorflow
from simsiam_tf.runs.interrupt import Interrupt
from simsiam_tf.settings import files
from simsiam_tf.settings.paths import check_data

# Besides accuracies, what an evaluation says: none of an earlier one is left.
JUDGED = {"evaluation", "by_fraction", "quality", "label_free", "forecast", "class_names"}
log = logging.getLogger("simsiam_tf")


def run(arguments: list[str]) -> int:
    """Evaluate a trained run by classifiers on its features, at shares of the labels; rewrites its result.json."""
    stored = files.stored(_parsed(arguments)[0].run)
    _, config = _parsed(["--config", str(stored), *arguments])
    files.only_differ_in(files.read(stored), config, ("data.", "evaluation."))
    check_data(config.data)

    quiet_tensorflow()
    from simsiam_tf.cli.table import print_result
    from simsiam_tf.runs.build import load_data, prepare_process
    from simsiam_tf.runs.evaluate import can_evaluate, enough_memory, evaluate, without_labels
    from simsiam_tf.runs.folder import RunFolder

    folder = RunFolder.existing(stored.parent)
    prepare_process(config)
    backbone = folder.load_backbone()
    splits = load_data(config, views=False)
    with Interrupt(), enough_memory(splits, folder.path):
        judge = evaluate if can_evaluate(splits) else without_labels
        result = judge(config, backbone, splits, log.info)
    trained = folder.read_result() or {}
    result = {key: trained[key] for key in trained if key not in JUDGED and not key.endswith("_accuracy")} | result
    folder.write_json(folder.result, result)
    print_result(result)
    return DONE


def _parsed(arguments):
    parser = files.OneLineParser(prog="simsiam-tf evaluate", description=run.__doc__)
    parser.add_argument("run", type=str, metavar="RUN", help="run folder that train has made")
    return files.parse(parser, arguments)
