"""The committed sample, docs/report.html: what today's code says of the committed results, and every kind of part."""

import html
import re
from pathlib import Path

import pytest

from simsiam_tf.cli.sweep import parser
from simsiam_tf.experiments.results import Results
from simsiam_tf.experiments.study import Study
from simsiam_tf.report import compared
from simsiam_tf.settings import yaml_files

ROOT = Path(__file__).parents[2]
STUDY = "stop_gradient_small"


@pytest.fixture(scope="module")
def sample():
    return (ROOT / "docs" / "report.html").read_text()


def cells(text):
    """What stands in the cells of a table's body, row by row."""
    return [html.unescape(re.sub("<[^>]*>", "", each)).strip() for each in re.findall(r"<td.*?</td>", text, re.DOTALL)]


def test_its_tables_are_those_of_the_committed_results(sample):
    """Made anew by the command in docs/guide.md, "A report"."""
    study = Study.read(yaml_files.find(STUDY, "studies"))
    found = compared.of_study(study, study.cells(parser, [])[1], Results(ROOT / "benchmarks" / "results" / "cells"))
    (section,) = re.findall(rf'<section id="{found.name}">.*?</section>', sample, re.DOTALL)
    expected = [cell.strip("*") for _, body in found.tables() for row in body for cell in row]
    assert cells(section) == expected


def test_it_has_every_part_and_is_small(sample):
    parts = ["Summary", "Runs", "Training", "Accuracy by share of the labels", "Nearest neighbours", "Energy"]
    parts += ["Map of the features", "Confusion", "Spectrum", "What it was shown", "Settings that differ", "Finetuned"]
    assert all(re.search(rf"<h[23]>{part}", sample) for part in parts)
    assert "Classifiers that began with" in sample
    assert " kWh in the training of " in sample
    assert len(sample) < 3e6
