"""A run that is stopped or killed from outside goes on to the same weights."""

import json
import signal
import subprocess
import sys
import time

from simsiam_tf.cli import main as cli
from simsiam_tf.runs.checkpoint import CheckpointFolder
from small_run import ENVIRONMENT, ROOT, arguments, assert_same_state, rows, start, wait_for


def test_after_kill_9_the_same_command_ends_in_the_same_weights(run, output):
    process = start(output, name="killed")
    wait_for(lambda: CheckpointFolder(output / "killed" / "checkpoints").files(), process)
    process.kill()
    process.communicate()
    assert not (output / "killed" / "result.json").exists()
    assert cli.main(arguments(output, name="killed")) == 0
    assert_same_state(run, output / "killed")
    assert [row["epoch"] for row in rows(output / "killed")] == ["1", "2", "3", "4"]


def test_sigterm_saves_inside_an_epoch_and_exits_75(run, output):
    process = start(output, name="stopped", training__checkpoint_epochs=100)
    wait_for((output / "stopped" / "metrics.csv").is_file, process)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 75, err
    assert "run the same command again" in err
    assert CheckpointFolder(output / "stopped" / "checkpoints").files()
    assert cli.main(arguments(output, name="stopped", training__checkpoint_epochs=100)) == 0
    assert_same_state(run, output / "stopped")


def test_sigterm_during_evaluate_leaves_the_result_and_exits_75(run):
    before = (run / "result.json").read_bytes()
    command = [sys.executable, "-m", "simsiam_tf", "evaluate", str(run), "--evaluation.linear_epochs", "1000000"]
    process = subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
    lines = iter(process.stderr.readline, "")
    assert any("evaluating" in line for line in lines)
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 75, err
    assert "Traceback" not in err
    assert (run / "result.json").read_bytes() == before


def test_a_run_in_pieces_equals_a_run_in_one(run, output):
    """Ended inside an epoch and gone on with, twice."""
    for steps, epochs in ((3, 1), (13, 3)):
        assert cli.main(arguments(output, name="pieces", training__stop_after_steps=steps)) == 0
        assert json.loads((output / "pieces" / "result.json").read_text())["steps"] == steps
        assert len(rows(output / "pieces")) == epochs
    assert cli.main(arguments(output, name="pieces")) == 0
    assert_same_state(run, output / "pieces")
    assert [row["epoch"] for row in rows(output / "pieces")] == ["1", "2", "3", "4"]
