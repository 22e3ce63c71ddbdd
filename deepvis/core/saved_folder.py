"""Folders that ``save`` of a record in Python writes: whole or not at all, and over nothing but its own."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from deepvis.core import files, images
from deepvis.core.errors import ConfigError
from deepvis.core.version import __version__

SAVED = "saved.json"  # in a folder of an analysis: what deepvis has written there


def save(folder: str | Path, write: Callable[[Path], None], pictures: Mapping[str, np.ndarray]) -> Path:
    """Write a record's files and pictures into a folder, whole or not at all; one saved before is replaced.

    Args:
      folder: it is made.
      write: writes arrays and tables into it.
      pictures: uint8 [H, W, 3] by file name, without ``.png``.

    Returns:
      The folder.

    Raises:
      ConfigError: files are there that deepvis did not write, or that were changed since.
    """
    with written(folder, SAVED) as partial:
        write(partial)
        for name, picture in pictures.items():
            images.save(partial / f"{name}.png", picture)
    return Path(folder).expanduser()


@contextmanager
def written(folder: str | Path, name: str) -> Iterator[Path]:
    """A folder to write into, which takes the other's place at the end.

    Args:
      folder: it is made; one that was saved before is replaced.
      name: of the file that says what was written.

    Raises:
      ConfigError: files are there that deepvis did not write, or that were changed since.
    """
    folder = Path(folder).expanduser()
    _check_free(folder, name)
    files.check_folder(folder, "save elsewhere")
    with files.replacing_folder(folder) as partial:
        yield partial
        entry = {"deepvis": __version__, "files": files.checksums(partial)}
        files.write_text(partial / name, json.dumps(entry, indent=1))


def _check_free(folder: Path, name: str) -> None:
    """Refuse a folder with anything that ``save`` did not write there, or that was changed since."""
    if not folder.exists() and not folder.is_symlink():
        return
    if folder.is_symlink() or not folder.is_dir():
        raise ConfigError(f"save: {folder}: got a file or a link, expected a folder or nothing")
    try:
        known = json.loads((folder / name).read_bytes())["files"]
    except (OSError, ValueError, KeyError, TypeError):
        known = {}
    for path in sorted(folder.rglob("*")):
        below = path.relative_to(folder).as_posix()
        if path.is_dir() and not path.is_symlink():
            continue
        if path.is_symlink() or (below != name and tuple(known.get(below, ())) != files.checksum(path)):
            raise ConfigError(
                f"save: {path} is there, and deepvis did not write it, or it was changed since; expected a "
                "new folder, or one that save wrote"
            )
