"""simsiam-tf import-weights."""

from __future__ import annotations

from pathlib import Path

from simsiam_tf.cli import DONE
from simsiam_tf.cli.tensorflow import quiet_tensorflow
from simsiam_tf.settings import files


def run(arguments: list[str]) -> int:
    """Make a run of a PyTorch checkpoint: the official release's, ours, or torchvision's ResNets."""
    parser = files.OneLineParser(prog="simsiam-tf import-weights", description=run.__doc__)
    parser.add_argument("file", type=str, metavar="FILE", help="checkpoint that PyTorch wrote; nothing in it is run")
    files.add_config(parser)
    file = Path(parser.parse_args(arguments).file)

    quiet_tensorflow()
    from simsiam_tf.interop import torch_state
    from simsiam_tf.runs import transfer

    state = torch_state.read(file)
    config = files.build(parser, parser.parse_args(transfer.arguments_for(state, arguments)))
    folder, parts = transfer.import_run(state, config)
    b = config.backbone
    print(f"{file}: {', '.join(parts)} of a {b.name} with {b.stem} stem, width {b.width}")
    heads = ["projector", "predictor"] if config.method.predictor == "mlp" else ["projector"]
    if fresh := [head for head in heads if head not in parts]:
        print(f"not in the file: {', '.join(fresh)} (initialised by seed {config.seed})")
    print(f"run folder: {folder.path}")
    return DONE
