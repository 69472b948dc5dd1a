"""simsiam-tf report."""

from __future__ import annotations

import itertools
import os
import sys
from pathlib import Path

from simsiam_tf.atomic import replacing
from simsiam_tf.cli import DONE
from simsiam_tf.cli.sweep import parser as sweep_parser
from simsiam_tf.cli.tensorflow import quiet_tensorflow
from simsiam_tf.errors import InputError
from simsiam_tf.settings import files, yaml_files

FORMATS = {"html": ".html", "csv": ".csv", "latex": ".tex"}
LARGE = 5.0  # MB of a page that mail still takes


def run(arguments: list[str]) -> int:
    """Write one page about runs or studies: tables, curves, neighbours, a map; or their tables as CSV or LaTeX."""
    own, settings = _apart(arguments)
    options = _parser().parse_args(own)
    if options.format not in FORMATS:
        raise InputError(f"format: {options.format!r} is unknown; give one of {', '.join(FORMATS)}")
    output = Path(options.output or f"report{FORMATS[options.format]}")
    if not output.parent.is_dir():
        raise InputError(f"output: folder {output.parent} does not exist; make it first")
    if output.suffix in FORMATS.values() and output.suffix != FORMATS[options.format]:
        raise InputError(f"output: {output} is no name for {options.format}; give --format, or another ending")
    if options.carbon_intensity is not None and not options.carbon_intensity >= 0:
        raise InputError(f"carbon_intensity: {options.carbon_intensity:g} is no value of it; give 0 or more")
    if settings and all(Path(each).is_dir() for each in options.what):
        raise InputError(f"{settings[0].lstrip('-')}: runs have settings of their own; give it with a study only")
    if options.details < 0:
        raise InputError(f"details: {options.details} is no value of it; give 0 or more")

    from simsiam_tf.report.records import of_folders

    studies, records = [], []
    for each in options.what:
        if Path(each).is_dir():
            records += of_folders(Path(each))
        else:
            study, found = _study(each, options, settings)
            studies.append(study)
            records += found
    if not records:
        raise InputError(
            f"RUN_OR_STUDY: nothing of {', '.join(options.what)} is done yet; sweep it, or give --results and the "
            "settings that it was swept with"
        )
    content = _content(options, records, studies)
    with replacing(output) as partial:
        partial.write_text(content, encoding="utf-8", errors="backslashreplace")
    size = output.stat().st_size / 1e6
    print(f"{len(records)} runs: {output}, {size:.1f} MB")
    if size > LARGE and options.format == "html" and options.details:
        print(f"{output} is large: {size:.1f} MB; give fewer --details than {options.details}", file=sys.stderr)
    return DONE


def _parser():
    parser = files.OneLineParser(prog="simsiam-tf report", description=run.__doc__)
    what = "run folder, folder of runs, or study by name or file, with the settings that it was swept with"
    parser.add_argument("what", type=str, nargs="+", metavar="RUN_OR_STUDY", help=what)
    parser.add_argument("--output", type=str, default=None, help="file to write; default report.html")
    parser.add_argument("--format", type=str, default="html", help="html, csv or latex")
    results = "folder of a study's results"
    parser.add_argument("--results", type=str, default=os.path.join("runs", "results"), help=results)
    data = "folder that a study of image folders was run on; its name is enough"
    parser.add_argument("--data", type=str, default=None, help=data)
    parser.add_argument("--title", type=str, default=None, help="of the page")
    details = "runs at most whose images are looked at: a minute for each or less"
    parser.add_argument("--details", type=int, default=3, help=details)
    parser.add_argument(
        "--carbon_intensity", type=float, default=None, help="g of CO2 for a kWh; default: the runs' own"
    )
    return parser


def _apart(arguments):
    """The verb's own arguments; and settings, whose names have a dot, for the studies."""
    own, settings, rest = [], [], iter(arguments)
    for argument in rest:
        if not (argument.startswith("--") and "." in argument.split("=")[0]):
            own.append(argument)
        else:
            settings += [argument, *itertools.islice(rest, 0 if "=" in argument else 1)]
    return own, settings


def _study(name, options, settings):
    from simsiam_tf.experiments.results import Results
    from simsiam_tf.experiments.study import Study
    from simsiam_tf.report import compared, records

    try:
        study = Study.read(yaml_files.find(name, "studies"))
    except InputError as error:
        raise InputError(f"RUN_OR_STUDY: {name} is neither a folder nor a study ({error}); give one") from error
    data = [f"--data.path={options.data}"] if options.data else []
    cells, results = study.cells(sweep_parser, [*data, *settings])[1], Results(Path(options.results))
    return compared.of_study(study, cells, results), records.of_study(study, cells, results)


def _content(options, records, studies):
    from simsiam_tf.report import text

    if options.format == "csv":
        return text.csv_text(records, studies)
    if options.format == "latex":
        return text.latex_text(records, studies)
    quiet_tensorflow()
    from simsiam_tf.report.grouping import titles
    from simsiam_tf.report.page import html
    from simsiam_tf.report.pictures import details

    named = [(name, record.folder) for name, record in zip(titles(records), records, strict=True) if record.folder]
    finished = [(name, folder) for name, folder in named if (folder / "backbone.keras").is_file()]
    looked = [(name, details(folder)) for name, folder in finished[: options.details]]
    title = studies[0].title if studies else f"{len(records)} runs" if len(records) > 1 else records[0].name
    return html(options.title or title, records, studies, looked, options.carbon_intensity)
