"""Folders of analyses: what a command writes below ``outputs`` and ``save`` anywhere, the same files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from deepvis.core import images
from deepvis.results import saved_folder

FILE = "saved.json"  # in a folder that was saved: what deepvis has written there
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


def write(found: Analysis, folder: Path) -> None:
    """Pictures, arrays and tables into a folder."""
    found.write(folder)
    for name, picture in found.pictures().items():
        images.save(folder / f"{name}.png", picture)


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
    with saved_folder.written(folder, FILE) as partial:
        write(found, partial)
    return Path(folder).expanduser()


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
