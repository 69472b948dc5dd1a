"""A full disk."""

from simsiam_tf import cli
from simsiam_tf.checkpoint import CheckpointFolder
from small_run import arguments, assert_same_state


def test_a_full_disk_ends_the_run_and_keeps_the_last_checkpoint(output, capsys):
    folder = output / "full"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "config.yaml").write_text((output / "run" / "config.yaml").read_text())
    (folder / "checkpoints" / "step-0000000010.tmp").symlink_to("/dev/full")
    assert cli.main(arguments(output, name="full")) == 2
    assert "No space left on device; free some space and run the same command again" in capsys.readouterr().err
    assert [path.name for path in CheckpointFolder(folder / "checkpoints").files()] == ["step-0000000005.npz"]
    assert cli.main(arguments(output, name="full")) == 0
    assert_same_state(output / "run", folder)
