"""Views that grow during training, and a run that keeps the average of its weights."""

import keras
import numpy as np
import pytest

from simsiam_tf.cli import main as cli
from simsiam_tf.data.sources import from_arrays
from simsiam_tf.errors import InputError
from simsiam_tf.runs import build as assemble
from simsiam_tf.runs.checkpoint import CheckpointFolder
from simsiam_tf.runs.fit import fit
from simsiam_tf.runs.interrupt import Interrupt
from simsiam_tf.runs.stop import SharedStop
from simsiam_tf.runs.watchers import Watchers
from simsiam_tf.runs.workers import Workers
from simsiam_tf.settings.schema import AugmentationSettings, Config, DataSettings, SGDSettings, TrainingSettings
from small_run import arguments


def test_stages_share_the_epochs():
    def stages(sizes, epochs):
        return assemble.view_stages(Config(augmentation=AugmentationSettings(view_sizes=sizes), optimizer=epochs))

    assert stages((), SGDSettings(epochs=9)) == [(9, 32)]
    assert stages((16, 24, 32), SGDSettings(epochs=9)) == [(3, 16), (6, 24), (9, 32)]
    assert stages((16, 24, 32), SGDSettings(epochs=4)) == [(1, 16), (2, 24), (4, 32)]
    with pytest.raises(InputError, match=r"view_sizes: 3 sizes for 2 epochs"):
        stages((16, 24, 32), SGDSettings(epochs=2))


def test_views_grow_at_the_same_steps_in_a_run_in_pieces(small_model, images):
    images = from_arrays(images)  # 64: 4 steps per epoch

    def train(model, last):
        config = Config(
            data=DataSettings(image_size=16),
            augmentation=AugmentationSettings(recipe="none", min_area=0.3, view_sizes=(8, 16)),
            optimizer=SGDSettings(batch_size=16, epochs=2),
            training=TrainingSettings(stop_after_steps=last),
        )
        workers = Workers()
        fit(config, model, images, Watchers([], SharedStop(workers, Interrupt())), workers, 4)

    whole, pieces = small_model(), small_model()
    sides = []
    forward = whole.forward
    whole.forward = lambda views, training=True: sides.append([v.shape[1] for v in views]) or forward(views, training)
    train(whole, None)
    assert list(dict.fromkeys(map(tuple, sides))) == [(8, 8), (16, 16)]
    for last in (2, 4, 6, None):  # inside the first stage, at its end, inside the second
        train(pieces, last)
        assert int(pieces.step) == (last or 8)
    for ours, theirs in zip(whole.variables, pieces.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs, err_msg=ours.path)


def test_a_run_keeps_the_average_of_its_weights(tmp_path):
    changes = {"method__weight_average": 0.9, "optimizer__epochs": 1, "evaluation__baselines": "[]"}
    assert cli.main(arguments(tmp_path, **changes)) == 0
    kept = keras.models.load_model(tmp_path / "run" / "backbone.keras").get_weights()
    stored = CheckpointFolder(tmp_path / "run" / "checkpoints").newest()[0]
    average = [array for name, array in stored.items() if name.startswith("average/")]
    trained = [array for name, array in stored.items() if name.startswith("backbone/")]
    for weight, ours, theirs in zip(kept, average, trained, strict=True):
        np.testing.assert_array_equal(weight, ours)
        assert weight.shape == theirs.shape
    assert any(np.abs(weight - theirs).max() > 1e-4 for weight, theirs in zip(kept, trained, strict=True))
    assert cli.main(["export", str(tmp_path / "run"), "--format", "pytorch"]) == 0
