"""A full disk, a limit on file sizes: one line, exit code 2, the old checkpoint intact; with space, the same end."""

import subprocess

import killing
import pytest
import same_run


def assert_refused(folder, log, code, reason):
    """The run has ended with one line that names the file, and left nothing that is not whole."""
    text = log.read_text()
    assert code == 2, text
    last = text.splitlines()[-1]
    assert last.startswith("simsiam-tf: output: cannot write "), text
    assert reason in last
    assert "Traceback" not in text
    assert "Exception ignored" not in text
    same_run.check_remains(folder)


@pytest.fixture
def small_disk(tmp_path):
    """A disk of its own, of 8 MB; only root can make one."""
    (tmp_path / "disk").mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", tmp_path / "disk"], capture_output=True)
    if done.returncode:
        pytest.skip(f"no disk can be mounted here: {done.stderr.decode().strip()}")
    yield tmp_path / "disk"
    subprocess.run(["umount", "--lazy", tmp_path / "disk"], check=True)


def test_a_disk_that_fills_up_at_any_writer(undisturbed, small_disk, tmp_path):
    """One after the other in one run; what follows environment.json is the event files."""
    folder, log = small_disk / "run", tmp_path / "log"
    before = ["open partial-config.yaml", "os.rename partial-environment.json", "open partial-best.npz"]
    for moment in [*before, "open partial-backbone.keras", "open partial-result.json"]:
        code, _, _ = killing.one_life(folder, log, ("full disk", moment))
        assert_refused(folder, log, code, "No space left on device; free some space and run the same command again")
        (small_disk / "ballast").unlink()
    code, _, _ = killing.one_life(folder, log)
    assert code == 0, log.read_text()
    same_run.check_same(folder, undisturbed.folder)


def test_a_file_that_grows_above_the_systems_limit(undisturbed, tmp_path):
    """No one has to be root for this; the checkpoint is the first file of this size."""
    folder, log = tmp_path / "run", tmp_path / "log"
    size = (undisturbed.folder / "checkpoints" / "best.npz").stat().st_size
    code, _, _ = killing.one_life(folder, log, ("file size", size - 600))
    assert_refused(folder, log, code, "File too large; give another folder with --output")
    assert "best.npz" in log.read_text()
    code, _, _ = killing.one_life(folder, log)
    assert code == 0, log.read_text()
    same_run.check_same(folder, undisturbed.folder)
