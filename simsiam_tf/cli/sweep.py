"""simsiam-tf sweep."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from simsiam_tf.atomic import replacing
from simsiam_tf.cli import BAD_INPUT, DONE
from simsiam_tf.errors import InputError
from simsiam_tf.evaluation.energy import used
from simsiam_tf.experiments import tables
from simsiam_tf.experiments.results import Results
from simsiam_tf.experiments.study import Study
from simsiam_tf.experiments.sweep import Sweep
from simsiam_tf.settings import files, yaml_files
from simsiam_tf.settings.paths import check_data, check_permutation, check_teacher

log = logging.getLogger("simsiam_tf")


def run(arguments: list[str]) -> int:
    """Run all cells of a study, or those that are left; show its tables."""
    file, rest = files.without_config(arguments)
    if file is None:
        if not {"-h", "--help"} & set(arguments):
            raise InputError("--config: none given; give a study, such as a YAML file of configs/studies")
        files.parse(parser(), ["--help"])
    study = Study.read(yaml_files.find(file, "studies"))
    options, cells = study.cells(parser, rest)
    for cell in cells:
        check_data(cell.config.data)
        check_permutation(cell.config)
        check_teacher(cell.config)
    devices = tuple(part.strip() for part in options.devices.split(",")) if options.devices else ()
    if options.jobs < 1:
        raise InputError(f"jobs: {options.jobs} is no value of it; give 1 or more")

    results = Results(Path(options.results))
    output = cells[0].config.folder.parent
    log.info("%s: %d rows x %d seeds", study.title, len(study.rows), len(study.seeds))
    failures = Sweep(cells, results, options.jobs, devices, log.info).run()
    _show(study, cells, results, output)
    for name, reason in failures.items():
        print(f"{name} failed: {reason}", file=sys.stderr)
    return BAD_INPUT if failures else DONE


def parser():
    """Of the verb's own options."""
    own = files.OneLineParser(prog="simsiam-tf sweep", description=run.__doc__)
    own.add_argument("--jobs", type=int, default=1, help="cells side by side; on a CPU they share its cores")
    own.add_argument("--devices", type=str, default="", help="GPUs that the jobs are dealt out to, such as 0,1")
    own.add_argument("--results", type=str, default=os.path.join("runs", "results"), help="folder of results")
    return own


def _show(study, cells, results, output):
    """Print the study's tables; write them as Markdown beside its runs."""
    rows = tables.lines(study, cells, results)
    found = {
        study.title: tables.table(study.columns, rows),
        "Differences": tables.differences(study.compared, rows),
    }
    for title, (header, body) in found.items():
        shown = Table(title=title)
        for index, text in enumerate(header):
            shown.add_column(text, justify="right" if index else "left", no_wrap=not index)
        for row in body:
            shown.add_row(*(f"[bold]{text.strip('*')}[/bold]" if text.startswith("**") else text for text in row))
        if body:
            Console().print(shown)
    found = [results.find(cell.config) for cell in cells]
    if energy := used([run["figures"] if run else {} for run in found]):
        print(f"energy: {energy}")
    path = output / "table.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        partial.write_text(tables.markdown(study, cells, results))
    print(f"tables: {path}")
