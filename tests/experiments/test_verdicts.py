"""The collapse monitor's limits on real runs: docs/collapse.md, from the results that are committed."""

import verdicts


def test_no_run_that_is_healthy_was_warned_of_and_every_failure_was_named():
    runs = [run for run in verdicts.read() if run.row in verdicts.TRUTH]
    assert len(runs) >= 48
    assert [run for run in runs if run.wrong] == []


def test_the_page_shows_the_runs_that_were_kept_apart():
    text = verdicts.PAGE.read_text()
    assert verdicts.write(text, {"confusion": verdicts.kept_apart(verdicts.read())}) == text
