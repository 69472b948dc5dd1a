"""The tables as CSV and LaTeX."""

import csv
import io

import pytest

from simsiam_tf.report import text


def test_numbers_for_spreadsheets(study, record):
    """Mean and deviation apart, accuracies from 0 to 1, the differences after them; then runs of no study."""
    table, runs = study
    means, differences, alone, none = text.csv_text([*runs, record("a, b", seed=1, by_fraction={})], [table]).split(
        "\n\n"
    )[:4]
    (first, *_) = csv.DictReader(io.StringIO(means))
    assert first["row"] == "a row of a rather long name"
    assert [float(first[f"knn_accuracy{of}"]) for of in ("", " sd")] == pytest.approx([0.81, 0.01])
    assert (first["paper: knn_accuracy"], first["runs"]) == ("89.5", "3 healthy")
    last = list(csv.DictReader(io.StringIO(differences)))[-1]
    assert float(last["difference"]) == pytest.approx(-0.3)
    assert float(last["low"]) < -0.3 < float(last["high"])
    assert (float(last["p"]) < 0.05, last["verdict"]) == (True, "lower")
    assert alone.splitlines() == ["row,knn_accuracy,knn_accuracy sd,runs", '"a, b",0.5,,1 healthy']
    assert none.splitlines() == ["run,method,seed,outcome,knn_accuracy,loss", '"a, b",simsiam,1,healthy,0.5,-0.7']


def test_tables_for_papers(record):
    records = [record("50 %_a", seed=1), record("b", outcome="collapsed")]
    lines = text.latex_text(records, []).split("\n\n")[-1].splitlines()
    assert lines[:3] == [r"\begin{tabular}{lrrrrr}", r"\toprule", r"run & method & seed & outcome & kNN & loss \\"]
    assert lines[4] == r"50 \%\_a & simsiam & 1 & healthy & 50.0 \% & -0.700 \\"
    assert text._latex("**1 ± 2**") == r"\textbf{1 $\pm$ 2}"
