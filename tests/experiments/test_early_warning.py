"""Rules that warn of a collapse: made-up looks in closed form, and what the committed runs say of the monitor's own."""

import early_warning
import numpy as np
import pytest
from fates import COLLAPSE, FIGURES, HEALTHY, Run, read


def looks(ranks, correlations=None):
    """Looks at steps 60, 70, ... with these effective ranks."""
    correlations = correlations or [0.2] * len(ranks)
    return [
        {
            "step": 60.0 + 10 * i,
            "relative_std": 1.0,
            "correlation_strength": correlation,
            "effective_rank": float(rank),
            "rows": 512.0,
            "channels": 64.0,
        }
        for i, (rank, correlation) in enumerate(zip(ranks, correlations, strict=True))
    ]


def run(ranks, correlations=None, truth=HEALTHY):
    return Run("digits", "simsiam", truth, looks(ranks, correlations))


def test_a_limit_must_be_passed_by_three_looks_in_a_row():
    rule = early_warning.limit("effective_rank", -10.0)
    assert rule(run([20, 9, 9, 20, 9, 9, 9, 20])) == pytest.approx(120 / 130)
    assert rule(run([20, 9, 9, 20, 9, 9, 20, 20])) == np.inf
    assert early_warning.limit("effective_rank", -10.0, confirm=1)(run([20, 9, 20, 20])) == pytest.approx(70 / 90)


def test_looks_before_the_grace_period_do_not_count():
    early = [{**look, "step": look["step"] - 50} for look in looks([1, 1, 1, 1, 1, 20, 20, 20])]
    found = Run("digits", "simsiam", HEALTHY, early)
    assert [look["step"] for look in found.looks] == [60.0, 70.0, 80.0]
    assert early_warning.limit("effective_rank", -10.0)(found) == np.inf


def test_a_limit_is_as_far_out_as_all_collapses_pass_it_within_a_third():
    late = run([20] * 40 + [1] * 20, truth=HEALTHY)  # a healthy run decides nothing
    failing = [run([20] * 5 + [9] * 55, truth=COLLAPSE), run([20] * 3 + [12] * 30 + [5] * 27, truth=COLLAPSE)]
    value = early_warning.furthest(lambda each: each.scores()["effective_rank"], [*failing, late])
    assert value == pytest.approx(-12.0)
    rule = early_warning.limit("effective_rank", value)
    assert [rule(each) for each in failing] == pytest.approx([130 / 650, 110 / 650])  # at the third look below it
    assert rule(run([12.01] * 60)) == np.inf


def test_warned_counts_by_time():
    runs = [run([9] * 10, truth=COLLAPSE), run([20] * 7 + [9] * 3, truth=COLLAPSE), run([20] * 10)]
    counts, n = early_warning.warned(runs, early_warning.limit("effective_rank", -10.0), COLLAPSE)
    assert (counts, n) == ([0, 0, 0, 0, 2], 2)  # the first after 80 of 150 steps
    assert early_warning.warned(runs, early_warning.limit("effective_rank", -10.0), HEALTHY) == ([0] * 5, 1)


def test_the_monitor_among_the_rules_on_runs_that_chose_none():
    """It finds all within a third of the run; no rule that does finds more within a fifth with as few false alarms.

    That decides among them, on the runs that limits are chosen on; and it holds on the others, too.
    """
    runs = read()
    chosen, apart = early_warning.parts(runs)
    assert not {id(each) for each in chosen} & {id(each) for each in apart}
    assert len(apart) >= 100
    rules = early_warning.rules(chosen)
    for some in (chosen, apart):
        found = {
            name: [early_warning.warned(some, rule, truth) for truth in (COLLAPSE, HEALTHY)]
            for name, rule in rules.items()
        }
        (ours, n), (false, _) = found.pop("the monitor: at risk")
        assert ours[2] == n
        for (caught, _), (alarms, _) in found.values():
            assert caught[2] < n or caught[1] <= ours[1] or alarms[-1] > false[-1]
    assert set(FIGURES) == {"relative_std", "correlation_strength", "effective_rank"}


def test_the_monitors_variant_is_chosen_without_the_runs_kept_apart():
    """The earliest that warns of as few healthy runs as three looks and a rank below 5 do, its rule before."""
    chosen, _ = early_warning.parts(read())
    tried = {(rank, looks): early_warning.variant(rank, looks) for rank in (4, 5) for looks in (1, 2, 3)}
    alarms = {name: early_warning.warned(chosen, rule, HEALTHY)[0][-1] for name, rule in tried.items()}
    caught = {name: early_warning.warned(chosen, rule, COLLAPSE)[0] for name, rule in tried.items()}
    fit = [name for name in tried if alarms[name] <= alarms[5, 3]]
    assert max(fit, key=lambda name: (caught[name], -alarms[name])) == (4, 1)


def test_the_page_has_the_tables_of_the_committed_runs():
    """`python benchmarks/early_warning.py` makes them anew."""
    runs = read()
    chosen, apart = early_warning.parts(runs)
    page = early_warning.PAGE.read_text()
    assert early_warning.runs_table(runs, chosen) in page
    rules = early_warning.rules(chosen)
    assert early_warning.rules_table(apart, rules) in page
    assert early_warning.rules_table(chosen, rules) in page
    assert early_warning.sentence(apart, rules) in early_warning.GUIDE.read_text()
