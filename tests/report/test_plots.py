"""The charts: what they draw, what they say in words, and that two of them go together on one page."""

import inspect
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from simsiam_tf.callbacks.knn import KNNMonitor
from simsiam_tf.report import plots
from simsiam_tf.report.bars import bars
from simsiam_tf.report.compared import of_groups
from simsiam_tf.report.grouping import groups
from simsiam_tf.report.page import html
from simsiam_tf.report.pictures import Details, Map


def test_a_line_is_the_mean_over_seeds_where_all_have_a_value(record):
    (group,) = groups([record(seed=0, loss=[0.0, -1.0, -3.0]), record(seed=1, loss=[-2.0, -2.0])])
    x, mean, deviation = plots._over_seeds(group, "loss")
    assert x.tolist() == [1.0, 2.0]
    assert mean.tolist() == [-1.0, -1.5]
    np.testing.assert_allclose(deviation, [np.sqrt(2), np.sqrt(0.5)])
    assert plots._over_seeds(groups([record()])[0], "loss")[2] is None


def test_no_band_goes_where_no_figure_can_be(record):
    """An effective rank below 1, on a logarithmic axis, would take the whole chart."""
    seeds = [record(seed=0), record(seed=1)]
    for look in seeds[1].result["looks"]:
        look["effective_rank"] = 1.5
    drawn = plots.curves(groups(seeds))["effective_rank"]
    heights = [float(y) for y in re.findall(r"[ML] [\d.-]+ ([\d.-]+)", drawn)]
    (height,) = re.findall(r'viewBox="0 0 [\d.]+ ([\d.]+)"', drawn)
    assert max(heights) <= float(height)


def test_looks_are_drawn_over_epochs(record):
    x, mean, _ = plots._over_seeds(groups([record()])[0], "effective_rank")
    assert (x.tolist(), mean.tolist()) == ([0.5, 2.0], [20.0, 40.0])


def test_only_what_was_measured_has_a_chart(record):
    drawn = plots.curves(groups([record()]))
    assert list(drawn) == ["loss", "effective_rank"]
    assert "at risk" in drawn["effective_rank"]
    assert 'aria-label="loss over epochs: run ends at -0.7"' in drawn["loss"]


def test_twelve_groups_have_a_colour_each_in_all_charts(record):
    """That the rest is left out, the page says."""
    records = [record(f"run {i}", optimizer__learning_rate=i, loss=[i, -i] if i != 1 else None) for i in range(14)]
    found, given = groups(records), plots.colours(groups(records))
    assert len(set(given.values())) == 12
    for drawn in (plots.curves(found)["loss"], bars(of_groups(found[:12])[0], given)["knn_accuracy"]):
        used = set(re.findall(r"(?:stroke|fill): (#[0-9a-f]{6})", drawn))
        assert used >= set(given.values())
    page = html("x", records, [], [])
    assert page.count("The first 12 of 14 configurations.") == 3  # curves, bars, settings
    assert "configurations" not in html("x", records[:12], [], [])


def test_a_map_of_many_classes_has_no_legend():
    """Two classes of one colour would be told apart by nothing."""

    def legend(classes):
        drawn = Map([(0.5, 0.5)] * classes, list(range(classes)), ["x"] * classes, "data:,", 4, ["y"] * classes)
        return html("x", [], [], [("run", Details(map=drawn))])

    assert legend(12).count('<i style="background:#') == 12
    assert '<i style="background' not in legend(13)
    assert "13 classes share 12 colours" in legend(13)


def test_the_monitors_knn_says_how_it_was_measured(record):
    own = inspect.signature(KNNMonitor).parameters
    assert list(plots.MONITOR.values()) == [own["k"].default, own["temperature"].default]
    one, other = record("a", monitor__knn_bank=5000), record("b", evaluation__neighbors=20, monitor__knn_bank=5000)
    assert plots.monitored(groups([one])) is None
    for each in (one, other):
        each.result["epochs"][-1]["knn_accuracy"] = 0.5
    assert plots.monitored(groups([one, other])) == (
        "The monitor's kNN has k = 200 or 20, T = 0.1 and at most 5,000 training images; "
        "that of the tables chooses k and T and has all of them."
    )
    assert "kNN of the monitor over epochs" in plots.curves(groups([one]))["knn_accuracy"]
    assert "at most 5,000 training images" in html("x", [one], [], [])


def test_looks_have_their_unit(record):
    one, other = record("a"), record("b", optimizer__learning_rate=0.2)
    for each, channels in ((one, 16.0), (other, 32.0)):
        for look in each.result["looks"]:
            look |= {"relative_std": 0.9, "channels": channels}
    assert "share of 1/√d" in plots.curves(groups([one]))["relative_std"]
    assert "of 16 channels" in plots.curves(groups([one]))["effective_rank"]
    assert "of the channels" in plots.curves(groups([one, other]))["effective_rank"]


def test_charts_are_xml_with_ids_of_their_own_in_the_pages_ink(record):
    found = groups([record("one & <two>"), record("other", optimizer__learning_rate=3)])
    drawn = [*plots.curves(found).values(), *bars(of_groups(found)[0], plots.colours(found)).values()]
    drawn.append(plots.spectrum({"trained": np.array([3.0, 1.0, 0.0])}))
    drawn.append(plots.confusion(np.eye(3, dtype=int), list("abc")))
    for each in drawn:
        assert ElementTree.fromstring(each).attrib["role"] == "img"
        assert plots.INK not in each
        assert "currentColor" in each
    used = [set(re.findall(r"url\(#([^)]+)\)", each)) for each in drawn]
    assert sum(map(len, used)) == len(set().union(*used))


def test_many_classes_make_no_larger_matrix():
    """A figure that grew with them took gigabytes for 200."""
    small, large = (plots.confusion(np.eye(k, dtype=int), [f"class {i}" for i in range(k)]) for k in (20, 300))
    sizes = [re.search(r'viewBox="([^"]+)"', each)[1] for each in (small, large)]
    assert sizes[0] == sizes[1]
    assert "class 7" in small
    assert "class 7" not in large


@pytest.mark.parametrize(("counts", "share"), [([[3, 1], [0, 4]], "87.5"), ([[0, 0], [0, 0]], "0.0")])
def test_the_confusion_matrix_says_how_much_is_right(counts, share):
    assert f"over 2 classes, {share} % right" in plots.confusion(np.array(counts), ["a", "b"])
