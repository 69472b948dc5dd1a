"""Every row of the paper's tables stands in docs/methods.md with its study, the paper's figure and ours."""

import rows

from simsiam_tf.experiments.study import Study
from simsiam_tf.settings import yaml_files


def test_the_page_has_the_rows_of_the_committed_results():
    """`python benchmarks/rows.py` makes them anew."""
    assert rows.rows_table() in rows.PAGE.read_text()


def test_twins_are_rows_of_the_small_studies_with_the_papers_figure():
    """All but table 4's longer trainings have one; both studies quote the same figure."""
    for name, (_, small) in rows.STUDIES.items():
        twins = {row.name: row for row in Study.read(yaml_files.find(small, "studies")).rows}
        for row in Study.read(yaml_files.find(name, "studies")).rows:
            if row.name.endswith("00 epochs") and not row.name.endswith(", 100 epochs"):
                continue
            assert twins[rows.twin(row.name)].paper == row.paper, row.name
