"""simsiam-tf export."""

from __future__ import annotations

from pathlib import Path

from simsiam_tf.cli import DONE
from simsiam_tf.cli.tensorflow import quiet_tensorflow
from simsiam_tf.interop.formats import NETWORKS, check_names, output_path
from simsiam_tf.settings import files
from simsiam_tf.settings.methods.classifier import LabelSettings


def run(arguments: list[str]) -> int:
    """Write the trained encoder, or classifier, for elsewhere: Keras, SavedModel, ONNX or PyTorch, and check it."""
    parser = files.OneLineParser(prog="simsiam-tf export", description=run.__doc__)
    formats = (
        "keras, saved_model, onnx, pytorch (official layout, with heads), torchvision or timm (names of its networks)"
    )
    parser.add_argument("run", type=str, metavar="RUN", help="run folder that train has made")
    parser.add_argument("--format", type=str, required=True, help=formats)
    place = "default: RUN/export/backbone.*, of a classifier classifier.*"
    parser.add_argument("--output", type=str | None, default=None, help=place)
    options = parser.parse_args(arguments)
    config = files.read(files.stored(options.run))
    whole = options.format in NETWORKS and isinstance(config.method, LabelSettings)
    part = "classifier" if whole else "backbone"
    output = output_path(options.format, options.output, Path(options.run) / "export", part)

    check_names(options.format, config.backbone)

    quiet_tensorflow()
    from simsiam_tf.interop import contract, export
    from simsiam_tf.runs import transfer
    from simsiam_tf.runs.folder import RunFolder

    folder = RunFolder.existing(Path(options.run))
    network = folder.load_classifier() if whole else folder.load_backbone()
    result, names = folder.read_result() or {}, folder.class_names() if whole else None
    steps = result.get("classifier", result).get("steps")  # which the weights that are kept have seen
    facts = contract.contract(config, options.format, network.output_shape[-1], steps, names)
    if options.format in NETWORKS:
        difference = export.export(network, output, options.format, facts)
        checked = f"largest difference from Keras: {difference:.1e} of the largest output"
    else:
        transfer.export_run(folder, output, options.format)
        checked = "reads back exactly"
    print(f"{output}  ({checked})")
    print(f"{contract.write(facts, output)}  (input, size, range, frame and filter)")
    return DONE
