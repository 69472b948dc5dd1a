"""The summary in words."""

import pytest

from simsiam_tf.report import words
from simsiam_tf.report.words import advice, summary


def quality(untrained, raw):
    pairs = {"untrained": untrained, "raw": raw}
    return {"sentence": "x", "against": {name: {"low": low, "high": high} for name, (low, high) in pairs.items()}}


@pytest.mark.parametrize(
    ("untrained", "raw", "text"),
    [
        ((-0.3, -0.1), (0.1, 0.2), words.WORSE),
        ((-0.1, 0.1), (0.1, 0.2), words.UNDECIDED),
        ((0.1, 0.2), (-0.1, 0.1), words.PIXELS),
        ((0.1, 0.2), (-0.2, -0.1), words.PIXELS),
        ((0.1, 0.2), (0.1, 0.2), words.GOOD),
    ],
)
def test_what_to_try_follows_the_intervals(record, untrained, raw, text):
    assert advice(record(quality=quality(untrained, raw))) == [text]


@pytest.mark.parametrize("outcome", ["collapsed", "diverged", "not converging", "oscillating"])
def test_a_failed_run_is_told_what_to_try_whatever_its_accuracy(record, outcome):
    assert advice(record(outcome=outcome)) == [words.ADVICE[outcome]]


def test_the_summary_says_verdict_quality_and_advice(record):
    assert summary([record()]) == [
        "Training: healthy: spread 0.98 of 1/sqrt(d).",
        "kNN 50.0 % of 300 test images.",
        words.GOOD,
        words.ONE_SEED,
    ]
    tuned = record(outcome="not watched", classifier={"labels": 70, "test_accuracy": 0.5})
    del tuned.figures["quality"]
    assert summary([tuned]) == ["Classifier by 70 labels: 50.0 % of the test images right."]
    unwatched = record(outcome="not watched")
    del unwatched.figures["verdict"]
    assert summary([unwatched]) == ["kNN 50.0 % of 300 test images.", words.GOOD, words.ONE_SEED]
    unfinished = record(outcome="3 of 9 epochs")
    unfinished.figures.clear()
    assert summary([unfinished]) == ["Training: 3 of 9 epochs."]


def test_one_collapsed_seed_of_three_is_said_to_be_so(record):
    seeds = [record(knn_accuracy=0.52), record(seed=1, knn_accuracy=0.50)]
    collapsed = record(seed=2, outcome="collapsed", knn_accuracy=0.12, verdict="collapsed: spread 0.01 of 1/sqrt(d)")
    del collapsed.figures["quality"]
    assert summary([*seeds, collapsed]) == [
        "Training of 3 seeds: 2 healthy, 1 collapsed.",
        "Mean ± standard deviation: kNN 38.0 ± 22.5 %.",
        "Seed 2 did worst.",
        "Training: collapsed: spread 0.01 of 1/sqrt(d).",
        words.ADVICE["collapsed"],
    ]
    assert summary(seeds)[2:] == ["Seed 1 did worst.", *summary([seeds[1]])[:-1]]
    doubtful = record(seed=3, quality=quality((-0.1, 0.1), (0.1, 0.2)), knn_accuracy=0.6)
    assert summary([*seeds, doubtful])[-1] == words.UNDECIDED
