"""Between run folders and PyTorch's files: what `import-weights` and `export --format pytorch` do."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from pathlib import Path

import numpy as np

from simsiam_tf.atomic import replacing
from simsiam_tf.errors import InputError
from simsiam_tf.interop import torch_file, torch_state, vit_state, weights
from simsiam_tf.interop.formats import BARE
from simsiam_tf.runs.build import build_method
from simsiam_tf.runs.folder import RunFolder
from simsiam_tf.runs.teacher import keep_teacher, load_teacher
from simsiam_tf.runs.trained import trained_method
from simsiam_tf.settings import files
from simsiam_tf.settings.backbones import BACKBONES, ViTSettings
from simsiam_tf.settings.methods import METHODS
from simsiam_tf.settings.schema import Config

RECIPES = {"cifar": "cifar10", "imagenet": "imagenet", None: "vit_imagenet"}  # by stem, which a ViT has none of


def arguments_for(state: torch_state.State, given: list[str]) -> list[str]:
    """Command-line arguments: the recipe of the file's kind, the file's architecture, then what the user gave.

    Raises:
        InputError: the file holds no network that there is here, or one of another kind than is asked for.
    """
    method = METHODS[files.chosen(given, "method")]
    settings = {"name": state.path.name.split(".")[0]} | torch_state.architecture(state)
    found = settings["backbone.name"]
    asked = files.chosen([f"--backbone.name={found}", *given], "backbone")
    if BACKBONES[asked] is not BACKBONES[found]:
        raise InputError(f"backbone.name: {asked}, but {state.path} is of a {found}; leave it out")
    settings |= {f"method.{key}": value for key, value in method.of_heads(*torch_state.heads(state)).items()}
    inferred = [f"--{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in settings.items()]
    return ["--config", RECIPES[settings.get("backbone.stem")], *inferred, *files.file_first(given, None)]


def import_run(state: torch_state.State, config: Config) -> tuple[RunFolder, list[str], list[str]]:
    """Make a run folder that holds a file's weights; heads that the file lacks are initialised by seed.

    Returns:
        The folder, which of the backbone and the heads are the file's, and which heads it lacks.

    Raises:
        InputError: the weights do not fit the configuration, or the folder cannot be made.
    """
    folder = _new_folder(config)
    model = build_method(config, teacher=load_teacher(config, folder.teacher))
    parts = weights.assign(state, model.backbone, model.heads)
    model.restart_targets()
    save_method(folder.imported, model, config, state.about.get("epoch", 0), state.batches)
    folder.save_backbone(model.backbone)
    keep_teacher(config, folder.teacher)
    files.write(config, folder.config)
    return folder, parts, [role for role in model.heads if role not in parts]


def continue_run(source: RunFolder, config: Config) -> tuple[RunFolder, list[str]]:
    """Make a run folder that begins with the weights of a finished run: its backbone's and its heads'.

    Targets, queues, banks and prototypes begin anew.

    Returns:
        The folder, and whose weights it holds.

    Raises:
        InputError: the run is not complete, or the folder cannot be made.
    """
    folder = _new_folder(config)
    backbone = source.load_backbone()
    folder.path.mkdir(parents=True)
    try:
        heads = export_run(source, folder.imported, "pytorch")
    except InputError:
        folder.path.rmdir()
        raise
    if source.teacher.is_file():
        shutil.copyfile(source.teacher, folder.teacher)
    folder.save_backbone(backbone)
    files.write(config, folder.config)
    return folder, ["backbone", *heads]


def begin_with(source: RunFolder, config: Config) -> None:
    """Make a run folder that begins with the encoder of a finished run, if it is not there yet.

    Raises:
        InputError: that run is not complete, or there is another run in the folder.
    """
    if config.folder.resolve() == source.path.resolve():
        raise InputError(f"name: {config.folder} is the run that the encoder is of; give another --name")
    encoder = weights.state_dict(source.load_backbone())
    with contextlib.closing(RunFolder.open(config)) as folder:
        there = folder.imported.is_file()
        if not there and not folder.checkpoint_folder(1).files() and folder.read_result() is None:
            run = os.path.relpath(source.path.resolve(), folder.path.resolve())
            folder.write_json(folder.began_with, {"run": run})
            with replacing(folder.imported) as partial:
                write(partial, {}, encoder)
            return
        begun = torch_state.read(folder.imported).arrays if there else {}
    if not all(name in begun and np.array_equal(begun[name], array) for name, array in encoder.items()):
        raise InputError(f"name: {folder.path} began with another encoder than {source.path}'s; give another --name")


def _new_folder(config):
    folder = RunFolder(config.folder)
    if folder.path.exists():
        raise InputError(f"name: {folder.path} exists; give another --name, or delete the folder")
    return folder


def export_run(folder: RunFolder, path: Path, format: str) -> list[str]:
    """Write a run's networks in the official release's layout, or its backbone in torchvision's or timm's, read back.

    Args:
        format: "pytorch", "torchvision" or "timm".

    Returns:
        The heads that are in the file.

    Raises:
        InputError: the run is not complete, or the file does not read back; then nothing is left at `path`.
    """
    backbone, config = folder.load_backbone(), files.read(folder.config)
    if format in BARE.values():
        write(path, {}, weights.state_dict(backbone) | fixed(config))
        return []
    found = trained_method(folder, backbone)
    save_method(path, found.method, config, found.epoch, found.batches)
    return list(found.method.heads)


def save_method(path: Path, model, config: Config, epoch: int, batches: int) -> None:
    """Write a whole method in the official layout; mean and std tell what its pictures are normalised by."""
    b = config.backbone
    about = {"arch": b.name, "epoch": epoch, "mean": b.mean, "std": b.std}
    if isinstance(b, ViTSettings):
        about["heads"] = b.heads
    arrays = weights.state_dict(model.backbone, model.heads, batches) | fixed(config)
    write(path, about, weights.official(arrays))


def fixed(config: Config) -> dict[str, np.ndarray]:
    """What networks elsewhere keep as weights and ours compute: the fixed positions of a ViT, for data.image_size."""
    b = config.backbone
    if not isinstance(b, ViTSettings) or b.positions != "sincos":
        return {}
    return {"pos_embed": vit_state.fixed_positions(config.data.image_size // b.patch, b.dim)}


def write(path: Path, about: dict, arrays: dict[str, np.ndarray]) -> None:
    """A checkpoint, or a bare state dict where there is nothing to say about it, checked by reading it back."""
    torch_file.save(path, about | {"state_dict": arrays} if about else arrays)
    content = torch_file.load(path)
    found = content["state_dict"] if about else content
    same = found.keys() == arrays.keys()
    if not same or not all(np.array_equal(found[key].numpy(), a, equal_nan=True) for key, a in arrays.items()):
        path.unlink()
        raise InputError(f"output: {path} does not read back as it was written; check the disk")
