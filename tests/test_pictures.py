"""What pictures of docs/ show that benchmarks/ draws: parts of methods, and the small twin of SimSiam's figure 2."""

import figure2
import hub
import numpy as np
import pytest

from simsiam_tf.experiments.results import Results
from simsiam_tf.experiments.study import Study
from simsiam_tf.settings import yaml_files

PARTS = {
    # SimSiam's figure 3: a branch without a dash line has a stop-gradient, and red is what SimSiam is without.
    "SimSiam": {"stop-gradient", "predictor"},
    "BYOL": {"stop-gradient", "predictor", "moving target"},
    "SimCLR": {"negatives"},
    "SwAV": {"stop-gradient", "clustering"},
    # Its sections 2 (MoCo), 5.2 (a moving average in the predictor's place) and 6.2 (both added to SimCLR).
    "MoCo v2": {"stop-gradient", "moving target", "negatives"},
    "SimSiam, bank": {"stop-gradient", "moving target"},
    "SimCLR, hybrid": {"stop-gradient", "predictor", "negatives"},
}


def there(found):
    return {part for part, has in found.items() if has}


def test_every_method_of_the_picture_has_the_parts_of_the_papers_figure_3():
    assert {variant: there(hub.parts(*which)) for variant, which in hub.VARIANTS.items()} == PARTS


def test_a_queue_of_neighbors_holds_no_negatives():
    assert there(hub.parts("nnsiam", {})) == {"stop-gradient", "predictor"}


def test_the_hub_is_drawn_with_a_place_for_each(tmp_path):
    (axis,) = hub.draw(tmp_path / "hub.png").axes
    filled = {tuple(int(x[0]) for x in line.get_data()): line.get_markerfacecolor() != "white" for line in axis.lines}
    assert filled == {
        (x, y): part in PARTS[variant] for y, variant in enumerate(hub.VARIANTS) for x, part in enumerate(hub.PARTS)
    }
    assert (tmp_path / "hub.png").stat().st_size > 1000


@pytest.fixture(scope="module")
def curves():
    study = Study.read(yaml_files.find("stop_gradient_small", "studies"))
    return figure2.curves(study, Results(figure2.RESULTS))


def test_the_runs_of_figure_2_are_there(curves):
    found, width = curves
    assert found.keys() == figure2.COLORS.keys()
    assert {key for each in found.values() for key in each} == figure2.PANELS.keys()
    ((seeds, epochs),) = {values.shape for each in found.values() for values in each.values()}
    assert (seeds, epochs, width) == (5, 5, 512)


def test_figure_2_has_three_panels_of_means_and_bands(curves, tmp_path):
    found, width = curves
    axes = figure2.draw(found, width, tmp_path / "figure2.png").axes
    assert [axis.get_title() for axis in axes] == list(figure2.PANELS.values())
    for key, axis in zip(figure2.PANELS, axes, strict=True):
        lines = axis.lines[:2]
        for each, line, band in zip(found.values(), lines, axis.collections, strict=True):
            mean, deviation = np.mean(each[key], axis=0), np.std(each[key], axis=0, ddof=1)
            np.testing.assert_allclose(line.get_ydata(), mean)
            corners = band.get_paths()[0].vertices
            for epoch, m, d in zip(line.get_xdata(), mean, deviation, strict=True):
                heights = corners[corners[:, 0] == epoch, 1]
                np.testing.assert_allclose([heights.min(), heights.max()], [m - d, m + d])
    assert [line.get_ydata()[0] for line in axes[1].lines[2:]] == [pytest.approx(width**-0.5)]
    assert (tmp_path / "figure2.png").stat().st_size > 1000
