"""data.order in a run: its settings, the permutation in its folder, and that it goes on in the middle of a chunk."""

import numpy as np
import pytest

import small_methods
from command_line import parse
from simsiam_tf.cli import main as cli
from simsiam_tf.data.order import ContinualOrder, EpochOrder, drawn_permutation
from simsiam_tf.errors import InputError
from simsiam_tf.runs.folder import RunFolder
from simsiam_tf.runs.order import training_order
from simsiam_tf.runs.workers import Workers
from simsiam_tf.settings.schema import Config, DataSettings, SGDSettings
from small_run import arguments, assert_same_state

ORDERS = {
    "single_pass": {"chunks": 3},  # of 21.3 images and 5.3 of the 16 steps
    "accumulate": {"chunks": 3, "rounds": 2},
    "last": {"chunks": 2, "repeat_batch": 3},
    "hybrid": {"chunks": 3, "switch_epoch": 3},
}


def config_of(order, seed=0, **options):
    return Config(
        seed=seed,
        data=DataSettings(image_size=12, order=order, **options),
        optimizer=SGDSettings(batch_size=16, epochs=4),
    )


def order_of(config, tmp_path, n=64):
    return training_order(config, n, RunFolder(tmp_path), Workers())


def test_what_an_order_of_a_run_is(tmp_path):
    assert isinstance(order_of(config_of("epochs"), tmp_path), EpochOrder)
    assert not [*tmp_path.iterdir()]
    permutation = drawn_permutation(64, 0)
    seen = {}
    for name, options in ORDERS.items():
        order = order_of(config_of(name, **options), tmp_path)
        seen[name] = [sorted(order(step).tolist()) for step in range(16)]
        np.testing.assert_array_equal(np.load(tmp_path / "permutation.npy"), permutation)
    chunks = [permutation[:21], permutation[21:42], permutation[42:]]
    for step in range(16):
        assert set(seen["single_pass"][step]) <= set(chunks[step * 3 // 16])
        assert set(seen["accumulate"][step]) <= set(permutation[: 64 * (step % 8 * 3 // 8 + 1) // 3])
        assert set(seen["last"][step]) <= set(permutation[32:])
        assert seen["hybrid"][step] == (seen["single_pass"][step] if step < 12 else sorted(EpochOrder(64, 16, 0)(step)))
    # Three times in a row; an epoch of four steps begins another.
    again = [step for step in range(1, 16) if seen["last"][step] == seen["last"][step - 1]]
    assert again == [1, 2, 5, 6, 9, 10, 13, 14]


@pytest.mark.parametrize(("epochs", "switch"), [(100, 40), (5, 2), (3, 1), (2, 1)])
def test_the_switch_is_at_two_fifths(epochs, switch):
    assert DataSettings(order="hybrid").switch(epochs) == switch
    assert DataSettings(order="hybrid", switch_epoch=1).switch(epochs) == 1
    assert DataSettings(order="single_pass").switch(epochs) is None


SHORT = {"monitor__tensorboard": "false", "monitor__knn_epochs": 0, "monitor__linear_probe": "false"}
SHORT |= {"augmentation__recipe": "none", "augmentation__min_area": 0.3}  # colour takes seconds to compile
SHORT |= {"data__order": "hybrid", "data__chunks": 3}  # 53 images, 6.7 of the 20 steps


@pytest.fixture
def steps(monkeypatch):
    """The steps whose rows a run has asked its order for; the network is small, and not judged."""
    asked, call = [], ContinualOrder.__call__
    monkeypatch.setattr(ContinualOrder, "__call__", lambda self, step: asked.append(step) or call(self, step))
    monkeypatch.setattr("simsiam_tf.runs.build.build_backbone", lambda config: small_methods.backbone(config.seed))
    monkeypatch.setattr("simsiam_tf.runs.train.evaluate", lambda *_: {})
    return asked


def test_the_folder_keeps_the_permutation_and_a_run_goes_on_within_a_chunk(steps, tmp_path, capsys):
    kept = tmp_path / "first" / "permutation.npy"
    assert cli.main(arguments(tmp_path, name="first", **SHORT, training__stop_after_steps=4)) == 0
    assert steps[:4] == [0, 1, 2, 3]
    np.testing.assert_array_equal(np.load(kept), drawn_permutation(160, 0))
    content = kept.read_bytes()
    kept.write_bytes(content[:-1])
    assert cli.main(arguments(tmp_path, name="first", **SHORT)) == 2
    assert f"data.permutation: {kept} cannot be read" in capsys.readouterr().err
    kept.write_bytes(content)
    steps.clear()
    assert cli.main(arguments(tmp_path, name="first", **SHORT)) == 0
    assert steps[:16] == [*range(4, 20)]
    # Another run that is given the file has the same order, in one go, and then does not need it.
    given = tmp_path / "given.npy"
    given.write_bytes(content)
    assert cli.main(arguments(tmp_path, name="second", **SHORT, data__permutation=given)) == 0
    assert_same_state(tmp_path / "first", tmp_path / "second")
    given.unlink()
    assert cli.main(arguments(tmp_path, name="second", **SHORT, data__permutation=given)) == 0
    assert cli.main(arguments(tmp_path, name="third", **SHORT, data__permutation=given)) == 2
    assert f"data.permutation: {given} is not there; give a file that numpy.save" in capsys.readouterr().err
    np.save(given, np.arange(159))
    assert cli.main(arguments(tmp_path, name="third", **SHORT, data__permutation=given)) == 2
    assert "is no permutation of the 160 training images" in capsys.readouterr().err


def test_a_run_that_begins_anew_draws_anew(tmp_path):
    """As after a kill before the first checkpoint, and another seed."""
    for seed in (0, 1):
        order_of(config_of("single_pass", seed=seed), tmp_path)
        np.testing.assert_array_equal(np.load(tmp_path / "permutation.npy"), drawn_permutation(64, seed))


class Crew:
    """Two workers, one after the other; a reduction brings the first one's values."""

    def __init__(self):
        self.chief, self.sent = True, None

    def from_chief(self, value):
        self.sent = value.astype(float) if self.chief else self.sent
        return self.sent


def test_other_workers_take_the_first_ones_permutation(tmp_path):
    given, crew = np.random.default_rng(3).permutation(64), Crew()
    np.save(tmp_path / "given.npy", given)
    config = config_of("last", chunks=2, permutation=str(tmp_path / "given.npy"))
    first = training_order(config, 64, RunFolder(tmp_path), crew)
    crew.chief = False
    second = training_order(config_of("last", chunks=2), 64, None, crew)
    for step in range(16):
        np.testing.assert_array_equal(first(step), second(step))
        assert set(first(step)) <= set(given[32:])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--data.chunks=20", r"data.chunks: 20, but data.order epochs has no chunks; give null, or another order"),
        ("--data.rounds=2", r"data.rounds: 2, but data.order epochs has no chunks; give 1, or another"),
        ("--data.repeat_batch=2", r"data.repeat_batch: 2, but data.order epochs has no"),
        ("--data.permutation=p.npy", r"data.permutation: p.npy, but data.order epochs has no"),
        ("--data.switch_epoch=2", r"data.switch_epoch: 2, but data.order is epochs; give null, or order hybrid$"),
        ("--data.order=last --data.switch_epoch=2", r"data.switch_epoch: 2, but data.order is last; give null"),
        (
            "--data.order=hybrid --optimizer.epochs=5 --data.switch_epoch=5",
            r"data.switch_epoch: 5 of 5 epochs; give fewer than optimizer.epochs$",
        ),
        ("--data.order=hybrid --optimizer.epochs=1", r"data.order: hybrid, but 1 epoch; give 2 or more as"),
        (
            "--data.order=accumulate --optimizer.epochs=100 --data.rounds=3",
            r"data.rounds: 3 does not divide the 100 epochs; give a divisor of them$",
        ),
        (
            "--method.name=classifier --data.order=single_pass",
            r"data.order: single_pass, but a classifier learns its labels in epochs; give epochs$",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(options, message):
    with pytest.raises(InputError, match=f"^{message}"):
        parse(*options.split())


def test_chunks_below_a_batch_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"^data.chunks: 5 of 64 images are smaller than a batch of 16; give 1 to 4"):
        order_of(config_of("single_pass", chunks=5), tmp_path)


def test_a_classifier_of_a_continual_run_learns_in_epochs():
    from simsiam_tf.cli.finetune import defaults

    stored = ["--data.order=hybrid", "--data.chunks=4", "--data.rounds=2", "--data.switch_epoch=3"]
    stored += ["--data.repeat_batch=2", "--data.permutation=p.npy", "--optimizer.epochs=8"]
    here = parse(*stored)
    options = type("Options", (), {"frozen": False, "fraction": None})
    found = defaults(here, tmp := RunFolder("runs/a").path, options, [])
    assert tmp.name == "a"
    data = {key.removeprefix("data."): value for key, value in found.items() if key.startswith("data.")}
    assert DataSettings(**data) == DataSettings()
