"""A method as Keras saves it: weights, optimizers, and every value of its configuration."""

import inspect
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from simsiam_tf import SimSiam, recipe
from simsiam_tf.errors import InputError
from simsiam_tf.methods import METHODS

ROOT = Path(__file__).parents[2]


def test_a_saved_model_goes_on_as_if_it_had_not_been_saved(small_model, images, tmp_path):
    model = small_model()
    model.fit(images, batch_size=16, epochs=1, shuffle=False, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(loaded, SimSiam)
    np.testing.assert_array_equal(model.predict(images, verbose=0), loaded.predict(images, verbose=0))
    for each in (model, loaded):
        each.fit(images, batch_size=16, initial_epoch=1, epochs=2, shuffle=False, verbose=0)
    for ours, theirs in zip(model.variables, loaded.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs, err_msg=ours.path)
    assert int(loaded.step) == 8


def test_a_saved_model_loads_in_a_new_process(small_model, images, tmp_path):
    model = small_model()
    model.save(tmp_path / "model.keras")
    code = (
        "import keras, numpy as np; from simsiam_tf import SimSiam\n"
        f"model = keras.models.load_model({str(tmp_path / 'model.keras')!r})\n"
        "print(float(np.abs(model(np.full((1, 12, 12, 3), 100, np.uint8))).sum()))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    expected = float(np.abs(model(np.full((1, 12, 12, 3), 100, np.uint8))).sum())
    assert float(done.stdout) == pytest.approx(expected, rel=1e-5)
    done = subprocess.run(
        [sys.executable, "-c", code.replace("; from simsiam_tf import SimSiam", "")],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    said = done.stderr.splitlines()[-1]  # of Keras, whose answer names what to import
    assert "Could not locate class 'SimSiam'" in said
    assert "make sure they are all imported" in said
    assert "'module': 'simsiam_tf.methods.simsiam'" in said


@pytest.mark.parametrize("name", METHODS)
def test_every_argument_is_in_the_config(name):
    arguments = set(inspect.signature(METHODS[name]).parameters) - {"settings"}
    assert {"backbone", "augmenter", "seed", "weight_average"} < arguments
    backbone = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Flatten()])
    given = {"teacher": backbone} if "teacher" in arguments else {}
    config = METHODS[name](backbone, num_classes=2, **given).get_config()
    assert arguments <= config.keys()


def test_config_round_trip_keeps_every_value(small_model, images):
    unusual = {
        "projector_layers": 3,
        "projector_hidden": 5,
        "projection_dim": 6,
        "predictor_ratio": 0.5,
        "predictor_schedule": "cosine",
        "predictor_weight_decay": 0.25,
        "head_norm": "none",
        "projector_output_affine": True,
        "weight_average": 0.5,
        "num_views": 3,
        "total_steps": 9,
        "predictor_hidden": 7,
        "similarity": "cross_entropy",
        "micro_batches": 2,
        "steps_per_epoch": 3,
        "num_images": 12,
        "num_classes": 4,
        "stop_gradient": False,
        "seed": 8,
    }
    model = small_model(compiled=False, **unusual)
    again = SimSiam.from_config(model.get_config())
    assert {key: again.get_config()[key] for key in unusual} == unusual
    assert [v.shape for v in again.variables] == [v.shape for v in model.variables]
    np.testing.assert_array_equal(again.draw_views(images[:2], 0)[0], model.draw_views(images[:2], 0)[0])


def test_a_model_that_an_earlier_version_saved_is_refused(small_backbone):
    """Keras finds a head's weights by the name of its class, which was another."""
    parts = {"backbone": small_backbone(), "augmenter": recipe("none", image_size=12, min_area=0.3)}
    config = {key: keras.saving.serialize_keras_object(part) for key, part in parts.items()} | {
        "name": "sim_siam",
        "trainable": True,
        "dtype": {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}},
        "num_views": 2,
        "ema_momentum": 0.0,
        "seed": 8,
        "projector_layers": 2,
        "projector_hidden": None,
        "projection_dim": 6,
        "projector_output_norm": True,
        "predictor": "mlp",
        "predictor_hidden": 7,
        "stop_gradient": True,
    }
    message = r"^model: an earlier version saved it, with other heads; load it with that version, and save its backbone"
    with pytest.raises(InputError, match=message):
        SimSiam.from_config(config)
