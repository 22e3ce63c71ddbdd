"""The photographs that an analysis looks at, read: of a config, or as a call in Python gives them."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deepvis import data, networks
from deepvis.config import schema
from deepvis.config.schema import Config, Settings
from deepvis.core import picture_files
from deepvis.core.errors import ConfigError
from deepvis.data import Photographs
from deepvis.networks.base import Size

MOST = 4 * 2**30  # bytes of all images in memory


@dataclass(frozen=True)
class Read:
    """Photographs as images of one size, and what was left out."""

    names: Sequence[str]
    images: np.ndarray  # float32 [n, H, W, C], grey levels from 0 to 255
    digest: str = ""  # of all photographs of a config
    told: Sequence[str] = ()  # lines that name broken files


def of_config(cfg: Config) -> Read:
    """All photographs of a config.

    Raises:
      ConfigError: there are none, more than memory holds, or the network's image is no picture.
    """
    return _all(data.photographs(schema.plain(cfg.data)), cfg.sides, _channels(cfg.model))


def given(images: Any, cfg: Config) -> Read:
    """The images of a call, ``[n, H, W, C]``.

    Args:
      images: ``"photos"``, a folder, a picture file or a list of them; or an array.
      cfg: of the network and the size.

    Raises:
      ConfigError: they are nothing of that.
    """
    channels = networks.network(schema.plain(cfg.model)).channels
    if not isinstance(images, str | os.PathLike | Mapping):
        return _of_array_or_files(images, cfg, channels)
    if isinstance(images, Mapping) or images == "photos" or Path(images).expanduser().is_dir():
        return of_config(cfg)  # whose data the call has chosen by them, see `choice`
    return _of_files([images], cfg.sides, _channels(cfg.model))


def choice(images: Any) -> Any:
    """What images are as a choice of conf/data; ``"photos"`` where they are no photographs of a folder."""
    if isinstance(images, Mapping):
        return images
    if isinstance(images, str | os.PathLike) and images != "photos" and Path(images).expanduser().is_dir():
        return {"preset": "folder", "path": str(images)}
    return "photos"


def _channels(model: Settings) -> int:
    channels = networks.network(schema.plain(model)).channels
    if channels not in (1, 3):
        raise ConfigError(f"data: a photograph has 1 or 3 channels, this network's image {channels}")
    return channels


def _all(photographs: Photographs, size: Size, channels: int) -> Read:
    needed = 4 * len(photographs) * size[0] * size[1] * channels
    if needed > MOST:
        raise ConfigError(
            f"data: got {len(photographs):,} photographs, which are {needed / 2**30:.1f} GiB at this size; "
            "expected at most 4 GiB: take fewer, or a smaller size"
        )
    kept, images, broken = [], [], list(photographs.broken)
    for index, path in enumerate(photographs.paths):
        try:
            images.append(photographs.image(index, size, channels))
            kept.append(photographs.names[index])
        except ConfigError as err:
            broken.append((path, str(err)))
    if not images:
        raise ConfigError(f"data: got no photograph that can be read of {photographs.place}; expected one")
    told = left_out(broken)
    return Read(kept, np.stack(images), photographs.digest, told)


def left_out(broken: Sequence[tuple[Any, str]]) -> list[str]:
    """A line for each file that was left out, with the reason, which may begin with its path."""
    return [f"left out  {path}: {reason.removeprefix(f'{path}: ')}" for path, reason in broken]


def _of_files(paths: Sequence[Any], size: Size, channels: int) -> Read:
    pixels = [picture_files.fitted(str(path), channels, *size) for path in paths]
    names = [Path(path).name for path in paths]
    whole = [name if names.count(name) == 1 else str(path) for name, path in zip(names, paths, strict=True)]
    return Read(whole, np.stack(pixels))


def _of_array_or_files(images: Any, cfg: Config, channels: int) -> Read:
    size = cfg.sides
    if (
        isinstance(images, Sequence)
        and images
        and all(isinstance(each, str | os.PathLike) for each in images)
    ):
        return _of_files(images, size, _channels(cfg.model))
    array = np.asarray(images)
    expected = (
        f"picture files, or an array [n, {size[0]}, {size[1]}, {channels}] of finite grey levels, 0 to 255"
    )
    if array.dtype.kind not in "fiu" or array.ndim != 4 or not len(array):
        raise ConfigError(
            f"images: got {type(images).__name__} of {array.dtype} {array.shape}, expected {expected}"
        )
    if array.shape[1:] != (*size, channels):
        raise ConfigError(f"images: got an array of {array.shape}, expected {expected}; set size")
    if not np.isfinite(array).all() or array.min() < 0 or array.max() > 255:
        raise ConfigError(f"images: got values from {array.min():g} to {array.max():g}, expected {expected}")
    if array.max() <= 1 and array.any():
        raise ConfigError(f"images: got values up to {array.max():g}, expected {expected}: multiply by 255")
    return Read([f"image {k}" for k in range(len(array))], array.astype(np.float32))
