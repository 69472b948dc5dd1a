"""simsiam-tf diagnose."""

from __future__ import annotations

import json
from pathlib import Path

from simsiam_tf.cli import DONE
from simsiam_tf.cli.tensorflow import quiet_tensorflow
from simsiam_tf.errors import InputError
from simsiam_tf.interop.formats import sidecar
from simsiam_tf.settings import files
from simsiam_tf.settings.paths import check_data, check_images, check_output


def run(arguments: list[str]) -> int:
    """Draw singular spectra of runs and encoders side by side, with all figures that need no labels."""
    parser = files.OneLineParser(prog="simsiam-tf diagnose", description=run.__doc__)
    what = "run folder, or an encoder's .keras file"
    parser.add_argument("what", type=str, nargs="+", metavar="RUN_OR_ENCODER", help=what)
    where = "image folder, .npz or .npy file, or train / test of each run's own; default: train"
    parser.add_argument("--data", type=str, default="train", help=where)
    side = "pixels of the squares that an encoder sees; default: as its contract says"
    parser.add_argument("--image_size", type=int | None, default=None, help=side)
    output = (
        "picture to write, .png; the figures beside it end in .json; default: diagnose.png, in the run if it is one"
    )
    parser.add_argument("--output", type=str | None, default=None, help=output)
    options = parser.parse_args(arguments)
    subjects = [Path(each).expanduser() for each in options.what]
    sides = {path: _checked(path, options) for path in subjects}
    if options.image_size is not None and not any(sides.values()):
        raise InputError(f"image_size: {options.image_size}, but runs have sizes of their own; leave it out")
    default = subjects[0] / "diagnose.png" if len(subjects) == 1 and subjects[0].is_dir() else Path("diagnose.png")
    output = check_output(Path(options.output or default), (".png",))
    figures = _beside(output)
    check_images(options.data)

    quiet_tensorflow()
    from simsiam_tf.cli.table import print_diagnoses
    from simsiam_tf.runs import diagnose, spectra
    from simsiam_tf.runs.folder import RunFolder

    names, found = _names(subjects), []
    for path, side in sides.items():
        if side is None:
            found.append(diagnose.of_run(RunFolder.existing(path), names[path], options.data))
        else:
            found.append(diagnose.of_encoder(path, names[path], options.data, side))
    diagnose.write(found, figures)
    spectra.draw_spectra(output, spectra.of_diagnoses(found))
    print_diagnoses(found)
    print(f"picture: {output}\nfigures: {figures}")
    return DONE


def _checked(path, options):
    """None for a run; of an encoder the side of its frames."""
    if path.suffix != ".keras":
        config = files.read(files.stored(str(path)))
        if options.data in ("train", "test"):
            check_data(config.data)
        return None
    if not path.is_file():
        raise InputError(f"RUN_OR_ENCODER: {path} is not there; give a run folder or a .keras file")
    if options.data in ("train", "test"):
        raise InputError(f"data: {options.data}, but {path} has no images of its own; give a folder or an array file")
    if options.image_size is not None:
        if options.image_size < 1:
            raise InputError(f"image_size: {options.image_size} is no size; give 1 or more")
        return options.image_size
    try:
        return json.loads(sidecar(path).read_bytes())["frame"]["size"][0]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"image_size: none given, and {sidecar(path)} does not say it; give --image_size") from error


def _beside(output):
    """The .json of that name, which may replace an earlier diagnosis and nothing else, such as a run's result."""
    path = output.with_suffix(".json")
    if path.exists():
        try:
            content = json.loads(path.read_bytes())
        except (OSError, ValueError):
            content = None
        found = content if isinstance(content, list) else []
        if not found or not all(isinstance(each, dict) and "images" in each for each in found):
            raise InputError(f"output: {output} would replace {path}, which is no diagnosis; give another name")
    return path


def _names(paths):
    """{path: a short name, the whole path where two would have the same}."""
    short = [path.resolve().name for path in paths]
    return {path: name if short.count(name) == 1 else str(path) for path, name in zip(paths, short, strict=True)}
