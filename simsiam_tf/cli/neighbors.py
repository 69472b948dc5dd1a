"""simsiam-tf neighbors."""

from __future__ import annotations

from pathlib import Path

from simsiam_tf.cli import DONE
from simsiam_tf.cli.tensorflow import quiet_tensorflow
from simsiam_tf.errors import InputError
from simsiam_tf.settings import files
from simsiam_tf.settings.paths import check_data, check_images, check_output, check_picture


def run(arguments: list[str]) -> int:
    """Show the pictures nearest to some given ones, by the cosine of the run's features."""
    parser = files.OneLineParser(prog="simsiam-tf neighbors", description=run.__doc__)
    parser.add_argument("run", type=str, metavar="RUN", help="run folder that train has made")
    queries = "picture files to look for; one that is among the data comes first, with cosine 1"
    parser.add_argument("--query", type=str, nargs="+", required=True, metavar="IMAGE", help=queries)
    among = "image folder, .npz or .npy file, or train / test: where to look"
    parser.add_argument("--data", type=str, default="train", help=among)
    parser.add_argument("--k", type=int, default=10, help="neighbours of each; 20 at most are drawn")
    where = "picture to write, .png; the figures beside it end in .json; default: RUN/neighbors.png"
    parser.add_argument("--output", type=str | None, default=None, help=where)
    options = parser.parse_args(arguments)
    if options.k < 1:
        raise InputError(f"k: {options.k} is no value of it; give 1 or more")
    stored = files.stored(options.run)
    config = files.read(stored)
    output = check_output(Path(options.output or stored.parent / "neighbors.png"), (".png",))
    queries = [check_picture(Path(each).expanduser()) for each in options.query]
    if options.data in ("train", "test"):
        check_data(config.data)
    check_images(options.data)

    quiet_tensorflow()
    from simsiam_tf.runs.build import load_images
    from simsiam_tf.runs.folder import RunFolder
    from simsiam_tf.runs.neighbors import DRAWN, draw, look_up, query_frames, write

    folder = RunFolder.existing(Path(options.run))
    frames = query_frames(config, queries)
    found = look_up(folder.load_backbone(), load_images(config, options.data), queries, frames, options.k)
    write(found, output.with_suffix(".json"))
    draw(found, output)
    count = len(found[0].ids)
    part = f" ({DRAWN} of them drawn)" if count > DRAWN else ""
    print(f"{len(found)} pictures with {count} neighbours each: {output}{part} and {output.with_suffix('.json')}")
    return DONE
