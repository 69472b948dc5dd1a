"""The pickles inside PyTorch's checkpoints, without PyTorch and without `pickle.load`.

A pickle is a program that may call anything. This one is read by a machine of our own that knows the operations plain
data needs, makes tensors of it, and can call nothing else: the promise of torch.load(weights_only=True).
"""

from __future__ import annotations

import math
import pickletools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from simsiam_tf.errors import InputError

# Storages are little-endian. numpy has no bfloat16: two opaque bytes here, widened to float32 on reading.
STORAGES = {
    "DoubleStorage": np.dtype("<f8"),
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    "BFloat16Storage": np.dtype("V2"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}
# What torch.save writes has no more. A file can name one long tuple again and again: each look at it must end early.
MOST_AXES, MOST_ARGUMENTS, LARGEST = 8, 8, 2**40


class Storage:
    """The numbers of one or more tensors; their bytes lie outside the pickle."""

    def __init__(self, dtype: np.dtype, count: int):
        self.dtype, self.count, self.raw = dtype, count, None

    def fill(self, raw: bytes) -> None:
        if len(raw) != self.count * self.dtype.itemsize:
            raise ValueError("a storage has not the size that the pickle names")
        self.raw = raw


@dataclass(frozen=True)
class Tensor:
    """A tensor of the file: a window into a storage."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def numpy(self) -> np.ndarray:
        """A copy of the numbers; bfloat16 as float32, everything else in its own type."""
        dtype = self.storage.dtype
        if not math.prod(self.shape):
            return np.zeros(self.shape, "float32" if dtype.kind == "V" else dtype)
        strides = [stride * dtype.itemsize for stride in self.strides]
        array = np.ndarray(self.shape, dtype, self.storage.raw, self.offset * dtype.itemsize, strides).copy()
        return array if dtype.kind != "V" else (array.view("<u2").astype("<u4") << 16).view("<f4")


def read(file, storages: dict[str, Storage] | None = None):
    """The plain data of one pickle: dicts, lists, tuples, numbers, strings, and a `Tensor` for every tensor.

    Args:
        file: Binary file at the pickle's start; left after its end.
        storages: Takes the tensors' storages by key, still to be filled.

    Raises:
        InputError: the pickle wants something else; the message goes on after the file's name.
        Exception: of any kind, for a damaged pickle.
    """
    stack, marks, memo = [], [], {}

    def since_mark():
        mark = marks.pop()
        items = stack[mark:]
        del stack[mark:]
        return items

    for operation, argument, _ in pickletools.genops(file):
        match operation.name:
            case "STOP":
                return stack.pop()
            case "PROTO" | "FRAME":
                pass
            case "MARK":
                marks.append(len(stack))
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINFLOAT" | "BINUNICODE" | "SHORT_BINUNICODE":
                stack.append(argument)
            case name if name in CONSTANTS:
                stack.append(CONSTANTS[name]())
            case "TUPLE":
                stack.append(tuple(since_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                count = int(operation.name[-1])
                stack[-count:] = [tuple(stack[-count:])]
            case "APPEND":
                item = stack.pop()
                _extend(stack[-1], [item])
            case "APPENDS":
                items = since_mark()
                _extend(stack[-1], items)
            case "SETITEM":
                value, key = stack.pop(), stack.pop()
                _update(stack[-1], [key, value])
            case "SETITEMS":
                items = since_mark()
                _update(stack[-1], items)
            case "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "GLOBAL":
                stack.append(_look_up(argument.replace(" ", ".", 1)))
            case "STACK_GLOBAL":
                name, module = stack.pop(), stack.pop()
                if type(name) is not str or type(module) is not str:
                    raise ValueError("a global without a name")
                stack.append(_look_up(f"{module}.{name}"))
            case "REDUCE":
                arguments, maker = stack.pop(), stack.pop()
                stack.append(maker.make(*_few(arguments)))
            case "BUILD":  # attributes, such as the `_metadata` of a state dict
                stack.pop()
            case "BINPERSID":
                stack.append(_storage(stack.pop(), storages))
            case name:
                raise InputError(f"holds more than plain data (pickle operation {name}); {SAVE_PLAIN}")
    raise ValueError("the pickle has no end")


CONSTANTS = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
}
SAVE_PLAIN = "it is not a plain checkpoint; save its state_dict alone"


@dataclass(frozen=True)
class Maker:
    """What a global name in the pickle stands for: the plain data to make, never the thing of that name."""

    make: Callable | np.dtype


def _look_up(name):
    if name not in GLOBALS:
        raise InputError(f"wants to run {name}: {SAVE_PLAIN}")
    return GLOBALS[name]


def _extend(items, more):
    if type(items) is not list:
        raise ValueError("an item without a list")
    items.extend(more)


def _update(mapping, items):
    # torch.save writes no other keys. Hashing nested tuples can take for ever, and large numbers can have one hash.
    if type(mapping) is not dict or not all(type(key) is str or _whole([key]) for key in items[::2]):
        raise ValueError("an item without a dict")
    mapping.update(zip(items[::2], items[1::2], strict=True))


def _few(arguments):
    if type(arguments) is not tuple or len(arguments) > MOST_ARGUMENTS:
        raise ValueError("more arguments than anything has")
    return arguments


def _storage(name, storages):
    """The storage of a persistent id ("storage", type, key, device, count[, None])."""
    kind, maker, key, _, count, *view = _few(name)
    if kind != "storage" or not isinstance(maker.make, np.dtype) or type(key) is not str or any(view):
        raise ValueError("an unknown storage")
    if not _whole([count]):
        raise ValueError("a storage without a size")
    storage = storages.setdefault(key, Storage(maker.make, count))
    if (storage.dtype, storage.count) != (maker.make, count):
        raise ValueError("a storage of two kinds")
    return storage


def _tensor(storage, offset, shape, strides, *_):
    """torch._utils._rebuild_tensor_v2; no element may lie outside the storage or take more than one place."""
    if max(len(shape), len(strides)) > MOST_AXES:
        raise ValueError("more axes than a tensor has")
    if type(storage) is not Storage or not _whole([offset, *shape, *strides]):
        raise ValueError("no tensor")
    if math.prod(size for size in shape if size) > LARGEST:
        raise ValueError("no tensor that numpy could have")
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    if (size := math.prod(shape)) and (last >= storage.count or size > storage.count):
        raise ValueError("a tensor beyond its storage")
    return Tensor(storage, offset, tuple(shape), tuple(strides))


def _size(sizes):
    if len(sizes) > MOST_AXES:
        raise ValueError("too many axes")
    return tuple(sizes)


def _whole(numbers):
    return all(type(number) is int and 0 <= number <= LARGEST for number in numbers)


GLOBALS = {f"torch.{name}": Maker(dtype) for name, dtype in STORAGES.items()} | {
    "collections.OrderedDict": Maker(lambda: {}),
    "torch.Size": Maker(_size),
    "torch.device": Maker(lambda *_: None),
    "torch._utils._rebuild_tensor_v2": Maker(_tensor),
    "torch._utils._rebuild_parameter": Maker(lambda tensor, *_: tensor),
}
