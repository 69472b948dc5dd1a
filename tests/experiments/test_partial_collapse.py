"""Areas under ROC curves in closed form, and what the committed runs say of label-free figures."""

import numpy as np
import partial_collapse
from fates import COLLAPSE, HEALTHY, PARTIAL, Run, told_by_accuracy


def run(truth, **known):
    return Run("digits", "simsiam", truth, [], **known)


def test_the_area_is_the_chance_of_being_worse_than_a_healthy_run():
    runs = [run(HEALTHY), run(PARTIAL), run(HEALTHY), run(COLLAPSE), run(PARTIAL)]
    assert partial_collapse.area([1, 2, 3, 0, 4], runs, PARTIAL) == "0.75"  # three of the four pairs
    assert partial_collapse.area([1, 2, 3, 0, 4], runs, COLLAPSE) == "0.00"
    assert partial_collapse.area([3, 3, 3, 3, 3], runs, PARTIAL) == "0.50"
    assert partial_collapse.area([1, 2], [run(HEALTHY), run(HEALTHY)], PARTIAL) == "-"


def test_a_time_is_that_of_the_newest_epoch_until_then():
    some = run(HEALTHY, epochs=[{"epoch": epoch} for epoch in range(1, 11)])
    assert [partial_collapse.at(some, time)["epoch"] for time in (0.1, 0.2, 0.55, 1.0)] == [1, 2, 5, 10]
    assert partial_collapse.at(some, 0.05) is None


def test_a_rule_warns_in_the_first_epoch_beyond_its_limit():
    ranks = [3.0, 5.0, 1.0, 0.5]
    found = run(HEALTHY, epochs=[{"epoch": i + 1, "rank": rank} for i, rank in enumerate(ranks)])
    np.testing.assert_array_equal(partial_collapse.worse(found, "rank", -1), [-3, -5, -1, -0.5])
    assert [partial_collapse.passing("rank", -1, limit)(found) for limit in (-4, -2, -1, 0)] == [0.25, 0.75, 1, np.inf]
    assert partial_collapse.told([found], partial_collapse.passing("rank", -1, -2)) == [
        "0, 0, 0, 0, 0 of 0",
        "0, 0, 0, 0, 0 of 0",
        "0, 0, 0, 0, 1 of 1",
    ]


def test_the_page_has_the_tables_of_the_committed_runs():
    """`python benchmarks/partial_collapse.py` makes them anew."""
    page = partial_collapse.PAGE.read_text()
    assert partial_collapse.at_the_end(told_by_accuracy()) in page
    assert partial_collapse.on_the_way(told_by_accuracy(partial_collapse.SPECTRA)) in page
    assert partial_collapse.rules(told_by_accuracy(partial_collapse.SPECTRA)) in page
