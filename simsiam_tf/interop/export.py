"""A trained backbone as a file for elsewhere: .keras, SavedModel or ONNX, checked against Keras on a batch."""

import logging
import shutil
import tempfile
import time
import warnings
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from simsiam_tf.errors import InputError
from simsiam_tf.evaluation.features import full_float32
from simsiam_tf.interop.contract import properties
from simsiam_tf.interop.onnx_ops import teach_tf2onnx
from simsiam_tf.networks.layers import BatchNorm, Conv2D, MaxPooling2D, ReLU
from simsiam_tf.networks.vit import PatchProjection

log = logging.getLogger("simsiam_tf.export")
# Largest difference from Keras, relative to the largest feature, that still counts as the same model.
TOLERANCE = 1e-4
STOCK = {
    BatchNorm: keras.layers.BatchNormalization,
    Conv2D: keras.layers.Conv2D,
    MaxPooling2D: keras.layers.MaxPooling2D,
    PatchProjection: keras.layers.Conv2D,
    ReLU: keras.layers.ReLU,
}


@full_float32()  # a GPU's TF32 is further from ONNX's float32 than the tolerance
def export(backbone, path: Path, format: str, contract: dict) -> float:
    """Write the backbone and read it back.

    All formats take float32 or uint8 pixels (n, h, w, 3) in [0, 255] - ONNX and SavedModel float32 - and give
    features (n, d): normalisation is inside.

    Args:
        backbone: Keras model.
        path: File or folder to make, from `formats.output_path`.
        format: A key of FORMATS.
        contract: From `contract.contract`; its frame is the size that is checked, and ONNX files hold all of it.

    Returns:
        The largest difference between the exported model's features and Keras's, relative to the largest feature.

    Raises:
        InputError: the exported model differs; nothing is left at `path`.
    """
    images = np.random.default_rng(0).integers(0, 256, (4, *contract["frame"]["size"], 3)).astype("float32")
    backbone = portable(backbone)  # bfloat16 has no place in ONNX Runtime
    expected = np.asarray(backbone(images, training=False))
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        partial = Path(folder) / path.name
        run = FORMATS[format](backbone, partial, contract)
        difference = float(np.max(np.abs(run(images) - expected)) / np.max(np.abs(expected)))
        if not difference <= TOLERANCE:
            raise InputError(f"format: {format} gives features that differ by {difference:.2g} from Keras; not written")
        shutil.move(partial, path)
    return difference


def portable(backbone):
    """The same network in float32 with Keras's own layers for ours: its file loads without this package."""

    def clone(layer):
        config, kind = layer.get_config(), type(layer)
        if not isinstance(layer, keras.layers.Layer):  # an operation, which has no dtype of its own
            return kind.from_config(config)
        if kind is PatchProjection:
            del config["side"]
        if kind is BatchNorm and config.pop("relu"):
            with_relu.add(layer.name)
        return STOCK.get(kind, kind).from_config(config | {"dtype": "float32"})

    def call(layer, *inputs, **options):
        outputs = layer(*inputs, **options)
        if layer.name not in with_relu:
            return outputs
        return keras.layers.ReLU(name=f"{layer.name}_relu", dtype="float32")(outputs)

    with_relu = set()  # names of the BatchNorms that had one
    copy = keras.models.clone_model(backbone, clone_function=clone, call_function=call)
    copy.set_weights(backbone.get_weights())
    return copy


def save_keras(backbone, path: Path) -> None:
    """Write a .keras file.

    Raises:
        InputError: the clock shows a year that its zip cannot hold.
    """
    year = time.localtime(time.time()).tm_year
    if not 1980 <= year <= 2107:
        raise InputError(f"clock: it shows the year {year}, .keras files need 1980 to 2107; set it and run this again")
    backbone.save(path)


def load_keras(path: Path):
    """The network of a .keras file.

    Raises:
        InputError: it does not load, or it wants to run code of its own.
    """
    try:
        return keras.models.load_model(path, safe_mode=True)
    except Exception as error:  # a damaged or hostile file can fail in any way
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise InputError(f"RUN: {path} cannot be loaded ({reason}); export or train it again") from error


def _keras(backbone, path, contract):
    save_keras(backbone, path)
    loaded = keras.models.load_model(path, safe_mode=True)
    return lambda images: np.asarray(loaded(images, training=False))


def _saved_model(backbone, path, contract):
    backbone.export(path, format="tf_saved_model", verbose=False)
    loaded = tf.saved_model.load(str(path))
    return lambda images: np.asarray(loaded.serve(images))


def _onnx(backbone, path, contract):
    import onnx  # only this format needs them
    import onnxruntime

    teach_tf2onnx()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # Keras looks for np.object, which tf2onnx wants
        backbone.export(path, format="onnx", verbose=False)
    model = onnx.load(path)
    onnx.helper.set_model_props(model, properties(contract))
    onnx.save(model, path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda images: session.run(None, {name: images})[0]


FORMATS = {"keras": _keras, "saved_model": _saved_model, "onnx": _onnx}
