"""What a program elsewhere has to know to get from an exported file the features that `embed` gives."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from simsiam_tf.atomic import replacing
from simsiam_tf.data.renderings import frame_rule
from simsiam_tf.interop.formats import sidecar
from simsiam_tf.settings.backbones import ViTSettings

# Of input and output, as Keras's exporters give them; networks of the other formats are called, not asked by name.
NAMES = {"saved_model": ("images", "output_0"), "onnx": ("images", "Identity:0")}
# Where the encoder is in a file of PyTorch: under this key of the dict that it holds, and how its names begin.
STATE = {"pytorch": ("state_dict", "module.encoder."), "torchvision": (None, ""), "timm": (None, "")}
# (in, out, kernel, stride, padding) of Conv2d is (3, width) and these; (kernel, stride, padding) of MaxPool2d, where
# a kernel of 1 is no pooling.
STEMS = {"cifar": ([3, 1, 1], [1, 1, 0]), "imagenet": ([7, 2, 3], [3, 2, 1])}
DECODING = "EXIF orientation applied, transparency over white, 16-bit gray to 8 bits, CMYK without its profile, RGB"
DIGITS = "these pictures themselves are enlarged with BICUBIC; files, as everywhere, with BILINEAR"


def contract(config, format: str, dimension: int, steps: int | None, class_names: list[str] | None = None) -> dict:
    """The contract of an export.

    Args:
        config: `Config` of the run.
        format: A key of `formats.ENDINGS`.
        dimension: d of the output.
        steps: Training steps that the weights have seen; None if none here.
        class_names: Of a classifier, whose output is their probabilities; None: it is features.
    """
    torch = format in STATE
    facts = {
        "format": format,
        "input": {
            "dtype": "float32",
            "layout": "NCHW" if torch else "NHWC",
            "channels": "RGB",
            "range": [0, 255],
            "normalization": "outside: (pixels / 255 - mean) / std, as in network" if torch else "inside",
        },
        "frame": frame_rule(config.data.image_size) | {"decoding": DECODING},
        "output": {"dtype": "float32", "dimension": dimension} | ({"class_names": class_names} if class_names else {}),
        "network": network(config.backbone),
        "weights": {"method": config.method.name, "data": config.data.source},
        "simsiam_tf": installed("simsiam-tf") or "unknown",
    }
    if steps is not None:
        facts["weights"]["steps"] = steps
    if format in NAMES:
        facts["input"]["name"], facts["output"]["name"] = NAMES[format]
    if config.data.source == "digits":
        facts["frame"]["data"] = DIGITS
    if torch:
        key, prefix = STATE[format]
        facts["weights"] |= {"key": key, "prefix": prefix}
    return facts


def network(backbone) -> dict:
    """What there is to know of a backbone, to build it elsewhere."""
    about = {"name": backbone.name, "mean": list(backbone.mean), "std": list(backbone.std)}
    if isinstance(backbone, ViTSettings):
        return about | {key: getattr(backbone, key) for key in ("patch", "dim", "depth", "heads", "positions")}
    conv1, maxpool = STEMS[backbone.stem]
    about |= {"stem": backbone.stem, "width": backbone.width}
    return about | {"conv1": [3, backbone.width, *conv1], "maxpool": maxpool}


def properties(facts: dict) -> dict[str, str]:
    """The contract as ONNX metadata: a string as it is, all else as JSON."""
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in facts.items()}


def write(facts: dict, path: Path) -> Path:
    """Write the contract beside the export at `path`, and say where.

    Raises:
        InputError: the disk is full or the folder cannot be written to.
    """
    beside = sidecar(path)
    with replacing(beside) as partial:
        partial.write_text(json.dumps(facts, indent=2) + "\n")
    return beside


def installed(package: str) -> str | None:
    """Its version, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
