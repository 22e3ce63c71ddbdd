"""Folders of analyses: what a command writes below ``outputs`` and ``save`` anywhere, the same files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from deepvis.core import saved_folder

LONGEST = 60  # characters of a file's name, of up to four bytes each


class Analysis(Protocol):
    """What all records of analyses have."""

    def pictures(self) -> Mapping[str, np.ndarray]:
        """uint8 [H, W, 3] by file name, without ``.png``."""
        ...

    def write(self, folder: Path) -> None:
        """Arrays and tables."""
        ...

    def metrics(self) -> Mapping[str, float]:
        """What a run is compared by."""
        ...

    def params(self) -> Mapping[str, Any]:
        """Choices that are no job's, by group."""
        ...

    def told(self) -> Sequence[str]:
        """What should be known of it, a line each."""
        ...


def save(found: Analysis, folder: str | Path) -> Path:
    """Write all of it into a folder, whole or not at all; one that was saved before is replaced.

    Args:
      found: the record.
      folder: it is made.

    Returns:
      The folder.

    Raises:
      ConfigError: files are there that deepvis did not write, or that were changed since.
    """
    return saved_folder.save(folder, found.write, found.pictures())


def file_names(captions: Sequence[str]) -> list[str]:
    """Captions, or names of layers or photographs, as names of files, each another one.

    Example:
      >>> file_names(["b/c", "b_c"])
      ['b_c', 'b_c_']
    """
    names: list[str] = []
    taken: set[str] = set()
    for caption in captions:
        name = "".join(c if c.isalnum() or c in " ()-_." else "_" for c in caption)[-LONGEST:]
        while name.lower() in taken:  # of which a file system may make no difference
            name += "_"
        taken.add(name.lower())
        names.append(name)
    return names
