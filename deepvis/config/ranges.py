"""Limits: (key, value, what is expected) -> nothing, or a ConfigError that says all three in one line."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deepvis.core import picture_files
from deepvis.core.errors import ConfigError
from deepvis.core.names import nearest


def choice(key: str, value: Any, valid: Sequence[str]) -> None:
    """One of some words."""
    if value not in valid:
        raise ConfigError(f"{key}={value}: {nearest(str(value), valid)}")


def picture(key: str, value: Any) -> None:
    """A picture file that is read as a viewer shows it."""
    try:
        _check_picture(str(value))
    except ConfigError as err:
        raise ConfigError(f"{key}={err}") from err


def pictures(key: str, value: Any) -> None:
    """A folder with a picture in it, and none that cannot be read."""
    folder = Path(str(value)).expanduser()
    if not folder.is_dir():
        raise ConfigError(f"{key}={value}: no such folder")
    paths = picture_files.in_folder(folder)
    if not paths:
        raise ConfigError(f"{key}={value}: expected a folder of pictures, and Pillow can read none in it")
    for path in paths:
        try:
            _check_picture(str(path))
        except ConfigError as err:
            raise ConfigError(f"{key}={value}: {err}; mend that file or take it out of the folder") from err


def _check_picture(path: str) -> None:
    place = Path(path).expanduser()
    if not place.is_file():
        raise ConfigError(f"{path}: no such file")
    stat = place.stat()
    _check_once(path, stat.st_mtime_ns, stat.st_size)


@functools.cache
def _check_once(path: str, changed: int, size: int) -> None:
    """Every job of a sweep asks for the same pictures; a file that was changed is read again."""
    del changed, size
    picture_files.read(path)
