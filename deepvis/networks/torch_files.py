"""PyTorch's files: the arrays of a .pth file, read without PyTorch and without running code that it holds.

    read(path) -> {name: array}

A .pth file is a pickle that names classes and functions, and storages of numbers beside it: in a zip archive
(since PyTorch 1.6) or behind the pickle (before). Of the names only the few that a state dict needs are known
here, and each stands for something of our own; a file with any other is refused.
"""

import io
import math
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C  # of the files before PyTorch 1.6
VERSION = 1001
DTYPES = {"FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2", "LongStorage": "<i8"}


@dataclass(frozen=True)
class Storage:
    """Numbers that are read later."""

    dtype: str
    key: str
    numbers: int


@dataclass(frozen=True)
class Tensor:
    """A view of a storage."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]  # in numbers

    def array(self, data: bytes) -> np.ndarray:
        """Its numbers, copied out of the storage's bytes."""
        numbers = np.frombuffer(data, self.storage.dtype)
        if len(numbers) != self.storage.numbers:
            raise ValueError(f"a storage of {len(numbers)} numbers, expected {self.storage.numbers}")
        whole = all(type(n) is int and n >= 0 for n in (self.offset, *self.shape, *self.strides))
        if not whole or len(self.shape) != len(self.strides):
            raise ValueError(f"a tensor of shape {self.shape} and strides {self.strides}")
        last = self.offset + sum((n - 1) * step for n, step in zip(self.shape, self.strides, strict=True))
        if math.prod(self.shape) and last >= len(numbers):
            raise ValueError(f"a tensor of shape {self.shape} reaches beyond its {len(numbers)} numbers")
        strides = [step * numbers.itemsize for step in self.strides]
        return np.lib.stride_tricks.as_strided(numbers[self.offset :], self.shape, strides).copy()


def read(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a state dict.

    Args:
      path: of a .pth file, of either format.

    Raises:
      ValueError: it is none, is damaged, holds something else than named tensors, or names a class or a
        function that a state dict does not need; nothing that it names was run.
    """
    try:
        with path.open("rb") as file:
            tensors, data = _zipped(file) if zipfile.is_zipfile(file) else _legacy(file)
        if not isinstance(tensors, Mapping):
            raise ValueError(f"holds a {type(tensors).__name__}, expected a state dict: names and tensors")
        wrong = [name for name, each in tensors.items() if not isinstance(each, Tensor)]
        if wrong:
            raise ValueError(f"{wrong[0]} is no tensor; expected a state dict: names and tensors")
        return {str(name): each.array(data(each.storage)) for name, each in tensors.items()}
    except (OSError, ValueError):
        raise
    except Exception as err:  # there is no limit to how a damaged file can break its parser
        raise ValueError(f"not a whole .pth file: {type(err).__name__}: {err}") from err


class _Unpickler(pickle.Unpickler):
    """Builds containers, numbers, text and `Tensor`; refuses every other name."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, strides, *_: Tensor(storage, offset, shape, strides)
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        raise ValueError(f"refused: it names {module}.{name}, which a state dict does not need")

    def persistent_load(self, pid: Any) -> Storage:
        kind, dtype, key, _, numbers, *view = pid
        if kind != "storage" or dtype not in DTYPES.values() or any(each is not None for each in view):
            raise ValueError(f"a storage of an unknown kind: {pid}")
        return Storage(dtype, str(key), int(numbers))


def _zipped(file: BinaryIO) -> tuple[Any, Callable[[Storage], bytes]]:
    with zipfile.ZipFile(file) as archive:
        members = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    if members.get("byteorder", b"little") != b"little":
        raise ValueError("its numbers are big-endian")
    tensors = _Unpickler(io.BytesIO(members["data.pkl"])).load()
    return tensors, lambda storage: members[f"data/{storage.key}"]


def _legacy(file: BinaryIO) -> tuple[Any, Callable[[Storage], bytes]]:
    file.seek(0)
    magic, version = (_Unpickler(file).load() for _ in range(2))
    if (magic, version) != (MAGIC, VERSION):
        raise ValueError(f"not a .pth file: begins with {magic}, {version}")
    machine = _Unpickler(file).load()
    if not machine["little_endian"]:
        raise ValueError("its numbers are big-endian")
    unpickler = _Unpickler(file)
    tensors = unpickler.load()
    sizes = {each.storage.key: np.dtype(each.storage.dtype).itemsize for each in tensors.values()
             if isinstance(each, Tensor)}  # fmt: skip
    data = {}
    for key in _Unpickler(file).load():
        numbers = int.from_bytes(file.read(8), "little")
        data[key] = file.read(numbers * sizes[key])
    return tensors, lambda storage: data[storage.key]
