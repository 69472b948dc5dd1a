"""Areas under ROC curves in closed form, and what the committed runs say of label-free figures."""

import partial_collapse
import pytest
from fates import COLLAPSE, HEALTHY, PARTIAL, Run, told_by_accuracy


def run(truth, epochs=(), data="digits"):
    return Run(data, "simsiam", truth, [], list(epochs))


def test_the_area_is_the_chance_of_being_worse_than_a_healthy_run():
    runs = [run(HEALTHY), run(PARTIAL), run(HEALTHY), run(COLLAPSE), run(PARTIAL)]
    assert partial_collapse.area([1, 2, 3, 0, 4], runs, PARTIAL) == "0.75"  # three of the four pairs
    assert partial_collapse.area([1, 2, 3, 0, 4], runs, COLLAPSE) == "0.00"
    assert partial_collapse.area([3, 3, 3, 3, 3], runs, PARTIAL) == "0.50"
    assert partial_collapse.area([1, 2], [run(HEALTHY), run(HEALTHY)], PARTIAL) == "-"


def test_the_newest_spectra_within_a_share_of_the_run():
    epochs = [{"epoch": float(i), "features_auc": i / 10} for i in (2, 4, 6, 8)] + [{"epoch": 10.0}]
    found = [partial_collapse.at(run(HEALTHY, epochs), time)["features_auc"] for time in (0.1, 0.4, 0.5, 1.0)]
    assert found == pytest.approx([0.2, 0.4, 0.4, 0.8])


def test_the_page_has_the_tables_of_the_committed_runs():
    """`python benchmarks/partial_collapse.py` makes them anew."""
    page = partial_collapse.PAGE.read_text()
    assert partial_collapse.at_the_end(told_by_accuracy(partial_collapse.RESULTS)) in page
    assert partial_collapse.on_the_way(told_by_accuracy(partial_collapse.SPECTRA)) in page
