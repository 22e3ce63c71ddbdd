"""Pictures of the user's for the network: checked, and read as images of its size."""

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from deepvis.core import picture_files
from deepvis.core.errors import ConfigError
from deepvis.networks.base import Size


def read(path: str | Path, size: Size, channels: int) -> np.ndarray:
    """A picture cropped about its centre and scaled to a size: float32 ``[*size, channels]``, 0 to 255.

    Args:
      path: of the file; see `picture_files.fitted`.
      size: height and width, px.
      channels: 1 (the picture's lightness) or 3.

    Raises:
      ValueError: another number of channels.
    """
    if channels not in (1, 3):
        raise ValueError(f"{path}: a picture has 1 or 3 channels, this network's input {channels}")
    return picture_files.fitted(path, channels, *size)


def files(folder: str | Path) -> Sequence[Path]:
    """The pictures of a folder, by name; other files are passed over."""
    return picture_files.in_folder(Path(folder).expanduser())


def check(key: str, value: str, channels: int) -> None:
    """Refuse a file that is not read as a viewer shows it, or a network whose image is no picture.

    Raises:
      ConfigError: with the key, in one line.
    """
    _check_channels(key, value, channels)
    try:
        _check_file(str(value))
    except ConfigError as err:
        raise ConfigError(f"{key}={err}") from err


def check_folder(key: str, value: str, channels: int) -> None:
    """Refuse a folder without a picture, or with one that cannot be read.

    Raises:
      ConfigError: with the key, in one line.
    """
    _check_channels(key, value, channels)
    if not Path(value).expanduser().is_dir():
        raise ConfigError(f"{key}={value}: no such folder")
    paths = files(value)
    if not paths:
        raise ConfigError(f"{key}={value}: expected a folder of pictures, and Pillow can read none in it")
    for path in paths:
        try:
            _check_file(str(path))
        except ConfigError as err:
            raise ConfigError(f"{key}={value}: {err}; mend that file or take it out of the folder") from err


def _check_channels(key: str, value: str, channels: int) -> None:
    if channels not in (1, 3):
        raise ConfigError(f"{key}={value}: a picture has 1 or 3 channels, this network's image {channels}")


def _check_file(path: str) -> None:
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
