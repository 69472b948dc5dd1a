"""What looks and losses say together. The limits themselves are tried on real runs: benchmarks/verdicts.py."""

import math

import pytest

from simsiam_tf.evaluation.verdict import judge, outcome, severity

GOOD = {"relative_std": 0.95, "correlation_strength": 0.4, "effective_rank": 30.0, "rows": 512, "channels": 256}
POOR = GOOD | {"correlation_strength": 0.85}
BAD = GOOD | {"relative_std": 0.05}


def looks(*kinds, every=100):
    return [kind | {"step": every * (i + 1)} for i, kind in enumerate(kinds)]


def verdicts(*kinds):
    """After each look in turn."""
    rows = looks(*kinds)
    return [judge(rows[: i + 1]).verdict for i in range(len(rows))]


def epochs(*losses, std=0.05, steps=200):
    return [{"step": steps * (i + 1), "loss": loss, "loss_std": std} for i, loss in enumerate(losses)]


CONVERGED = epochs(-0.3, -0.5, -0.6, -0.62, -0.64, -0.65)


def test_a_verdict_changes_when_three_looks_agree():
    assert verdicts(POOR, GOOD, GOOD, POOR, GOOD, GOOD, GOOD) == ["at risk"] * 6 + ["healthy"]
    assert verdicts(BAD, BAD, BAD, GOOD, BAD, GOOD) == ["at risk"] * 2 + ["collapsed"] * 4


def test_one_bad_look_is_a_first_warning():
    assert verdicts(GOOD, BAD, GOOD, GOOD, GOOD) == ["healthy"] + ["at risk"] * 3 + ["healthy"]
    assert judge(looks(GOOD, BAD, GOOD)).sentence == "at risk: spread 0.05 of 1/sqrt(d)"


def test_it_goes_no_further_than_the_three_looks_agree():
    assert verdicts(POOR, BAD, BAD, POOR, POOR, BAD) == ["at risk"] * 6
    assert verdicts(BAD, BAD, BAD, POOR, GOOD, POOR) == ["at risk"] * 2 + ["collapsed"] * 3 + ["at risk"]


def test_the_sentence_has_the_figures_of_the_newest_look_that_says_so():
    assert judge(looks(POOR, POOR, POOR, GOOD)).sentence == "at risk: correlation 0.85"
    healthy = "healthy: spread 0.95 of 1/sqrt(d), correlation 0.40, effective rank 30.0 of 256"
    assert judge(looks(GOOD)).sentence == healthy
    both = BAD | {"effective_rank": 1.2, "correlation_strength": 0.85}
    assert judge(looks(both, both, both)).sentence.startswith("collapsed: spread 0.05 of 1/sqrt(d), effective rank 1.2")


def test_looks_at_a_new_network_do_not_count():
    rows = looks(BAD, BAD, BAD, GOOD, every=10)
    assert judge(rows, grace=30).verdict == "healthy"
    assert judge(rows, grace=0).verdict == "collapsed"
    early = "healthy so far, which is too early to say: spread 0.05 of 1/sqrt(d), correlation 0.40"
    for verdict in (judge(rows[:3], grace=50), outcome(rows[:3], [], grace=50)):
        assert verdict.verdict == "healthy"
        assert verdict.sentence.startswith(early)


def test_at_the_end_a_look_that_nothing_confirms_is_a_risk():
    def ended(*kinds):
        found = outcome(looks(*kinds), [])
        return found.verdict, found.sentence.split(":")[0]

    assert ended(BAD) == ended(BAD, BAD) == ("collapsed", "collapsed")
    assert ended(POOR, BAD) == ended(GOOD, POOR) == ("healthy", "at risk")
    assert ended(GOOD, GOOD, GOOD, BAD) == ended(GOOD, GOOD, BAD, BAD) == ("healthy", "at risk")
    assert ended(GOOD, BAD, GOOD, GOOD) == ("healthy", "at risk")
    assert ended(GOOD, BAD, GOOD, GOOD, GOOD) == ("healthy", "healthy")
    assert ended(BAD, BAD, BAD, GOOD) == ("collapsed", "collapsed")
    assert "spread 0.05" in outcome(looks(GOOD, GOOD, GOOD, BAD), []).sentence


@pytest.mark.parametrize(
    ("ranks", "level"),
    [
        ([22.0, 20.0, 16.0, 12.0, 9.0, 8.0], 1),
        ([22.0, 20.0, 18.0, 16.0, 13.0, 11.5], 0),  # less than by half
        ([100.0, 80.0, 60.0, 50.0, 45.0, 40.0], 0),  # plenty is left
        ([30.0, 12.0, 12.0, 12.0, 12.0, 12.0, 12.0], 0),  # it fell long ago
        ([22.0, 20.0, 16.0, 12.0, 9.0, 2.9], 2),
    ],
)
def test_a_rank_that_falls_fast_is_a_risk(ranks, level):
    rows = [GOOD | {"effective_rank": rank} for rank in ranks]
    found = severity(rows[-1], rows[-6:-1])
    assert found.level == level
    if level == 1:
        assert found.reasons == ["effective rank 8.0 of 256, from 22.0 within 5 looks"]


def test_a_falling_rank_is_named_at_once():
    fall = [GOOD | {"effective_rank": rank} for rank in (22, 21, 20, 9.5, 9, 8)]
    assert verdicts(*fall) == ["healthy"] * 3 + ["at risk"] * 3


def test_of_few_rows_or_channels_only_the_spread_counts():
    few = GOOD | {"correlation_strength": 1.0, "effective_rank": 1.0}
    assert severity(few).level == 2
    assert severity(few | {"rows": 31}).level == severity(few | {"channels": 7}).level == 0
    assert severity(few | {"channels": 7, "relative_std": 0.2}).reasons == ["spread 0.20 of 1/sqrt(d)"]


def test_what_is_not_finite_has_collapsed():
    lost = GOOD | {"relative_std": math.nan}
    assert judge(looks(lost, lost, lost)).sentence == "collapsed: the output holds NaN or infinity (diverged)"
    assert outcome(looks(lost), []).verdict == outcome(looks(lost, every=10), []).verdict == "collapsed"


def test_outcomes_of_whole_runs():
    healthy, collapsed = looks(*[GOOD] * 4), looks(*[BAD] * 4)
    assert outcome(healthy, CONVERGED, 0.65).verdict == "healthy"
    assert outcome(collapsed, CONVERGED, 0.65).verdict == "collapsed"
    assert outcome(looks(*[POOR] * 4), CONVERGED, 0.65) == outcome(looks(*[POOR] * 4), CONVERGED)
    assert outcome(looks(*[POOR] * 4), CONVERGED).verdict == "healthy"
    assert outcome(looks(*[POOR] * 4), CONVERGED).sentence == "at risk: correlation 0.85"


def test_predictions_that_stay_far_from_their_targets_do_not_converge():
    flat = epochs(-0.1, -0.2, -0.22, -0.22)
    found = outcome(looks(*[GOOD] * 4), flat, 0.22)
    assert found.verdict == "not converging"
    assert found.sentence.startswith(
        "not converging: predictions meet their targets with a cosine of 0.22 after 800 st"
    )
    assert outcome(looks(*[GOOD] * 4), flat[:2], 0.22).verdict == "healthy"  # too early to say
    assert outcome(looks(*[GOOD] * 4), flat, None).verdict == "healthy"  # a loss of another kind
    assert outcome(looks(*[BAD] * 4), flat, 0.22).verdict == "collapsed"


def test_a_loss_that_swings_oscillates():
    swinging = epochs(-0.3, -0.6, -0.4, -0.65, -0.45, -0.66, std=0.15)
    found = outcome(looks(*[GOOD] * 4), swinging, 0.66)
    fall = -0.3 + 2 * 0.15 + 0.66
    assert found.verdict == "oscillating"
    assert f"swings by {100 * 0.21 / fall:.0f} % of its whole fall" in found.sentence
    assert outcome(looks(*[BAD] * 4), swinging, 0.66).sentence.endswith("from one epoch to the next")
    assert outcome(looks(*[GOOD] * 4), CONVERGED, 0.65).verdict == "healthy"
    begun = epochs(-0.3, -0.6, -0.4, -0.65, -0.45, -0.66, std=0.15, steps=80)
    assert outcome(looks(*[GOOD] * 4), begun, 0.66).verdict == "healthy"  # too early to say
    once = epochs(-0.3, -0.6, -0.4, -0.65, -0.45, -0.66, std=0.05)  # between epochs, but hardly within any
    assert outcome(looks(*[GOOD] * 4), once, 0.66).verdict == "healthy"
    early = epochs(-0.1, -0.7, -0.1, -0.65, -0.66, -0.66, -0.66, std=0.15)  # and steady in the second half
    assert outcome(looks(*[GOOD] * 4), early, 0.66).verdict == "healthy"
