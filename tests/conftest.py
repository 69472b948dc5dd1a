"""Shared set-up: quiet TensorFlow, a small network, and the place of the real data sets when they are there."""

import os
import shutil
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as the command does: runs here are its runs to the bit

import keras
import numpy as np
import pytest
from tensorflow.python.framework.config import disable_op_determinism

from simsiam_tf.cli.tensorflow import two_at_a_time

two_at_a_time()  # as the command does

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


def pytest_collection_modifyitems(items):
    """What takes minutes comes first, so that no process is left alone with it at the end."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture(autouse=True)
def clean_keras():
    """Each test starts with fresh layer names, the float32 policy, and ops free to be compiled."""
    keras.utils.clear_session(free_memory=False)
    keras.config.set_dtype_policy("float32")
    yield
    keras.config.set_dtype_policy("float32")
    disable_op_determinism()  # a run in this process switches it on; there is no public name for off


@pytest.fixture(scope="session")
def shared_data():
    """The folder with the prepared CIFAR-10 and the photographs; the test is skipped where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real data sets are not at {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture
def small_backbone():
    """Makes a backbone of two convolutions, 8 features, that trains in milliseconds."""
    from simsiam_tf.networks.layers import BatchNorm

    def build(seed=0, features=8):
        def kernel(index):
            return keras.initializers.HeNormal(seed=seed * 10 + index)

        images = keras.Input((None, None, 3))
        x = keras.layers.Rescaling(1 / 127.5, -1.0, name="normalization")(images)
        x = keras.layers.Conv2D(4, 3, 2, use_bias=False, kernel_initializer=kernel(1), name="conv1")(x)
        x = keras.layers.ReLU(name="relu")(BatchNorm(name="bn1")(x))
        x = keras.layers.Conv2D(features, 3, use_bias=False, kernel_initializer=kernel(2), name="conv2")(x)
        x = keras.layers.ReLU(name="relu2")(BatchNorm(name="bn2")(x))
        x = keras.layers.GlobalAveragePooling2D(dtype="float32", name="avgpool")(x)
        return keras.Model(images, x, name="small")

    return build


@pytest.fixture
def small_model(small_backbone):
    """Makes a SimSiam on the small backbone at 12 px, compiled for two epochs of four steps of 16 images."""
    from simsiam_tf import SimSiam, make_optimizer, recipe

    def build(compiled=True, seed=0, **arguments):
        options = {"projection_dim": 16, "predictor_hidden": 4, "seed": seed} | arguments
        # Crops and flips only: they compile in a second, colour in several.
        augmenter = recipe("none", image_size=12, min_area=0.3, flip=0.5)
        model = SimSiam(small_backbone(seed), augmenter, **options)
        if compiled:
            settings = {"learning_rate": 0.5, "batch_size": 16, "epochs": 2, "weight_decay": 5e-4}
            model.compile(optimizer=make_optimizer(model, 4, **settings))
        return model

    return build


@pytest.fixture
def images():
    """64 random uint8 images of 12 px."""
    return np.random.default_rng(0).integers(0, 256, (64, 12, 12, 3), dtype=np.uint8)


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A finished small run of the real command; read it only."""
    from simsiam_tf.cli import main as cli
    from small_run import arguments

    output = tmp_path_factory.mktemp("trained")
    assert cli.main(arguments(output)) == 0
    return output / "run"


@pytest.fixture(scope="module")
def small_backbones():
    """Runs of one test file build a network of two convolutions for every backbone."""
    import small_methods

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("simsiam_tf.runs.build.build_backbone", lambda config: small_methods.backbone(config.seed))
        yield


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    """A folder for the runs of one test file."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def run(trained, output):
    """A copy of the finished small run, in `output`."""
    return shutil.copytree(trained, output / "run")
