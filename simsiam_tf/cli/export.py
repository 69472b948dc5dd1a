"""simsiam-tf export."""

from __future__ import annotations

from pathlib import Path

from simsiam_tf.cli import DONE
from simsiam_tf.cli.tensorflow import quiet_tensorflow
from simsiam_tf.interop.formats import output_path
from simsiam_tf.settings import files


def run(arguments: list[str]) -> int:
    """Write the trained encoder for elsewhere: Keras, SavedModel, ONNX or PyTorch, and check it."""
    parser = files.OneLineParser(prog="simsiam-tf export", description=run.__doc__)
    formats = "keras, saved_model, onnx, pytorch (official layout, with heads) or torchvision (its ResNet's names)"
    parser.add_argument("run", type=str, metavar="RUN", help="run folder that train has made")
    parser.add_argument("--format", type=str, required=True, help=formats)
    parser.add_argument("--output", type=str | None, default=None, help="default: RUN/export/backbone.*")
    options = parser.parse_args(arguments)
    output = output_path(options.format, options.output, files.stored(options.run).parent / "export")

    quiet_tensorflow()
    from simsiam_tf.interop import contract, export
    from simsiam_tf.networks.resnet import feature_dim
    from simsiam_tf.runs import transfer
    from simsiam_tf.runs.folder import RunFolder

    folder = RunFolder.existing(Path(options.run))
    backbone = folder.load_backbone()
    steps = (folder.read_result() or {}).get("steps")
    facts = contract.contract(files.read(folder.config), options.format, feature_dim(backbone), steps)
    if options.format in export.FORMATS:
        difference = export.export(backbone, output, options.format, facts)
        checked = f"largest difference from Keras: {difference:.1e} of the largest feature"
    else:
        transfer.export_run(folder, output, options.format)
        checked = "reads back exactly"
    print(f"{output}  ({checked})")
    print(f"{contract.write(facts, output)}  (input, size, range, frame and filter)")
    return DONE
