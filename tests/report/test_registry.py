"""The table of all runs: what tells them apart, and links to what their images show."""

import re
import shutil

from simsiam_tf.report import registry
from simsiam_tf.report.grouping import groups, titles
from simsiam_tf.report.page import html
from simsiam_tf.report.pictures import Details
from simsiam_tf.report.records import Record, of_folders


def test_runs_of_one_name_have_rows_of_their_own(trained, tmp_path):
    for name in ("a/run", "b/run"):
        shutil.copytree(trained, tmp_path / name, ignore=shutil.ignore_patterns("checkpoints", "tensorboard"))
    found = of_folders(tmp_path)
    header, (one, other) = registry.table(found)
    assert header[:6] == ["run", "data", "backbone", "method", "seed", "outcome"]
    assert header[-2:] == ["date", "folder"]
    assert {"spread", "RankMe"} < set(header)
    assert (one[:5], other[0]) == (["a/run", "digits", "resnet18", "simsiam", "0"], "b/run")
    assert one[-1] == str(tmp_path / "a" / "run")
    assert len(one[-2]) == len("2026-01-01")
    assert [group.name for group in groups(found)] == ["a/run", "b/run"]


def test_seeds_are_named_together(record):
    swept = [record(f"no-predictor-seed{seed}-0a1b2c", seed=seed) for seed in range(3)]
    own = [record("x", seed=0, method__new=1), record("y", seed=1, method__new=1)]
    assert [group.name for group in groups([*swept, *own])] == ["no-predictor (3 seeds)", "x (2 seeds)"]


def test_seeds_of_a_study_have_titles_of_their_own(record):
    runs = [Record("row", record(seed=seed).result, row="study/row") for seed in (0, 1)]
    assert titles(runs) == ["row, seed 0", "row, seed 1"]
    other = Record("row", record(seed=0).result, row="other/row")
    assert titles([*runs, other]) == ["study/row, seed 0", "row, seed 1", "other/row, seed 0"]


def test_other_images_are_no_seed(record):
    runs = [Record("run", record(seed=seed).result, data=f"folder {seed}") for seed in (0, 1)]
    assert [len(group.records) for group in groups(runs)] == [1, 1]


def test_a_row_leads_to_what_its_images_show(record):
    page = html("x", [record("a"), record("b", seed=1)], [], [("b", Details(missing="x"))])
    assert '<td><a href="#details-1">b</a></td>' in page
    assert "<td>a</td>" in page
    assert '<td class="text outcome">healthy</td>' in page
    assert 'data-filter="all-runs"' in page


def test_settings_that_differ_stand_under_the_names_of_their_configurations(record):
    page = html("x", [record("one"), record("two", optimizer__learning_rate=0.5)], [], [])
    (section,) = re.findall(r'<section id="settings">.*?</section>', page, re.DOTALL)
    assert re.findall(r'<button type="button">(.*?)</button>', section) == ["setting", "one", "two"]
    assert re.findall("<td>(.*?)</td>", section) == ["optimizer.learning_rate", "0.1", "0.5"]
