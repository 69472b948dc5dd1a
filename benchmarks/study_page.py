"""Puts the tables of studies into docs/study.md, methods.md and collapse.md, from the results that are committed.

python benchmarks/study_page.py
"""

import re
from pathlib import Path

from simsiam_tf.cli.sweep import parser
from simsiam_tf.experiments.results import Results
from simsiam_tf.experiments.study import Study
from simsiam_tf.experiments.tables import markdown
from simsiam_tf.settings import yaml_files

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "docs" / name for name in ("study.md", "methods.md", "collapse.md")]
RESULTS = ROOT / "benchmarks" / "results" / "cells"
PHOTOS = "photos"  # name of the folder that studies of image folders were run on
SECTION = re.compile(r"(<!-- tables of (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def with_tables(page: str) -> str:
    """The page with today's tables between the marks `<!-- tables of STUDY -->` and `<!-- end -->`."""

    def tables(found):
        study = Study.read(yaml_files.find(found[2], "studies"))
        cells = study.cells(parser, [])[1]
        if cells[0].config.data.source == "folder":
            cells = study.cells(parser, [f"--data.path={PHOTOS}"])[1]
        return found[1] + markdown(study, cells, Results(RESULTS)) + found[3]

    return SECTION.sub(tables, page)


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(with_tables(page.read_text()))
