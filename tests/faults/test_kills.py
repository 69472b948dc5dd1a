"""Killed at any moment, a run goes on to the same end, bit for bit; benchmarks/soak.py does it longer."""

import shutil
import time

import killing
import pytest
import same_run

from simsiam_tf.runs.checkpoint import CorruptCheckpoint


@pytest.mark.parametrize(("verb", "deaths"), [("train", 9), ("finetune", 6)])
def test_killed_at_random_moments(undisturbed, tmp_path, verb, deaths):
    seed = time.time_ns() % 1000  # other moments every time; they are printed, and this number repeats them
    print(f"seed {seed}")
    reference = killing.classifier_of(undisturbed) if verb == "finetune" else undisturbed
    done = killing.campaign(tmp_path, reference, deaths, seed)
    assert sum(done["deaths"].values()) == deaths
    assert done["runs_to_the_end"] >= 1


@pytest.mark.parametrize("damage", [lambda content: content[:-1], lambda content: b"x" + content[1:]])
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(undisturbed, tmp_path, damage):
    folder, log = shutil.copytree(undisturbed.folder, tmp_path / "run"), tmp_path / "log"
    for name in ("result.json", "backbone.keras"):
        (folder / name).unlink()
    newest = max((folder / "checkpoints").glob("step-*"))
    newest.write_bytes(damage(newest.read_bytes()))
    code, _, _ = killing.one_life(folder, log)
    assert code == 0, log.read_text()
    assert f"passing over a corrupt checkpoint: {newest}: its SHA-256 is not" in log.read_text()
    same_run.check_same(folder, undisturbed.folder)


def test_the_comparison_can_fail(undisturbed, tmp_path):
    """A run of another seed, and one whose newest checkpoint is of another step, are told from the undisturbed."""
    code, _, operations = killing.one_life(tmp_path / "run", tmp_path / "log", seed=1)
    assert (code, operations) == (0, undisturbed.operations)
    with pytest.raises(AssertionError, match=r"best\.npz"):
        same_run.check_same(tmp_path / "run", undisturbed.folder)
    same_run.check_remains(tmp_path / "run")
    newest = max((tmp_path / "run" / "checkpoints").glob("step-*"))
    newest.write_bytes(newest.read_bytes()[:-1])
    with pytest.raises(CorruptCheckpoint):
        same_run.check_remains(tmp_path / "run")


def test_a_death_comes_at_its_moment(tmp_path):
    code, _, operations = killing.one_life(tmp_path / "run", tmp_path / "log", ("file operation", 3))
    assert (code, operations) == (None, 3)
    code, _, _ = killing.one_life(tmp_path / "run", tmp_path / "log", ("byte", 100))
    assert code is None
    assert (tmp_path / "run" / "partial-config.yaml").stat().st_size == 100
