"""The forecast of the linear probe: closed forms, the range of the fit, and the model that the committed runs give."""

import dataclasses
import json
import math

import forecast as benchmark
import numpy as np
import pytest

from simsiam_tf.evaluation import forecast
from simsiam_tf.evaluation.forecast import COUNTS, FIGURES, SHIPPED, Model, changes, sentence
from simsiam_tf.runs.label_free import forecast as of_run
from simsiam_tf.settings.methods.distillation import DistillationSettings
from simsiam_tf.settings.schema import Config

BEFORE = {
    "rankme": 10.0,
    "effective_rank": 20.0,
    "nesum": 2.0,
    "lidar": 5.0,
    "spectrum_auc": 0.9,
    "uniformity": -1.0,
    "alignment": 0.5,
}
ERROR = {"mean_error": 0.2}


def label_free(**changed):
    return {"encoder": BEFORE | changed, "untrained": BEFORE}


def model(**weights):
    places = [weights.get(name, 0.0) for name in FIGURES]
    return Model(tuple(places), 0.4, (-1.0,) * 7, (1.0,) * 7, half_width=0.25, mean_error=0.2, runs=9)


def test_changes_are_differences_of_counts_their_logarithms():
    found = dict(zip(FIGURES, changes(label_free(rankme=20.0, spectrum_auc=0.7)), strict=True))
    assert found.pop("rankme") == pytest.approx(math.log(2))
    assert found.pop("spectrum_auc") == pytest.approx(-0.2)
    assert set(found.values()) == {0.0}
    assert set(COUNTS) < set(FIGURES) == set(BEFORE)


def test_features_that_do_not_vary_count_as_one_direction():
    assert changes(label_free(rankme=0.0))[FIGURES.index("rankme")] == pytest.approx(-math.log(10))


def test_a_linear_model_in_closed_form():
    found = model(rankme=0.1, alignment=-0.5).forecast(label_free(rankme=20.0, alignment=0.3))
    middle = 0.4 + 0.1 * math.log(2) + 0.5 * 0.2
    assert found == pytest.approx({"linear_accuracy": middle, "low": middle - 0.25, "high": middle + 0.25} | ERROR)


def test_shares_end_at_nothing_and_at_all():
    found = model(spectrum_auc=-3.0).forecast(label_free(spectrum_auc=0.7))
    assert found == pytest.approx({"linear_accuracy": 1.0, "low": 0.75, "high": 1.0} | ERROR)


def test_an_interval_never_ends_where_it_begins():
    """The line may lead below nothing; the interval is about what is left of it."""
    found = model(spectrum_auc=5.0).forecast(label_free(spectrum_auc=0.7))
    assert found == pytest.approx({"linear_accuracy": 0.0, "low": 0.0, "high": 0.25} | ERROR)


def test_outside_of_the_fit_nothing_is_said():
    found = model().forecast(label_free(uniformity=-2.5))
    assert found == {"outside": "uniformity has changed by -1.5, in the runs of the fit by -1 to +1"}
    assert sentence(found).startswith("no forecast of the linear probe: uniformity has changed")
    without = label_free()
    del without["encoder"]["lidar"]
    assert model().forecast(without) == {"outside": "lidar is not known"}


def test_words():
    said = sentence({"linear_accuracy": 0.412, "low": 0.2, "high": 0.61} | ERROR)
    assert said.startswith(
        "forecast of the linear probe, without labels: 41 % (20 to 61 % is meant to hold in 9 of 10 "
    )
    assert said.endswith("off by 20 points on average)")


def test_a_student_is_not_forecast():
    config = Config(method=DistillationSettings(teacher="run"))
    assert "distillation takes" in of_run(config, label_free())["outside"]
    assert "linear_accuracy" in of_run(Config(), label_free())


def made_up(slope, noise=0.0, offsets=(0.0, 0.0, 0.0), n=40):
    """Runs on three data sets whose accuracy is linear in the first change, with an offset for each data set."""
    rng, runs = np.random.default_rng(0), []
    for data, offset in zip("abc", offsets, strict=True):
        for _ in range(n):
            x = rng.normal(size=2)
            accuracy = 0.5 + slope * x[0] + offset + noise * rng.normal()
            runs.append(benchmark.Run(data, "simsiam", accuracy, {}, x))
    return runs


def test_the_fit_finds_a_line():
    found = benchmark.fit(made_up(0.1))
    assert found.weights[0] == pytest.approx(0.1, rel=0.02)
    assert abs(found.weights[1]) < 0.002
    assert found.intercept == pytest.approx(0.5, abs=0.002)
    assert found.half_width < 0.01


def test_students_are_in_no_fit_and_no_account_of_a_data_set():
    runs = made_up(0.1)
    taught = [dataclasses.replace(run, method="distillation", accuracy=0.0) for run in runs[:10]]
    assert benchmark.fit(runs + taught) == benchmark.fit(runs)
    by_data = list(benchmark.trials(runs + taught, "data"))
    assert [len(each.runs) for each in by_data] == [40, 40, 40]


def test_intervals_are_as_wide_as_data_sets_are_apart():
    """Of offsets -0.2, 0, 0.2 the outer ones are missed by 0.3 when the others are the fit."""
    found = benchmark.fit(made_up(0.1, offsets=(-0.2, 0.0, 0.2)))
    assert found.half_width == pytest.approx(0.3, abs=0.02)


def test_a_held_out_group_is_not_in_its_fit():
    runs = made_up(0.1, offsets=(0.0, 0.0, 0.5))
    errors = {trial.name: trial.error for trial in benchmark.trials(runs, "data")}
    assert errors["c"] == pytest.approx(0.5, abs=0.02)


def test_the_shipped_model_is_that_of_the_committed_runs():
    """`python benchmarks/forecast.py` makes it anew, with its tables, when there are further runs."""
    runs = benchmark.read()
    assert len(runs) >= 60
    assert len({run.data for run in runs}) >= 2
    found, shipped = benchmark.fit(runs), forecast.shipped()
    assert shipped.runs == found.runs
    np.testing.assert_allclose(shipped.weights, found.weights, rtol=1e-6)
    assert shipped.half_width == pytest.approx(found.half_width)
    tables = json.loads(SHIPPED.read_text())["tables"]
    page = benchmark.PAGE.read_text()
    assert all(text in page for text in tables.values())
