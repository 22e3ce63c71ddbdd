"""Inputs that are held while the image is optimized: a number, a list, an array, a file (.npy) -> its values.

In a resolved config a file carries the digest of what it holds: ``state.npy#sha256=1a2b3c4d5e6f``.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from deepvis.core.errors import ConfigError

MARK = "#sha256="
EXPECTED = "expected a number, a list of numbers, or a .npy file"


def value(name: str, given: Any) -> np.ndarray:
    """The values of an input.

    Args:
      name: of the input.
      given: what the config says, resolved or not.

    Raises:
      ConfigError: it is none, cannot be read, or is not what it was when the config was resolved.
    """
    if isinstance(given, str):
        path, _, digest = given.partition(MARK)
        found = _read(name, path)
        if digest and digest != _digest(found):
            raise ConfigError(
                f"model.inputs.{name}={given}: got a file that holds {_digest(found)} now; "
                f"take away {MARK}{digest} to take it as it is"
            )
        return found
    try:
        found = np.asarray(given)
    except ValueError as err:  # a ragged list
        raise ConfigError(f"model.inputs.{name}={given}: {EXPECTED}") from err
    return _numbers(name, given, found)


def resolved(name: str, given: Any) -> Any:
    """What a resolved config says of an input: its numbers, or which values they were."""
    if isinstance(given, str):
        return f"{given.partition(MARK)[0]}{MARK}{_digest(value(name, given))}"
    if isinstance(given, np.ndarray):
        return described(given)
    return given


def described(array: np.ndarray) -> str:
    """An array in one line: its kind, its shape, and a digest of its values."""
    return f"{array.dtype} {array.shape} {_digest(array)}"


def _read(name: str, path: str) -> np.ndarray:
    try:
        found = np.load(Path(path).expanduser(), allow_pickle=False)
    except (OSError, ValueError, EOFError) as err:
        reason = " ".join(str(err).split())[:200]
        raise ConfigError(f"model.inputs.{name}={path}: got {reason}, {EXPECTED}") from err
    if not isinstance(found, np.ndarray):
        raise ConfigError(f"model.inputs.{name}={path}: got an archive of arrays, {EXPECTED}")
    return _numbers(name, path, found)


def _numbers(name: str, given: Any, found: np.ndarray) -> np.ndarray:
    if found.dtype.kind not in "fiub":
        raise ConfigError(f"model.inputs.{name}={given}: got {found.dtype}, {EXPECTED}")
    if not np.all(np.isfinite(found)):
        raise ConfigError(f"model.inputs.{name}={given}: got NaN or infinity in it, {EXPECTED}")
    return found


def _digest(array: np.ndarray) -> str:
    data = np.ascontiguousarray(array)
    return hashlib.sha256(f"{data.dtype} {data.shape}".encode() + data.tobytes()).hexdigest()[:12]
