"""What long training says of itself where its output is no terminal."""

import pytest

from simsiam_tf.callbacks import ProgressBar, progress
from simsiam_tf.duration import duration


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only when told to."""
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def epochs(bar, clock, numbers, seconds):
    for epoch in numbers:
        bar.on_epoch_begin(epoch)
        clock[0] += seconds
        bar.on_epoch_end(epoch, {"loss": -0.5, "unshown": 1.0})


def test_an_estimate_stands_after_the_first_epoch(clock, capsys):
    epochs(ProgressBar(20), clock, [0], 60)
    assert capsys.readouterr().err == "epoch 1/20  loss -0.500  about 19 min left to train\n"


def test_it_is_of_the_epochs_of_this_process(clock, capsys):
    epochs(ProgressBar(20), clock, [14, 15], 30)  # a resumed run
    assert capsys.readouterr().err.splitlines()[-1].endswith("epoch 16/20  loss -0.500  about 2 min left to train")


def test_lines_come_now_and_then_and_at_the_end(clock, capsys):
    epochs(ProgressBar(100, every_seconds=10), clock, range(100), 1)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[1] for line in lines] == [f"{epoch}/100" for epoch in [*range(1, 100, 10), 100]]
    assert lines[-1] == "epoch 100/100  loss -0.500"


@pytest.mark.parametrize(("seconds", "words"), [(40, "40 s"), (99.4, "99 s"), (600, "10 min"), (7500, "2 h 5 min")])
def test_durations(seconds, words):
    assert duration(seconds) == words
