"""simsiam-tf import-weights."""

from __future__ import annotations

from pathlib import Path

from simsiam_tf.cli import DONE
from simsiam_tf.cli.tensorflow import quiet_tensorflow
from simsiam_tf.interop import torch_state
from simsiam_tf.settings import files


def run(arguments: list[str]) -> int:
    """Make a run of a PyTorch checkpoint: the official release's, ours, torchvision, timm, MoCo v3; or of a run."""
    source = Path(_parsed(arguments)[0].file)
    return of_run(source, arguments) if source.is_dir() else of_checkpoint(source, arguments)


def of_checkpoint(file: Path, arguments: list[str]) -> int:
    """A run that begins with the weights of PyTorch's file."""
    state = torch_state.read(file)

    quiet_tensorflow()
    from simsiam_tf.runs import transfer

    _, config = _parsed(transfer.arguments_for(state, arguments))
    folder, parts, fresh = transfer.import_run(state, config)
    print(f"{file}: {', '.join(parts)} of a {config.backbone}")
    if fresh:
        print(f"not taken from the file: {', '.join(fresh)} (initialised by seed {config.seed})")
    print(f"run folder: {folder.path}")
    return DONE


def of_run(source: Path, arguments: list[str]) -> int:
    """A run that begins with the weights of another: the same settings but for those that are given."""
    stored = files.stored(source)
    # Where the run was to end has nothing to do with where the next one does.
    _, config = _parsed(["--config", str(stored), "--training.stop_after_steps=null", *arguments])
    files.only_differ_in(files.read(stored), config, ("name", "output", "seed", *CONTINUED))

    quiet_tensorflow()
    from simsiam_tf.runs import transfer
    from simsiam_tf.runs.folder import RunFolder

    folder, parts = transfer.continue_run(RunFolder.existing(source), config)
    print(f"{source}: the weights of {', '.join(parts)}; all else, as optimizer, schedule and record, begins anew")
    print(f"run folder: {folder.path}; to train it: simsiam-tf train --config {folder.config}")
    return DONE


CONTINUED = ("data.", "augmentation.", "optimizer.", "training.", "monitor.", "evaluation.")


def _parsed(arguments):
    parser = files.OneLineParser(prog="simsiam-tf import-weights", description=run.__doc__)
    what = "checkpoint that PyTorch wrote, in which nothing is run, or a run folder, to train on from its weights"
    parser.add_argument("file", type=str, metavar="FILE", help=what)
    return files.parse(parser, arguments)
