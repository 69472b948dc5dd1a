"""simsiam-tf import-weights."""

from __future__ import annotations

from pathlib import Path

from simsiam_tf.cli import DONE
from simsiam_tf.cli.tensorflow import quiet_tensorflow
from simsiam_tf.interop import torch_state
from simsiam_tf.settings import files


def run(arguments: list[str]) -> int:
    """Make a run of a PyTorch checkpoint: the official release's, ours, or torchvision's ResNets."""
    file = Path(_parsed(arguments)[0].file)
    state = torch_state.read(file)

    quiet_tensorflow()
    from simsiam_tf.runs import transfer

    _, config = _parsed(transfer.arguments_for(state, arguments))
    folder, parts, fresh = transfer.import_run(state, config)
    b = config.backbone
    print(f"{file}: {', '.join(parts)} of a {b.name} with {b.stem} stem, width {b.width}")
    if fresh:
        print(f"not in the file: {', '.join(fresh)} (initialised by seed {config.seed})")
    print(f"run folder: {folder.path}")
    return DONE


def _parsed(arguments):
    parser = files.OneLineParser(prog="simsiam-tf import-weights", description=run.__doc__)
    parser.add_argument("file", type=str, metavar="FILE", help="checkpoint that PyTorch wrote; nothing in it is run")
    return files.parse(parser, arguments)
