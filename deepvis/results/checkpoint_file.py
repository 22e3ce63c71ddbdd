"""Checkpoint files: a header and named arrays in one file, written whole or not at all.

``.checkpoint-<id>.npz`` in a sweep's folder, of a batch of images that were being optimized. What is in it is
said by `deepvis.sweeps.checkpoints`. It is a zip file, whose members have a check sum each.
"""

import hashlib
import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from deepvis.core import files
from deepvis.core.errors import DeepvisError, first_line

HEADER = "header"


class TornError(DeepvisError):
    """A checkpoint that cannot be read."""


def path(folder: Path, identity: object) -> Path:
    """The file in a sweep's folder for what has this identity."""
    return folder / f".checkpoint-{hashlib.sha256(repr(identity).encode()).hexdigest()[:12]}.npz"


def paths(folder: Path) -> list[Path]:
    """All checkpoints in a sweep's folder."""
    return sorted(folder.glob(".checkpoint-*.npz"))


def write(target: Path, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Write a checkpoint, on disk before it has its name; the one that was there stays until then.

    Raises:
      OSError: the disk is full, or the folder cannot be written.
    """
    savez: Any = np.savez  # whose stub takes an array's name for an option
    text = np.frombuffer(json.dumps(header).encode(), np.uint8)
    with files.replacing(target) as temporary, temporary.open("wb") as file:
        savez(file, **{HEADER: text}, **arrays)


def read_header(target: Path) -> dict[str, Any]:
    """The header alone.

    Raises:
      TornError: it cannot be read.
    """
    header = json.loads(_read(target, [HEADER])[HEADER].tobytes())
    if not isinstance(header, dict):
        raise TornError(f"{target.name}: no checkpoint")
    return header


def read_arrays(target: Path) -> dict[str, np.ndarray]:
    """All arrays.

    Raises:
      TornError: one of them cannot be read.
    """
    arrays = _read(target, None)
    del arrays[HEADER]
    return arrays


def _read(target: Path, names: list[str] | None) -> dict[str, np.ndarray]:
    try:
        with target.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            return {name: file[name] for name in (file.files if names is None else names)}
    except (
        OSError,
        ValueError,
        KeyError,
        EOFError,
        zipfile.BadZipFile,
        zlib.error,
        NotImplementedError,
    ) as err:
        raise TornError(f"{target.name}: {first_line(err)}") from err
