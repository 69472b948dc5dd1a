"""Findings of the paper and what small runs say of them: made-up results in closed form, and each row is there."""

import itertools

import findings
import pytest
from findings import CONFIRMED, NOT, UNDECIDED, UNMEASURED, judge


def runs(*accuracies, outcome="healthy", **more):
    return [
        {"configuration": {}, "outcome": outcome, "figures": {"linear_accuracy": each}} | more for each in accuracies
    ]


def knn(*accuracies):
    return {"epochs": [{"knn_accuracy": each} for each in accuracies]}


HIGH, LOW, WIDE = runs(0.60, 0.61, 0.62), runs(0.50, 0.51, 0.52), runs(0.40, 0.55, 0.72)


@pytest.mark.parametrize(
    ("relation", "row", "other", "verdict"),
    [
        ("below", LOW, HIGH, CONFIRMED),
        ("below", HIGH, LOW, NOT),
        ("below", WIDE, HIGH, UNDECIDED),
        ("above", HIGH, LOW, CONFIRMED),
        ("above", LOW, HIGH, NOT),
        ("above", HIGH, WIDE, UNDECIDED),
        ("like", HIGH, LOW, CONFIRMED),
        ("like", LOW, HIGH, NOT),
        ("like", HIGH, HIGH, UNDECIDED),  # three seeds leave more than a point open
        ("no more than", LOW, HIGH, CONFIRMED),
        ("no more than", HIGH, LOW, NOT),
        ("no more than", WIDE, LOW, UNDECIDED),
        ("collapses", runs(0.1, 0.1, 0.11, outcome="collapsed"), HIGH, CONFIRMED),
        ("collapses", LOW, HIGH, NOT),
        ("collapses", [*runs(0.1, outcome="collapsed"), *LOW[:2]], HIGH, UNDECIDED),
        ("collapses", runs(0.1, 0.1, 0.11, outcome="not converging"), HIGH, NOT),
        ("fails", runs(0.1, 0.1, 0.11, outcome="not converging"), HIGH, CONFIRMED),
        ("fails", runs(0.1, 0.1, 0.11, outcome="collapsed"), runs(0.1, 0.1, 0.11, outcome="diverged"), UNDECIDED),
        ("fails", LOW, HIGH, NOT),
        ("learns", LOW, HIGH, CONFIRMED),
        ("learns", runs(0.30, 0.31, 0.32), HIGH, UNDECIDED),  # no better than untrained
        ("learns", [*runs(0.5, outcome="oscillating"), *LOW[:2]], HIGH, UNDECIDED),
        ("learns", runs(0.1, 0.1, 0.11, outcome="collapsed"), LOW, NOT),
        ("diverges", runs(0.1, 0.1, 0.11, outcome="collapsed"), HIGH, NOT),
        ("diverges", runs(0.1, 0.1, 0.11, outcome="diverged"), HIGH, CONFIRMED),
        ("does not collapse", runs(0.1, 0.1, 0.11, outcome="not converging"), HIGH, CONFIRMED),
        ("does not collapse", runs(0.1, 0.1, 0.11, outcome="collapsed"), HIGH, NOT),
        ("rises", runs(0.1, 0.1, **knn(0.2, 0.3, 0.3, 0.2, 0.4)), HIGH, CONFIRMED),
        ("rises", [*runs(0.1, **knn(0.2, 0.3, 0.4)), *runs(0.1, **knn(0.2, 0.4, 0.4))], HIGH, UNDECIDED),
        ("below", [None, *LOW], HIGH, UNMEASURED),
    ],
)
def test_verdicts(relation, row, other, verdict):
    assert judge(relation, row, other, untrained=[0.30, 0.31, 0.32])[0] == verdict


def test_a_spread_is_kept_within_a_tenth():
    """Of 4 channels the ideal deviation is 1/2."""
    settings = {"method.projection_dim": 4}
    for deviation, verdict in ((0.46, CONFIRMED), (0.44, NOT)):
        row = [each | {"configuration": settings} for each in runs(0.5, 0.5)]
        for each in row:
            each["figures"]["feature_std"] = deviation
        assert judge("keeps its spread", row, HIGH)[0] == verdict


def test_the_difference_and_its_interval_in_points():
    """Of two samples of three with deviation 0.01: t(0.975, 4) = 2.776, half a width of 2.776 x 0.01 x sqrt(2 / 3)."""
    assert judge("above", HIGH, LOW)[1] == "+10.0 (+7.7 to +12.3)"


def test_every_finding_names_rows_of_its_study():
    for each in itertools.chain(*findings.FINDINGS.values()):
        assert each.row in findings.rows_of(each.study), each
        assert each.other in findings.rows_of(each.other_study or each.study), each


def test_another_figure_is_no_percentage():
    low, high = (
        [{"outcome": "healthy", "figures": {"rank": each}} for each in some] for some in ((1, 2, 3), (11, 12, 13))
    )
    assert judge("below", low, high, column="rank") == (CONFIRMED, "-10.000 (-12.267 to -7.733)")


def test_the_pages_have_the_tables_of_the_committed_runs():
    """`python benchmarks/findings.py` makes them anew."""
    for page, some in findings.FINDINGS.items():
        assert findings.findings_table(some) in page.read_text()
