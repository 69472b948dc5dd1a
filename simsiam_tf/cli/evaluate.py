"""simsiam-tf evaluate."""

from __future__ import annotations

import logging
from pathlib import Path

from simsiam_tf.cli import DONE
from simsiam_tf.cli.tensorflow import quiet_tensorflow
from simsiam_tf.runs.interrupt import Interrupt
from simsiam_tf.settings import files

log = logging.getLogger("simsiam_tf")


def run(arguments: list[str]) -> int:
    """Evaluate a trained run: kNN and linear probe at shares of the labels; rewrites its result.json."""
    parser = files.OneLineParser(prog="simsiam-tf evaluate", description=run.__doc__)
    parser.add_argument("run", type=str, metavar="RUN", help="run folder that train has made")
    files.add_config(parser)
    before = parser.parse_args(arguments)
    stored = files.stored(before.run)
    config = files.build(parser, parser.parse_args(["--config", str(stored), *arguments]))
    files.only_differ_in(files.read(stored), config, ("data.", "evaluation."))

    quiet_tensorflow()
    from simsiam_tf.runs.build import load_data, set_up
    from simsiam_tf.runs.evaluate import evaluate, print_table
    from simsiam_tf.runs.folder import RunFolder

    folder = RunFolder.existing(Path(before.run))
    set_up(config)
    backbone = folder.load_backbone()
    with Interrupt():
        result = evaluate(config, backbone, load_data(config), log.info)
    trained = {k: v for k, v in (folder.read_result() or {}).items() if k not in ("knn_accuracy", "linear_accuracy")}
    result = trained | result
    folder.write_json(folder.result, result)
    print_table(result)
    return DONE
