"""PyTorch's checkpoint files, read and written without PyTorch.

A checkpoint is a pickle that says which tensors there are, and their numbers as raw storages. Since PyTorch 1.6 both
lie in an uncompressed zip; before, they followed each other.
"""

from __future__ import annotations

import io
import math
import os
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np

from simsiam_tf.errors import InputError, unwritable
from simsiam_tf.interop import torch_pickle

MAGIC = pickle.dumps(0x1950A86A20F9469CFC6C, 2)  # begins the format before 1.6
LEGACY_PROTOCOL = 1001
BIG_ENDIAN = "was written on a big-endian machine; save it again on a little-endian one"


def load(path: Path):
    """What torch.save wrote: dicts, lists, tuples, numbers and strings, with a `Tensor` for every tensor.

    Raises:
        InputError: the file cannot be read, is damaged or no checkpoint, or holds anything but plain data.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            start = file.read(len(MAGIC))
            if start.startswith(b"PK\x03\x04"):
                return _load_zip(file)
            if start == MAGIC:
                return _load_legacy(io.BytesIO(file.read()))
        raise InputError("is no PyTorch checkpoint; give a file that torch.save wrote")
    except InputError as error:
        raise InputError(f"FILE: {path} {error}") from error
    except OSError as error:
        raise InputError(
            f"FILE: {path} cannot be read ({error.strerror or error}); give a file that is there"
        ) from error
    except Exception as error:  # a damaged pickle or zip can fail in any way
        raise InputError(f"FILE: {path} is damaged or cut short; copy or download it again") from error


def _load_zip(file):
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        top = next((name.removesuffix("data.pkl") for name in names if name.endswith("/data.pkl")), None)
        if top is None:
            raise InputError("is a zip file without data.pkl; give a file that torch.save wrote")
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise InputError("is a compressed zip file, which torch.save does not write; give the original")
        if sum(entry.file_size for entry in archive.infolist()) > os.fstat(file.fileno()).st_size:
            raise ValueError("entries overlap")
        if f"{top}byteorder" in names and archive.read(f"{top}byteorder") != b"little":
            raise InputError(BIG_ENDIAN)
        storages = {}
        content = torch_pickle.read(io.BytesIO(archive.read(f"{top}data.pkl")), storages)
        for key, storage in storages.items():
            storage.fill(archive.read(f"{top}data/{key}"))
    return content


def _load_legacy(file):
    """Pickles of protocol number, system, content and storage keys; then each storage's count and bytes."""
    if torch_pickle.read(file) != LEGACY_PROTOCOL:
        raise ValueError("another protocol")
    if not torch_pickle.read(file)["little_endian"]:
        raise InputError(BIG_ENDIAN)
    storages = {}
    content = torch_pickle.read(file, storages)
    keys = torch_pickle.read(file)
    # Hashing nested tuples can take for ever, hence strings only.
    if not all(type(key) is str for key in keys) or set(keys) != set(storages):
        raise ValueError("other storages than those of the tensors")
    for key in keys:
        [count] = struct.unpack("<q", file.read(8))
        storages[key].fill(file.read(count * storages[key].dtype.itemsize))
    return content


def save(path: Path, content: dict) -> None:
    """Write what torch.load(path, weights_only=True) reads: nested dicts of plain values and numpy arrays.

    Raises:
        InputError: the file cannot be written; what was at `path` before is intact.
    """
    partial = path.with_name(f"{path.name}.tmp")
    arrays = []
    pickled = b"\x80\x02" + _pickle(content, arrays) + b"."
    records = {"data.pkl": pickled, "byteorder": b"little", "version": b"3\n"}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(partial, "w") as archive:
            for name, record in records.items():
                archive.writestr(zipfile.ZipInfo(f"archive/{name}"), record)
            for key, array in enumerate(arrays):
                archive.writestr(zipfile.ZipInfo(f"archive/data/{key}"), array.tobytes())
        os.replace(partial, path)
    except OSError as error:
        if partial.is_file():
            partial.unlink()
        raise unwritable(path, error) from error


def _pickle(value, arrays: list) -> bytes:
    """The pickle, less its first and last operation, of nested dicts of plain values and arrays.

    Args:
        value: What torch.load is to return, with numpy arrays in the place of tensors.
        arrays: Takes the arrays; each is a storage whose key is its index.
    """
    if isinstance(value, dict):
        return b"}(" + b"".join(_pickle(each, arrays) for item in value.items() for each in item) + b"u"
    if not isinstance(value, np.ndarray):
        return pickle.dumps(value, 2)[2:-1]
    key = len(arrays)
    arrays.append(value)
    kind = next(name for name, dtype in torch_pickle.STORAGES.items() if dtype == value.dtype)
    strides = tuple(math.prod(value.shape[axis + 1 :]) for axis in range(value.ndim))
    storage = _tuple(
        _pickle("storage", []), _name("torch", kind), *(_pickle(v, []) for v in (str(key), "cpu", value.size))
    )
    hooks = _name("collections", "OrderedDict") + b")R"
    window = _tuple(storage + b"Q", *(_pickle(v, []) for v in (0, value.shape, strides, False)), hooks)
    return _name("torch._utils", "_rebuild_tensor_v2") + window + b"R"


def _tuple(*items):
    return b"(" + b"".join(items) + b"t"


def _name(module, name):
    return f"c{module}\n{name}\n".encode()
