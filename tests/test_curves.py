"""curves.png: its panels, the lines in them and the limits, as Matplotlib holds them."""

import numpy as np
import pytest

from simsiam_tf.evaluation.verdict import CORRELATION, EFFECTIVE_RANK, GRACE, RELATIVE_STD
from simsiam_tf.runs.curves import curves, draw_curves

STEPS = 20  # in an epoch
ROWS = [
    {"epoch": 1, "step": 20, "loss": -0.2, "loss_std": 0.1, "learning_rate": 0.5, "predictor_learning_rate": 0.3},
    {"epoch": 2, "step": 40, "loss": -0.4, "loss_std": 0.1, "learning_rate": 0.4, "predictor_learning_rate": 0.3},
    {"epoch": 3, "step": 60, "loss": -0.5, "loss_std": 0.1, "learning_rate": 0.2, "predictor_learning_rate": 0.3}
    | {"knn_accuracy": 0.8, "val_probe_accuracy": 0.7},
]
LOOKS = [
    {"step": step, "relative_std": 0.9, "correlation_strength": 0.2, "effective_rank": rank, "channels": 64}
    for step, rank in [(10, 3.0), (30, 20.0), (60, 40.0)]
]


def panels(*args, **options):
    return {axis.get_title(): axis for axis in curves(*args, **options).axes}


def levels(axis):
    """Heights of the lines that cross the whole panel."""
    return [line.get_ydata()[0] for line in axis.lines if list(line.get_xdata()) == [0, 1]]


def test_what_a_run_has_seen_has_its_panel():
    found = panels(ROWS, LOOKS, STEPS, untrained=0.4)
    training, looked = ["loss", "accuracy on test images", "learning rate"], ["spread", "correlation of channels"]
    assert list(found) == [*training, *looked, "effective rank"]
    assert all(axis.get_xlabel() == "epoch (of 20 steps)" and axis.get_ylabel() for axis in found.values())
    unlabelled = [{key: row[key] for key in row if "accuracy" not in key} for row in ROWS]
    assert list(panels(unlabelled, [], STEPS)) == ["loss", "learning rate"]
    assert list(panels([], LOOKS, STEPS)) == [*looked, "effective rank"]


def test_lines_are_over_epochs():
    found = panels(ROWS, LOOKS, STEPS)
    assert found["loss"].lines[0].get_xydata().tolist() == [[1, -0.2], [2, -0.4], [3, -0.5]]
    band = found["loss"].collections[0].get_datalim(found["loss"].transData)
    assert (band.y0, band.y1) == pytest.approx((-0.6, -0.1))
    rate, predictor = found["learning rate"].lines
    assert rate.get_xydata().tolist() == [[0, 0.5], [1, 0.4], [2, 0.2]]  # read as the epoch began
    assert predictor.get_label() == "predictor"
    assert found["effective rank"].lines[0].get_xydata().tolist() == [[0.5, 3], [1.5, 20], [3, 40]]


@pytest.mark.parametrize(
    ("title", "limits"),
    [("spread", RELATIVE_STD), ("correlation of channels", CORRELATION), ("effective rank", EFFECTIVE_RANK)],
)
def test_limits_of_the_verdict_are_drawn(title, limits):
    axis = panels(ROWS, LOOKS, STEPS)[title]
    assert [y for y in levels(axis) if y != 1] == list(limits)
    assert (1 in levels(axis)) == (title == "spread")  # 1/sqrt(d)
    for zone, edges in zip(
        axis.collections, [limits, (limits[1], axis.get_ylim()[limits[1] > limits[0]])], strict=True
    ):
        corners = zone.get_paths()[0].vertices
        assert {corners[:, 1].min(), corners[:, 1].max()} == set(edges)
        assert corners[:, 0].min() == GRACE / STEPS


def test_the_untrained_encoder_is_a_line():
    axis = panels(ROWS, LOOKS, STEPS, untrained=0.4)["accuracy on test images"]
    assert levels(axis) == [0.4]
    assert [text.get_text() for text in axis.get_legend().get_texts()][-1] == "kNN, untrained encoder"
    assert levels(panels(ROWS, LOOKS, STEPS)["accuracy on test images"]) == []


def test_figures_that_are_not_finite_can_be_drawn(tmp_path):
    broken = [look | {"relative_std": np.nan, "effective_rank": np.nan} for look in LOOKS]
    draw_curves(tmp_path / "curves.png", ROWS[:1], broken, STEPS)
    assert (tmp_path / "curves.png").stat().st_size > 1000
