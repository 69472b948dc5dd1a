"""Jumps of the clock change nothing; a clock that no zip file can hold is named."""

import killing
import same_run


def test_a_clock_that_jumps_and_one_that_was_never_set(undisturbed, tmp_path):
    folder, log = tmp_path / "run", tmp_path / "log"
    code, _, _ = killing.one_life(folder, log, ("clock", [0.0, 2e8, 1e8]))  # the seventies, there and back
    assert code == 2, log.read_text()
    assert "simsiam-tf: clock: it shows the year 197" in log.read_text().splitlines()[-1]
    assert "Traceback" not in log.read_text()
    code, _, _ = killing.one_life(folder, log, ("clock", [1.7e9, 4e9, 1e9]))  # to the century's end and back
    assert code == 0, log.read_text()
    same_run.check_same(folder, undisturbed.folder)
