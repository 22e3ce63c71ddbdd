"""Pictures: files and folders of the user's, checked and read as square images."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from deepvis.core.errors import ConfigError

MODES = {1: "L", 3: "RGB"}  # of Pillow, by channels of the network's image


def read(path: str | Path, size: int, channels: int) -> np.ndarray:
    """The largest square about a picture's centre, scaled: uint8 ``[size, size, channels]``.

    Args:
      path: of any file that Pillow reads; its orientation tag is obeyed.
      size: px.
      channels: 1 (the picture's lightness) or 3.

    Raises:
      ValueError: another number of channels.
    """
    if channels not in MODES:
        raise ValueError(f"{path}: a picture has 1 or 3 channels, this network's input {channels}")
    with Image.open(Path(path).expanduser()) as file:
        upright = ImageOps.exif_transpose(file).convert(MODES[channels])
    return np.asarray(ImageOps.fit(upright, (size, size))).reshape(size, size, channels)


def files(folder: str | Path) -> Iterator[Path]:
    """The pictures of a folder, by name; other files are passed over."""
    for path in sorted(path for path in Path(folder).expanduser().iterdir() if path.is_file()):
        try:
            with Image.open(path):
                yield path
        except (UnidentifiedImageError, OSError):
            continue


def check(key: str, value: str, channels: int) -> None:
    """Refuse a file that is no whole picture, or a network whose image is none.

    Raises:
      ConfigError: with the key, in one line.
    """
    _check_channels(key, value, channels)
    path = Path(value).expanduser()
    if not path.is_file():
        raise ConfigError(f"{key}={value}: no such file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as file:
                file.load()  # the whole of it: verify() would pass half a JPEG
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as err:
        raise ConfigError(f"{key}={value}: refused as a decompression bomb: {err}") from err
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as err:
        raise ConfigError(f"{key}={value}: not a whole picture that Pillow can read ({err})") from err


def check_folder(key: str, value: str, channels: int) -> None:
    """Refuse a folder without a picture, or a network whose image is none.

    Raises:
      ConfigError: with the key, in one line.
    """
    _check_channels(key, value, channels)
    if not Path(value).expanduser().is_dir():
        raise ConfigError(f"{key}={value}: no such folder")
    if next(files(value), None) is None:
        raise ConfigError(f"{key}={value}: expected a folder of pictures, and Pillow can read none in it")


def _check_channels(key: str, value: str, channels: int) -> None:
    if channels not in MODES:
        raise ConfigError(f"{key}={value}: a picture has 1 or 3 channels, this network's image {channels}")
