"""The weights that a PyTorch checkpoint holds, and what network they are of.

The official release (facebookresearch/simsiam) puts `module.` before all names and `encoder.` before the ResNet's,
keeps the projector in the ResNet's `fc` and the predictor beside the encoder. torchvision's files hold the ResNet
alone, with a classifier `fc`. Without prefixes they are one: conv1.weight, fc.0.weight (projector), predictor.0.weight.
facebookresearch/moco-v3 says `base_encoder.` for `encoder.`; of its files that encoder is taken with its projector.
Of Vision Transformers see `vit_state`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simsiam_tf.errors import InputError
from simsiam_tf.interop import torch_file, vit_state
from simsiam_tf.interop.torch_pickle import Tensor

COUNTER = "num_batches_tracked"
MOCO_V3 = "base_encoder."
ENCODERS = ("encoder.", MOCO_V3)  # what stands before the names of encoders
# By bottleneck blocks or not, and blocks of each stage. Others are taken for the first of their kind.
RESNETS = {
    (False, (2, 2, 2, 2)): "resnet18",
    (False, (3, 4, 6, 3)): "resnet34",
    (True, (3, 4, 6, 3)): "resnet50",
}


@dataclass(frozen=True)
class State:
    """The weights of a file, in PyTorch's layout.

    Args:
        path: The file.
        arrays: By name; a classifier is left out, and of MoCo v3 what is not the encoder.
        keys: The name that the file gives each.
        prefixes: Of the file's names, for all and for the encoder.
        about: What stands beside the weights, such as "epoch".
    """

    path: Path
    arrays: dict[str, np.ndarray]
    keys: dict[str, str]
    prefixes: tuple[str, str]
    about: dict

    def has(self, start: str) -> bool:
        """Whether any name starts like this."""
        return any(name.startswith(start) for name in self.arrays)

    def key(self, name: str) -> str:
        """The file's name for one of ours, whether it has it or not."""
        everywhere, encoder = self.prefixes
        key = self.keys.get(name, everywhere + ("" if name.startswith("predictor.") else encoder) + name)
        return key if key.isprintable() else ascii(key)

    @property
    def batches(self) -> int:
        """Batches that the normalisation statistics have seen."""
        first = next((a for name, a in self.arrays.items() if name.endswith(f".{COUNTER}")), np.zeros(1, "int64"))
        return int(first.max()) if first.dtype.kind == "i" else 0


def read(path: Path) -> State:
    """A checkpoint {"state_dict": ..., ...} or a bare state dict.

    Raises:
        InputError: the file is none that PyTorch wrote, or holds no such dict.
    """
    content = torch_file.load(path)
    found = content.get("state_dict", content) if isinstance(content, dict) else {}
    if not isinstance(found, dict) or not found or not all(isinstance(key, str) for key in found):
        raise InputError(f"FILE: {path} holds no state_dict; give a checkpoint of a network")
    for key, value in found.items():
        if not isinstance(value, Tensor):
            raise InputError(f"FILE: {path} holds no state_dict, {key!r} is no tensor; give a checkpoint of a network")
    everywhere = "module." if all(key.startswith("module.") for key in found) else ""
    encoder = next((each for each in ENCODERS if any(key.startswith(everywhere + each) for key in found)), "")
    if encoder == MOCO_V3:  # beside it are another encoder and a predictor of another kind
        found = {key: value for key, value in found.items() if key.startswith(everywhere + encoder)}
    keys = {key.removeprefix(everywhere).removeprefix(encoder): key for key in found}
    if len(keys) < len(found):
        raise InputError(f"FILE: {path} has names twice, with and without {encoder!r}; save one network alone")
    if "fc.weight" in keys:
        keys = {name: key for name, key in keys.items() if name not in ("fc.weight", "fc.bias")}
    keys = vit_state.encoder_alone(keys)
    tensors = {name: found[key] for name, key in keys.items()}
    stored = {id(tensor.storage): tensor.storage.count for tensor in tensors.values()}
    # A small file could ask for any amount of memory otherwise; sharing some weights is legitimate.
    if sum(math.prod(tensor.shape) for tensor in tensors.values()) > 2 * sum(stored.values()):
        raise InputError(f"FILE: {path} has the same numbers under several names; save one network alone")
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    if empty := [keys[name] for name, array in arrays.items() if not array.size]:
        raise InputError(f"FILE: {path} has no numbers in {empty[0]}; give a checkpoint of a network")
    about = {key: content[key] for key, fits in ABOUT.items() if fits(content.get(key))}
    return State(Path(path), vit_state.without_fixed(arrays), keys, (everywhere, encoder), about)


def _is_color(value):
    return isinstance(value, (tuple, list)) and len(value) == 3 and all(type(v) is float for v in value)


# What else a checkpoint may say, if it is of this kind.
ABOUT = {"epoch": lambda value: type(value) is int, "mean": _is_color, "std": _is_color}
ABOUT["heads"] = lambda value: type(value) is int and value > 0


def architecture(state: State) -> dict:
    """The settings {"backbone.name": "resnet50", ...} of the ResNet or ViT that fits.

    A ResNet of other depths gives one that there is; `weights.assign` then names what does not fit.

    Raises:
        InputError: the file holds neither.
    """
    colors = {f"backbone.{key}": list(state.about[key]) for key in ("mean", "std") if key in state.about}
    if is_vit(state):
        return vit_state.architecture(state, _check_shape) | colors
    arrays = state.arrays
    stem = arrays.get("conv1.weight", np.zeros(0))
    if stem.ndim != 4:
        first = state.key(next(iter(state.keys), "none"))
        wanted = state.key("conv1.weight")
        raise InputError(f"FILE: {state.path} has no {wanted} of a ResNet (first key: {first}); give another file")
    blocks = [re.fullmatch(r"layer([1-4])\.\d+\.conv1\.weight", name) for name in arrays]
    depths = tuple([block[1] for block in blocks if block].count(stage) for stage in "1234")
    bottleneck = state.has("layer1.0.conv3.")
    settings = {
        "backbone.name": RESNETS.get((bottleneck, depths), "resnet50" if bottleneck else "resnet18"),
        "backbone.stem": "cifar" if stem.shape[-1] == 3 else "imagenet",
        "backbone.width": stem.shape[0],
    }
    width = stem.shape[0]
    shape = (8 * width, 16 * width, 1, 1) if bottleneck else (8 * width, 4 * width, 3, 3)
    _check_shape(state, "layer4.0.conv1.weight", shape)
    return settings | colors


def is_vit(state: State) -> bool:
    """Whether the file's encoder is a Vision Transformer."""
    return state.arrays.get(vit_state.FIRST, np.zeros(0)).ndim == 4


def feature_dim(state: State) -> int:
    """d of the file's encoder."""
    if is_vit(state):
        return len(state.arrays[vit_state.FIRST])
    return len(state.arrays["conv1.weight"]) * (32 if state.has("layer1.0.conv3.") else 8)


def _check_shape(state, name, shape):
    """What the widest layers have decides the network's size: a small file must not ask for a huge one."""
    found = state.arrays[name].shape if name in state.arrays else "missing"
    if found != shape:
        raise InputError(
            f"FILE: {state.key(name)} is {found} there, {shape} in a network of the other layers' width; "
            "give a file of a network that there is here"
        )


def heads(state: State) -> tuple[dict | None, dict | None]:
    """Projector and predictor as {"layers", "hidden", "output", "output_norm": "none", "plain" or "affine"}.

    None: the file does not tell. A predictor is {} where the whole network is there and has none.
    """
    names = [name for name in state.arrays if re.fullmatch(r"fc\.\d{1,3}\.weight", name)]
    linear = sorted((name for name in names if state.arrays[name].ndim == 2), key=_place)
    width, projector, predictor = feature_dim(state), None, None
    for name in linear:
        _check_shape(state, name, (len(state.arrays[name]), width))
        width = len(state.arrays[name])
    if linear:
        norm = f"fc.{_place(linear[-1]) + 1}."
        has_norm, affine = state.has(f"{norm}running_mean"), state.has(f"{norm}weight")
        projector = {"layers": len(linear), "hidden": len(state.arrays[linear[0]]), "output": width}
        projector["output_norm"] = ("affine" if affine else "plain") if has_norm else "none"
    narrow = state.arrays.get("predictor.0.weight")
    if narrow is not None:
        hidden = len(np.atleast_1d(narrow))
        _check_shape(state, "predictor.0.weight", (hidden, width if linear else narrow.shape[-1]))
        predictor = {"hidden": hidden}
    elif linear and state.prefixes[1] == ENCODERS[0]:  # an encoder alone may lack it; whole, it is the ablation
        predictor = {}
    return projector, predictor


def _place(name):
    return int(name.split(".")[1])
