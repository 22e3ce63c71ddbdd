"""Limits: (key, value, what is expected) -> nothing, or a ConfigError that says all three in one line."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from deepvis.core.errors import ConfigError
from deepvis.core.names import nearest


def choice(key: str, value: Any, valid: Sequence[str]) -> None:
    """One of some words."""
    if value not in valid:
        raise ConfigError(f"{key}={value}: {nearest(str(value), valid)}")


def picture(key: str, value: Any) -> None:
    """A picture that Pillow reads, whole."""
    path = Path(str(value)).expanduser()
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


def pictures(key: str, value: Any) -> None:
    """A folder with a picture in it."""
    folder = Path(str(value)).expanduser()
    if not folder.is_dir():
        raise ConfigError(f"{key}={value}: no such folder")
    for path in sorted(path for path in folder.iterdir() if path.is_file()):
        try:
            with Image.open(path):
                return
        except (UnidentifiedImageError, OSError):
            continue
    raise ConfigError(f"{key}={value}: expected a folder of pictures, and Pillow can read none in it")
