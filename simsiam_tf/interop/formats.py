"""The formats of `export`, known without TensorFlow."""

from __future__ import annotations

from pathlib import Path

from simsiam_tf.errors import InputError
from simsiam_tf.settings.backbones import BackboneSettings, ResNetSettings, ViTSettings

# Of a run that learns from labels, these have the whole classifier.
NETWORKS = ("keras", "saved_model", "onnx")
# Of the last three, weights without a program, `runs.transfer` writes the files; of the others `interop.export`.
ENDINGS = {"keras": ".keras", "saved_model": "", "onnx": ".onnx", "pytorch": ".pth.tar", "torchvision": ".pth"}
ENDINGS["timm"] = ".pth"
BARE = {ResNetSettings: "torchvision", ViTSettings: "timm"}  # whose names the weights of a backbone alone have


def output_path(format: str, given: str | None, folder: Path, part: str = "backbone") -> Path:
    """Where an export goes: `given`, or a part of the run, with the format's ending, in `folder`.

    Raises:
        InputError: unknown format, an ending that is not the format's, or the file or its sidecar is there.
    """
    if format not in ENDINGS:
        raise InputError(f"format: {format!r} is unknown; give one of {', '.join(ENDINGS)}")
    path = Path(given) if given else folder / f"{part}{ENDINGS[format]}"
    if not path.name.endswith(ENDINGS[format]):
        raise InputError(f"output: {path} does not end in {ENDINGS[format]}, which format {format} needs; rename it")
    for each in (path, sidecar(path)):
        if each.exists():
            raise InputError(f"output: {each} exists; give another one or delete it")
    return path


def check_names(format: str, backbone: BackboneSettings) -> None:
    """Raise InputError if the format is the names of another family of networks."""
    wanted = BARE[type(backbone)]
    if format in BARE.values() and format != wanted:
        raise InputError(f"format: {format} has no names for {backbone.name}; give {wanted}")


def sidecar(path: Path) -> Path:
    """Where the contract of the export at `path` is: beside it, with .json after its whole name."""
    return path.with_name(f"{path.name}.json")
