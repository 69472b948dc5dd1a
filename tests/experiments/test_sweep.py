"""Sweeps: each cell once, whatever is killed and whoever sweeps beside; what fails does not stop the rest."""

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from simsiam_tf.cli import sweep as verb
from simsiam_tf.experiments import tables
from simsiam_tf.experiments.results import Results
from simsiam_tf.experiments.study import Study

STAND_IN = Path(__file__).parent / "stand_in.py"
STUDY = """
title: Stop-gradient
base: digits
seeds: [0, 1, 2]
columns: [knn_accuracy, relative_std]
rows:
  - {name: baseline}
  - {name: no stop-gradient, set: {method.stop_gradient: false}}
"""


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "stop.yaml"
    path.write_text(STUDY)
    return path


def start(study, results="results", *arguments):
    """A sweep in a process of its own, in the study's folder."""
    command = [sys.executable, STAND_IN, "sweep", study, study.parent / results, "--output=runs", *arguments]
    return subprocess.Popen(
        command, cwd=study.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def finish(process):
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return json.loads(out.splitlines()[-1])


def notes(study):
    """How often each cell was begun and finished: {(what, run folder): times}."""
    lines = (study.parent / "runs" / "notes.txt").read_text().splitlines()
    return Counter(tuple(line.split()[:2]) for line in lines)


def markdown(study, results="results"):
    read = Study.read(study)
    cells = read.cells(verb.parser, [])[1]
    return tables.markdown(read, cells, Results(study.parent / results))


def test_all_cells_are_done_and_judged(study):
    assert finish(start(study)) == {}
    assert set(notes(study).values()) == {1}
    assert len(list((study.parent / "results").glob("simsiam-*.json"))) == 6
    table, differences = markdown(study).split("\n\n")
    assert [line.split("|")[1].strip() for line in table.splitlines()[2:]] == ["baseline", "no stop-gradient"]
    assert "| 3 healthy |" in table
    assert "| 3 collapsed |" in table
    assert "| baseline | **81.0 ± 1.0** |" in table
    assert "| no stop-gradient | 31.0 ± 1.0 |" in table
    assert "| lower |" in differences


def test_what_has_a_result_is_not_done_again_in_any_study(study):
    finish(start(study))
    other = study.with_name("other.yaml")
    other.write_text(STUDY.replace("[0, 1, 2]", "[2, 3]").replace("baseline", "SimSiam"))
    finish(start(other))
    begun = Counter(run.split("-seed")[0] + run.split("-seed")[1][0] for what, run in notes(study) if what == "start")
    assert begun["simsiam3"] == 1
    assert "simsiam2" not in begun


def begun(study):
    """How often any cell has been begun so far."""
    path = study.parent / "runs" / "notes.txt"
    return path.read_text().count("start") if path.exists() else 0


def test_killed_three_times_it_ends_with_the_same_tables(study):
    finish(start(study, "whole", "--output=apart"))
    expected = markdown(study, "whole")
    for number, code in ((signal.SIGTERM, 1), (signal.SIGKILL, -9), (signal.SIGTERM, 1)):
        before, process = begun(study), start(study)
        while begun(study) == before:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(number)
        process.communicate(timeout=60)
        assert process.returncode == code  # 1: Python's, for the exception Interrupted
    assert finish(start(study)) == {}
    assert markdown(study) == expected
    assert {times for (what, _), times in notes(study).items() if what == "end"} == {1}
    assert max(notes(study).values()) > 1  # a cell was begun, interrupted and gone on with


def test_two_sweeps_at_once_do_no_cell_twice(study):
    both = [start(study), start(study)]
    assert [finish(process) for process in both] == [{}, {}]
    assert set(notes(study).values()) == {1}
    assert "missing" not in markdown(study)


def test_two_sweeps_with_folders_of_their_own_share_the_results(study):
    both = [start(study), start(study, "results", "--output=apart")]
    assert [finish(process) for process in both] == [{}, {}]
    lines = [path.read_text().splitlines() for path in study.parent.glob("*/notes.txt")]
    begun = [line.split()[1] for each in lines for line in each if line.startswith("start")]
    assert sorted(begun) == sorted(set(begun))
    assert len(begun) == 6


def test_a_path_that_was_wrong_can_be_put_right(study):
    assert len(finish(start(study, "results", "--data.path=nowhere"))) == 6
    assert finish(start(study, "results", "--data.path=there")) == {}


def test_a_run_folder_of_other_settings_is_not_taken_for_the_cell(study):
    finish(start(study))
    folder = next((study.parent / "runs" / "stop").glob("baseline-seed1-*"))
    config = folder / "config.yaml"
    config.write_text(config.read_text().replace("linear_epochs: 100", "linear_epochs: 50"))
    for result in (study.parent / "results").glob("*.json"):
        result.unlink()
    failures = finish(start(study))
    assert list(failures) == ["baseline, seed 1"]
    assert (
        "holds a run with another setting, evaluation.linear_epochs; delete the folder" in failures["baseline, seed 1"]
    )


def test_what_is_damaged_stops_its_own_cell_only(study):
    finish(start(study))
    first, second, *others = sorted((study.parent / "results").glob("*.json"))
    first.write_text("{")
    second.unlink()
    for environment in (study.parent / "runs" / "stop").glob("no-stop-gradient*/environment.json"):
        environment.write_text("{}")
    others[0].unlink()
    failures = finish(start(study))
    assert any("is damaged" in reason for reason in failures.values())
    assert len(failures) <= 3


def test_a_failed_cell_is_named_and_tried_again(study):
    study.write_text(STUDY + "  - {name: bad, set: {method.stop_gradient: false, method.num_views: 3}}\n")
    failures = finish(start(study))
    assert set(failures) == {"bad, seed 0", "bad, seed 1", "bad, seed 2"}
    assert failures["bad, seed 0"] == "method.num_views: 3 is too many for this stand-in; give 2"
    assert "| not measured |" in markdown(study)
    finish(start(study))
    assert {times for (what, run), times in notes(study).items() if what == "start" and run.startswith("bad")} == {2}
    assert {times for (what, run), times in notes(study).items() if not run.startswith("bad")} == {1}


def test_jobs_side_by_side_are_dealt_out_to_the_devices(study):
    finish(start(study, "results", "--jobs=3", "--devices=4,7"))
    lines = [line.split() for line in (study.parent / "runs" / "notes.txt").read_text().splitlines()]
    assert {device for _, _, device in lines} == {"4", "7"}
    running = most = 0
    for what, _, _ in lines:
        running += 1 if what == "start" else -1
        most = max(most, running)
    assert most in (2, 3)


def test_a_real_run(tmp_path, monkeypatch, capsys):
    """The verb itself: a cell of one step, in a process of its own."""
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text("""
base: digits
set: {optimizer.epochs: 1, optimizer.batch_size: 16, data.limit: 16, data.test_limit: 16, monitor.tensorboard: false,
      evaluation.baselines: [], evaluation.linear_epochs: 1, evaluation.fractions: [1.0], backbone.width: 1}
grid: {optimizer.learning_rate: [0.1]}
""")
    assert verb.run(["--config", "tiny.yaml"]) == 0
    out = capsys.readouterr().out
    assert "learning_rate 0.1" in out
    assert len(list(Path("runs/results").glob("*.json"))) == 1
    assert Path("runs/tiny/table.md").is_file()
    before = sorted(Path("runs").rglob("*"))
    assert verb.run(["--config", "tiny.yaml"]) == 0
    assert sorted(Path("runs").rglob("*")) == before
