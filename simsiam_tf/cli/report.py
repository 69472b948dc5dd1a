"""simsiam-tf report."""

from __future__ import annotations

import os
from pathlib import Path

from simsiam_tf.atomic import replacing
from simsiam_tf.cli import DONE
from simsiam_tf.cli.sweep import parser as sweep_parser
from simsiam_tf.cli.tensorflow import quiet_tensorflow
from simsiam_tf.errors import InputError
from simsiam_tf.settings import files, yaml_files

FORMATS = {"html": ".html", "csv": ".csv", "latex": ".tex"}


def run(arguments: list[str]) -> int:
    """Write one page about runs or studies: tables, curves, neighbours, a map; or their tables as CSV or LaTeX."""
    options = _parser().parse_args(arguments)
    if options.format not in FORMATS:
        raise InputError(f"format: {options.format!r} is unknown; give one of {', '.join(FORMATS)}")
    output = Path(options.output or f"report{FORMATS[options.format]}")
    if not output.parent.is_dir():
        raise InputError(f"output: folder {output.parent} does not exist; make it first")
    if output.suffix in FORMATS.values() and output.suffix != FORMATS[options.format]:
        raise InputError(f"output: {output} is no name for {options.format}; give --format, or another ending")
    if options.carbon_intensity is not None and not options.carbon_intensity >= 0:
        raise InputError(f"carbon_intensity: {options.carbon_intensity:g} is no value of it; give 0 or more")
    if options.details < 0:
        raise InputError(f"details: {options.details} is no value of it; give 0 or more")

    from simsiam_tf.report.records import of_folders

    studies, records = [], []
    for each in options.what:
        if Path(each).is_dir():
            records += of_folders(Path(each))
        else:
            study, found = _study(each, options)
            studies.append(study)
            records += found
    if not records:
        raise InputError(f"RUN_OR_STUDY: nothing of {', '.join(options.what)} is done yet; sweep it, or give --results")
    content = _content(options, records, studies)
    with replacing(output) as partial:
        partial.write_text(content, encoding="utf-8", errors="backslashreplace")
    print(f"{len(records)} runs: {output}")
    return DONE


def _parser():
    parser = files.OneLineParser(prog="simsiam-tf report", description=run.__doc__)
    what = "run folder, folder of runs, or study, by name or file"
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


def _study(name, options):
    from simsiam_tf.experiments.results import Results
    from simsiam_tf.experiments.study import Study
    from simsiam_tf.report import compared, records

    try:
        study = Study.read(yaml_files.find(name, "studies"))
    except InputError as error:
        raise InputError(f"RUN_OR_STUDY: {name} is neither a folder nor a study ({error}); give one") from error
    data = [f"--data.path={options.data}"] if options.data else []
    cells, results = study.cells(sweep_parser, data)[1], Results(Path(options.results))
    return compared.of_study(study, cells, results), records.of_study(study, cells, results)


def _content(options, records, studies):
    from simsiam_tf.report import text

    if options.format == "csv":
        return text.csv_text(records, studies)
    if options.format == "latex":
        return text.latex_text(records, studies)
    quiet_tensorflow()
    from simsiam_tf.report.page import html
    from simsiam_tf.report.pictures import details

    finished = [record for record in records if record.folder and (record.folder / "backbone.keras").is_file()]
    looked = [(record.name, details(record.folder)) for record in finished[: options.details]]
    title = studies[0].title if studies else f"{len(records)} runs" if len(records) > 1 else records[0].name
    return html(options.title or title, records, studies, looked, options.carbon_intensity)
