"""Files of directions among a layer's channels: a plain ``.npy`` [n, C], or deepvis' own ``.npz``.

The ``.npz`` has ``directions`` [n, C] beside other arrays, and ``made``, how they were made, as JSON. What
they are of is checked where they are used: those of another layer would give pictures that mean nothing.
"""

import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

DIRECTIONS, MADE = "directions", "made"


def read(path: str | Path) -> np.ndarray:
    """The directions of a file, a row a direction.

    Raises:
      OSError: it cannot be read.
      ValueError: it is neither of the two.
    """
    try:
        found: Any = np.load(Path(path).expanduser(), allow_pickle=False)
        if isinstance(found, np.ndarray):
            return found
        with found:
            return np.asarray(found[DIRECTIONS])
    except (KeyError, EOFError, zipfile.BadZipFile, zlib.error) as err:
        raise ValueError(f"expected a .npy, or an .npz with {DIRECTIONS}") from err


def made(path: str | Path) -> Mapping[str, Any]:
    """How they were made: model, layer, method ...; empty where the file does not say.

    Raises:
      OSError: it cannot be read.
      ValueError: what it says is no JSON.
    """
    with Path(path).expanduser().open("rb") as file:
        if not zipfile.is_zipfile(file):
            return {}
        file.seek(0)
        with np.load(file, allow_pickle=False) as arrays:
            found = json.loads(str(arrays[MADE])) if MADE in arrays else {}
    return found if isinstance(found, dict) else {}


def write(path: Path, directions: np.ndarray, how: Mapping[str, Any], **more: np.ndarray) -> None:
    """Write deepvis' own form.

    Args:
      path: ends in ``.npz``.
      directions: ``[n, C]``.
      how: they were made, as JSON can have it; ``layer`` is compared where they are used.
      more: other arrays.
    """
    arrays: dict[str, Any] = {DIRECTIONS: directions, MADE: np.array(json.dumps(how)), **more}
    np.savez(path, **arrays)
