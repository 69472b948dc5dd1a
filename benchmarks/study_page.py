"""Puts the tables of studies into docs/study.md, methods.md and collapse.md, from the results that are committed.

python benchmarks/study_page.py
"""

import dataclasses
import functools
import json
import re
from pathlib import Path

from simsiam_tf.cli.sweep import parser
from simsiam_tf.experiments.results import Results, file_name
from simsiam_tf.experiments.study import Study
from simsiam_tf.experiments.tables import markdown
from simsiam_tf.settings import yaml_files

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "docs" / name for name in ("study.md", "methods.md", "collapse.md")]
RESULTS = ROOT / "benchmarks" / "results" / "cells"
SECONDS = RESULTS.parent / "row_seconds.json"
PHOTOS = "photos"  # name of the folder that studies of image folders were run on
SECTION = re.compile(r"(<!-- tables of (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


class Timed(Results):
    """Results whose seconds are those of row_seconds.py, or none: runs share their machine with others."""

    @functools.cached_property
    def rows(self):
        return json.loads(SECONDS.read_text())["rows"]

    def find(self, config):
        result, row = super().find(config), self.rows.get(file_name(dataclasses.replace(config, seed=0)))
        alone = {"seconds": row["seconds"], "epochs": 1} if row and not config.seed else {"epochs": None}
        return result and result | {"figures": result["figures"] | alone}


def with_tables(page: str) -> str:
    """The page with today's tables between the marks `<!-- tables of STUDY -->` and `<!-- end -->`."""

    def tables(found):
        study = Study.read(yaml_files.find(found[2], "studies"))
        cells = study.cells(parser, [])[1]
        if cells[0].config.data.source == "folder":
            cells = study.cells(parser, [f"--data.path={PHOTOS}"])[1]
        return found[1] + markdown(study, cells, Timed(RESULTS)) + found[3]

    return SECTION.sub(tables, page)


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(with_tables(page.read_text()))
