"""simsiam-tf inspect."""

from __future__ import annotations

from pathlib import Path

from simsiam_tf.cli import DONE
from simsiam_tf.cli.tensorflow import quiet_tensorflow
from simsiam_tf.errors import InputError
from simsiam_tf.settings import files
from simsiam_tf.settings.data import DataSettings
from simsiam_tf.settings.paths import check_data, check_output


def run(arguments: list[str]) -> int:
    """Look for near-duplicates, lonely and unreadable pictures in a folder; writes a page and a table."""
    parser = files.OneLineParser(prog="simsiam-tf inspect", description=run.__doc__)
    parser.add_argument("run", type=str, metavar="RUN", help="run folder that train has made")
    parser.add_argument("--data", type=str, required=True, help="image folder")
    decided = (
        "cosine from which two pictures are a pair, alone; default: copies made of some decide, see docs/inspect.md"
    )
    parser.add_argument("--threshold", type=float | None, default=None, help=decided)
    where = "page to write, .html; the table beside it ends in .parquet; default: RUN/inspect.html"
    parser.add_argument("--output", type=str | None, default=None, help=where)
    options = parser.parse_args(arguments)
    if options.threshold is not None and not -1 <= options.threshold <= 1:
        raise InputError(f"threshold: {options.threshold} is no cosine; give one from -1 to 1, such as 0.98")
    stored = files.stored(options.run)
    config = files.read(stored)
    output = check_output(Path(options.output or stored.parent / "inspect.html"), (".html",))
    check_data(DataSettings(source="folder", path=options.data))

    quiet_tensorflow()
    from simsiam_tf.runs.build import load_images
    from simsiam_tf.runs.folder import RunFolder
    from simsiam_tf.runs.inspect import inspect
    from simsiam_tf.runs.inspect_files import write_page, write_table

    backbone = RunFolder.existing(Path(options.run)).load_backbone()
    root = Path(options.data).expanduser()
    images = load_images(config, str(root.absolute()))  # a folder even if it is called train
    found = inspect(backbone, images, root, options.threshold)
    table = output.with_suffix(".parquet")
    write_table(found, table)
    write_page(found, root.resolve().name, table, output)
    count, grouped = len(found.members()), int((found.group >= 0).sum())
    print(f"{len(found)} pictures, {len(found.unreadable)} unreadable; {grouped} near-duplicates in {count} groups")
    print(f"page: {output}\ntable: {table}")
    return DONE
