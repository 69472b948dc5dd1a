"""Runs beside each other without a study: accuracies, tests against the best and the first, and bars."""

import pytest
from scipy import stats

from simsiam_tf.report.bars import bars
from simsiam_tf.report.compared import of_groups
from simsiam_tf.report.grouping import groups
from simsiam_tf.report.page import html
from simsiam_tf.report.text import csv_text, latex_text

KNN = {"good": [0.80, 0.82, 0.81], "bad": [0.50, 0.52, 0.51]}


def evaluated(knn, supervised=None):
    rows = {
        "encoder": [{"fraction": 1.0, "knn_accuracy": knn, "linear_accuracy": knn + 0.02}],
        "raw": [{"fraction": 1.0, "knn_accuracy": 0.4, "linear_accuracy": 0.3}],
        "untrained": [{"fraction": 1.0, "knn_accuracy": 0.35, "linear_accuracy": 0.45}],
    }
    if supervised:
        rows["supervised"] = [{"fraction": 1.0, "supervised_accuracy": supervised}]
    return {"knn_accuracy": knn, "linear_accuracy": knn + 0.02, "by_fraction": rows}


@pytest.fixture
def runs(record):
    rates = dict(zip(KNN, (0.1, 0.2), strict=True))
    return [
        record(f"{name}-seed{seed}", seed=seed, optimizer__learning_rate=rates[name], **evaluated(value, 0.7))
        for name, values in KNN.items()
        for seed, value in enumerate(values)
    ]


def test_one_share_of_the_labels_has_all_accuracies_with_their_tests(runs):
    """What is the same beside several groups is one row; p and interval are scipy's of the values."""
    (found,) = of_groups(groups(runs))
    (header, body), (against, differences) = found.tables()
    assert header == ["", "kNN", "linear", "supervised", "runs"]
    good, bad = (group.name for group in groups(runs))
    assert body == [
        [good, "**81.0 ± 1.0**", "**83.0 ± 1.0**", "-", "3 healthy"],
        [bad, "51.0 ± 1.0", "53.0 ± 1.0", "-", "3 healthy"],
        ["raw pixels", "40.0 ± 0.0", "30.0 ± 0.0", "-", ""],
        ["untrained encoder", "35.0 ± 0.0", "45.0 ± 0.0", "-", ""],
        ["supervised network", "-", "-", "**70.0 ± 0.0**", ""],
    ]
    test = stats.ttest_ind(KNN["bad"], KNN["good"], equal_var=False)
    low, high = (100 * end for end in test.confidence_interval(1 - 0.05 / 6))
    assert against[4] == "p x 6"
    assert differences[0] == [bad, "kNN", "-30.0", f"{low:+.1f} to {high:+.1f}", f"{6 * test.pvalue:.2g}", "lower"]


def test_baselines_that_differ_name_their_group(record):
    other = evaluated(0.6)
    other["by_fraction"]["untrained"] = [{"fraction": 1.0, "knn_accuracy": 0.1}]
    found = groups([record("a", **evaluated(0.5)), record("b", backbone__width=8, **other)])
    names = [line.name for line in of_groups(found)[0].lines]
    assert names == ["a", "b", "raw pixels", "untrained encoder (a)", "untrained encoder (b)"]


def test_a_baseline_is_over_the_seeds_of_all_groups_that_it_is_the_same_of(record):
    few = [record("a", seed=seed, **evaluated(0.5)) for seed in range(2)]
    more = [record("b", seed=seed, backbone__width=8, **evaluated(0.6)) for seed in range(3)]
    found = of_groups(groups([*few, *more]))[0].lines
    (raw,) = (line.samples["knn_accuracy"] for line in found if line.name.startswith("raw pixels"))
    assert (raw.mean, raw.n) == (0.4, 3)


def test_other_images_make_another_table(record):
    found = of_groups(groups([record("a"), record("b", data__name="other")]))
    assert [[line.name for line in each.lines] for each in found] == [["a", "raw pixels"], ["b", "raw pixels"]]
    assert of_groups(groups([record("c", knn_accuracy=None, by_fraction={})])) == []


def test_the_tables_are_on_the_page_and_in_files(runs):
    page = html("x", runs, [], [])
    assert 'id="accuracy-1"' in page
    assert "<strong>81.0 ± 1.0</strong>" in page
    assert "supervised network" in page
    assert r"\textbf{81.0 $\pm$ 1.0}" in latex_text(runs, [])
    assert "untrained encoder" in csv_text(runs, [])


def test_bars_are_means_over_seeds(record):
    half = {"encoder": [{"fraction": 1.0, "knn_accuracy": 0.7}, {"fraction": 0.1, "knn_accuracy": 0.5}]}
    half["raw"] = [{"fraction": 1.0, "knn_accuracy": 0.2}]
    found = groups([record("a", seed=0), record("a", seed=1, knn_accuracy=0.7, by_fraction=half)])
    (drawn,) = bars(of_groups(found)[0], {found[0].name: "#123"}).values()
    assert "60.0 % with 100 %, 40.0 % with 10 %; raw pixels 20.0 % with 100 %" in drawn


def test_one_share_has_bars_and_the_supervised_network_stands_among_them(record):
    found = of_groups(groups([record("a", **evaluated(0.5, supervised=0.7))]))[0]
    drawn = bars(found, {"a": "#123"})
    assert list(drawn) == ["knn_accuracy", "linear_accuracy"]
    assert "a 52.0 % with 100 %" in drawn["linear_accuracy"]
    assert "untrained encoder 45.0 % with 100 %; supervised network 70.0 % with 100 %" in drawn["linear_accuracy"]
    only = {"encoder": [{"fraction": 1.0, "knn_accuracy": 0.5}]}
    assert bars(of_groups(groups([record("a", by_fraction=only)]))[0], {"a": "#123"}) == {}
