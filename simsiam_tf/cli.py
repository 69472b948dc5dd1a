"""The command line: one function per verb. TensorFlow is imported by the verbs that need it, so `--help` is quick.

Exit codes: 0 done; 2 bad usage or bad input; 3 the run collapsed or diverged and stopped itself; 75 interrupted
after saving, run the same command again to go on; 130 interrupted where there was nothing to save.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

from simsiam_tf import configfile
from simsiam_tf.configfile import OneLineParser
from simsiam_tf.errors import InputError, unwritable
from simsiam_tf.interrupt import Interrupt, Interrupted

DONE, BAD_INPUT, COLLAPSED, INTERRUPTED, KILLED = 0, 2, 3, 75, 130


def train(arguments: list[str]) -> int:
    """Train an encoder on images without labels, then evaluate it."""
    parser = OneLineParser(prog="simsiam-tf train", description=train.__doc__)
    configfile.add_config(parser)
    config = configfile.build(parser, parser.parse_args(configfile.file_first(arguments, "cifar10")))

    if config.training.compilation_cache:  # read once, when TensorFlow is loaded
        flag = f"--tf_xla_persistent_cache_directory={config.training.compilation_cache}"
        os.environ["TF_XLA_FLAGS"] = f"{os.environ.get('TF_XLA_FLAGS', '')} {flag}".strip()
    quiet_tensorflow()
    from simsiam_tf import final
    from simsiam_tf.train import pretrain

    result = pretrain(config)
    if result is None:  # the first worker has them
        return DONE
    if "by_fraction" in result:
        final.print_table(result)
    print(f"run folder: {config.folder}")
    if "stopped" in result:
        print(f"the run has {result['stopped']}: {result.get('reason') or result.get('verdict')}", file=sys.stderr)
        return COLLAPSED
    return DONE


def evaluate(arguments: list[str]) -> int:
    """Evaluate a trained run: kNN and linear probe at shares of the labels; rewrites its result.json."""
    parser = OneLineParser(prog="simsiam-tf evaluate", description=evaluate.__doc__)
    parser.add_argument("run", type=str, metavar="RUN", help="run folder that train has made")
    configfile.add_config(parser)
    before = parser.parse_args(arguments)
    stored = configfile.stored(before.run)
    config = configfile.build(parser, parser.parse_args(["--config", str(stored), *arguments]))
    configfile.only_differ_in(configfile.read(stored), config, ("data.", "evaluation."))

    quiet_tensorflow()
    from simsiam_tf import final
    from simsiam_tf.assemble import load_data, set_up
    from simsiam_tf.run import RunFolder

    folder = RunFolder.existing(Path(before.run))
    set_up(config)
    backbone = folder.load_backbone()
    with Interrupt():
        result = final.evaluate(config, backbone, load_data(config), log.info)
    trained = {k: v for k, v in (folder.read_result() or {}).items() if k not in ("knn_accuracy", "linear_accuracy")}
    result = trained | result
    folder.write_json(folder.result, result)
    final.print_table(result)
    return DONE


def embed(arguments: list[str]) -> int:
    """Write the features of images to a Parquet or .npz file."""
    parser = OneLineParser(prog="simsiam-tf embed", description=embed.__doc__)
    parser.add_argument("run", type=str, metavar="RUN", help="run folder that train has made")
    parser.add_argument("--data", type=str, required=True, help="image folder, .npz or .npy file, or train / test")
    parser.add_argument("--output", type=str, required=True, help="file to write, .parquet or .npz")
    parser.add_argument("--batch_size", type=int, default=256, help="images per forward pass")
    options = parser.parse_args(arguments)

    quiet_tensorflow()
    from simsiam_tf import embed as embedding
    from simsiam_tf.assemble import load_images
    from simsiam_tf.run import RunFolder

    output = embedding.check_output(Path(options.output))
    folder = RunFolder.existing(Path(options.run))
    config = configfile.read(folder.config)
    backbone = folder.load_backbone()
    images = load_images(config, options.data)
    features = embedding.embed(backbone, images, config.data.image_size, output, options.batch_size)
    print(f"{len(features)} x {features.shape[1]} features: {output}")
    return DONE


def export(arguments: list[str]) -> int:
    """Write the trained encoder for elsewhere: Keras, SavedModel, ONNX or PyTorch, and check it."""
    parser = OneLineParser(prog="simsiam-tf export", description=export.__doc__)
    formats = "keras, saved_model, onnx, pytorch (official layout, with heads) or torchvision (its ResNet's names)"
    parser.add_argument("run", type=str, metavar="RUN", help="run folder that train has made")
    parser.add_argument("--format", type=str, required=True, help=formats)
    parser.add_argument("--output", type=str | None, default=None, help="default: RUN/export/backbone.*")
    options = parser.parse_args(arguments)

    quiet_tensorflow()
    from simsiam_tf import export as exporting
    from simsiam_tf import transfer
    from simsiam_tf.run import RunFolder

    folder = RunFolder.existing(Path(options.run))
    output = exporting.output_path(options.format, options.output, folder.path / "export")
    if options.format not in exporting.FORMATS:
        transfer.export_run(folder, output, options.format)
        print(f"{output}  (reads back exactly)")
        return DONE
    backbone = folder.load_backbone()
    difference = exporting.export(backbone, output, options.format, configfile.read(folder.config).data.image_size)
    print(f"{output}  (largest difference from Keras: {difference:.1e} of the largest feature)")
    return DONE


def import_weights(arguments: list[str]) -> int:
    """Make a run of a PyTorch checkpoint: the official release's, ours, or torchvision's ResNets."""
    parser = OneLineParser(prog="simsiam-tf import-weights", description=import_weights.__doc__)
    parser.add_argument("file", type=str, metavar="FILE", help="checkpoint that PyTorch wrote; nothing in it is run")
    configfile.add_config(parser)
    file = Path(parser.parse_args(arguments).file)

    quiet_tensorflow()
    from simsiam_tf import torch_state, transfer

    state = torch_state.read(file)
    config = configfile.build(parser, parser.parse_args(transfer.arguments_for(state, arguments)))
    folder, parts = transfer.import_run(state, config)
    b = config.backbone
    print(f"{file}: {', '.join(parts)} of a {b.name} with {b.stem} stem, width {b.width}")
    heads = ["projector", "predictor"] if config.method.predictor == "mlp" else ["projector"]
    if fresh := [head for head in heads if head not in parts]:
        print(f"not in the file: {', '.join(fresh)} (initialised by seed {config.seed})")
    print(f"run folder: {folder.path}")
    return DONE


def quiet_tensorflow() -> None:
    """Import TensorFlow and let it look for devices without its start-up messages, which no Python setting silences.

    TF_CPP_MIN_LOG_LEVEL=0 in the environment shows them. An import error is raised as ever.
    """
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2") == "0":
        return
    logging.getLogger("absl").setLevel(logging.ERROR)  # tensorflow-datasets warns about itself
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # counts every monitor's extractor as a retracing
    stderr = os.dup(2)
    with open(os.devnull, "w") as nothing:
        os.dup2(nothing.fileno(), 2)
        try:
            import tensorflow as tf

            tf.config.list_physical_devices()
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


VERBS = {"train": train, "evaluate": evaluate, "embed": embed, "export": export, "import-weights": import_weights}
log = logging.getLogger("simsiam_tf")


def usage() -> str:
    lines = [f"  {name:<16}{verb.__doc__}" for name, verb in VERBS.items()]
    return "\n".join(["usage: simsiam-tf VERB ...", "", *lines, "", "simsiam-tf VERB --help shows its options."])


class _Stderr(logging.Handler):
    """Prints to the present sys.stderr, so that lines appear above a live progress bar."""

    def emit(self, record):
        print(self.format(record), file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Run a verb; returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not log.handlers:
        log.addHandler(_Stderr())
        log.setLevel(logging.INFO)
        log.propagate = False
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage())
        return DONE if arguments else BAD_INPUT
    try:
        if arguments[0] not in VERBS:
            raise InputError(f"VERB: {arguments[0]!r} is unknown; give one of {', '.join(VERBS)}")
        return VERBS[arguments[0]](arguments[1:])
    except InputError as error:
        print(f"simsiam-tf: {error}", file=sys.stderr)
        return BAD_INPUT
    except OSError as error:
        print(f"simsiam-tf: {unwritable(error.filename or 'a file', error)}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        return KILLED
    except Interrupted as error:
        interrupted = "interrupted, everything is saved; run the same command again to go on"
        print(f"simsiam-tf: {error if error.args else interrupted}", file=sys.stderr)
        return INTERRUPTED
