"""simsiam-tf predict."""

from __future__ import annotations

from pathlib import Path

from simsiam_tf.cli import DONE
from simsiam_tf.cli.tensorflow import quiet_tensorflow
from simsiam_tf.errors import InputError
from simsiam_tf.settings import files
from simsiam_tf.settings.paths import check_images, check_output


def run(arguments: list[str]) -> int:
    """Write what a classifier of finetune says of images to a CSV or Parquet file."""
    parser = files.OneLineParser(prog="simsiam-tf predict", description=run.__doc__)
    parser.add_argument("run", type=str, metavar="RUN", help="run folder that finetune has made")
    parser.add_argument("--data", type=str, required=True, help="image folder, .npz or .npy file, or train / test")
    parser.add_argument("--output", type=str, required=True, help="file to write, .csv or .parquet")
    parser.add_argument("--batch_size", type=int, default=256, help="images per forward pass")
    options = parser.parse_args(arguments)
    if options.batch_size < 1:
        raise InputError(f"batch_size: {options.batch_size} is no value of it; give 1 or more")
    config = files.read(files.stored(options.run))
    output = check_output(Path(options.output), (".csv", ".parquet"))
    check_images(options.data)

    quiet_tensorflow()
    from simsiam_tf.runs.build import load_images
    from simsiam_tf.runs.classify import predict
    from simsiam_tf.runs.folder import RunFolder

    folder = RunFolder.existing(Path(options.run))
    network, names = folder.load_classifier(), folder.class_names()
    images = load_images(config, options.data)
    probabilities = predict(network, names, images, config.data.image_size, output, options.batch_size)
    print(f"{len(probabilities)} images, {len(names)} classes: {output}")
    return DONE
