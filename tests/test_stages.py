"""Views that grow during training, and a run that keeps the average of its weights."""

import json

import keras
import numpy as np
import pytest

from simsiam_tf import assemble, cli
from simsiam_tf.checkpoint import CheckpointFolder
from simsiam_tf.config import AugmentationConfig, Config, OptimizerConfig
from simsiam_tf.errors import InputError
from simsiam_tf.methods import SimSiam

SMALL = {
    "data.limit": 96,
    "data.test_limit": 50,
    "data.image_size": 16,
    "augmentation.view_sizes": "[8,16]",
    "backbone.width": 4,
    "method.projection_dim": 16,
    "method.predictor_hidden": 4,
    "method.ema_momentum": 0.9,
    "optimizer.batch_size": 32,
    "optimizer.epochs": 2,
    "monitor.tensorboard": "false",
    "evaluation.baselines": "[]",
    "evaluation.fractions": "[1.0]",
    "evaluation.linear_epochs": 2,
}


def train(output, **changes):
    options = SMALL | {"output": output} | {k.replace("__", "."): v for k, v in changes.items()}
    return cli.main(["train", "--config", "digits", *(f"--{key}={value}" for key, value in options.items())])


def test_stages_share_the_epochs():
    def stages(sizes, epochs):
        return assemble.view_stages(Config(augmentation=AugmentationConfig(view_sizes=sizes), optimizer=epochs))

    assert stages((), OptimizerConfig(epochs=9)) == [(9, 32)]
    assert stages((16, 24, 32), OptimizerConfig(epochs=9)) == [(3, 16), (6, 24), (9, 32)]
    assert stages((16, 24, 32), OptimizerConfig(epochs=4)) == [(1, 16), (2, 24), (4, 32)]
    with pytest.raises(InputError, match=r"view_sizes: 3 sizes for 2 epochs"):
        stages((16, 24, 32), OptimizerConfig(epochs=2))


def test_views_grow_the_average_is_kept_and_a_run_in_pieces_is_the_same(tmp_path, monkeypatch):
    sides = []
    forward = SimSiam.forward

    def noting(self, views, training=True):
        sides.append([view.shape[1] for view in views])
        return forward(self, views, training)

    monkeypatch.setattr(SimSiam, "forward", noting)
    assert train(tmp_path, name="whole") == 0
    assert list(dict.fromkeys(map(tuple, sides))) == [(8, 8), (16, 16)]
    assert train(tmp_path, name="pieces", training__stop_after_steps=4) == 0  # inside the second stage
    assert train(tmp_path, name="pieces") == 0
    whole, pieces = (CheckpointFolder(tmp_path / name / "checkpoints").newest()[0] for name in ("whole", "pieces"))
    assert whole.keys() == pieces.keys()
    for name, array in whole.items():
        np.testing.assert_array_equal(array, pieces[name], err_msg=name)

    kept = keras.models.load_model(tmp_path / "whole" / "backbone.keras").get_weights()
    stored = {array.tobytes() for array in whole.values()}
    assert all(array.tobytes() in stored for array in kept)
    assert "knn_accuracy" in json.loads((tmp_path / "whole" / "result.json").read_text())
    assert cli.main(["export", str(tmp_path / "whole"), "--format", "pytorch"]) == 0
