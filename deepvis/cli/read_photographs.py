"""The photographs of a config, read: what commands share that look at photographs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deepvis import data, networks
from deepvis.config import schema
from deepvis.config.schema import Config
from deepvis.core import progress
from deepvis.core.errors import ConfigError

MOST = 4 * 2**30  # bytes of all images in memory


@dataclass(frozen=True)
class Read:
    """Photographs as images of one size, and what was left out."""

    place: str
    names: Sequence[str]
    images: np.ndarray  # float32 [n, H, W, C], grey levels from 0 to 255
    digest: str  # of all photographs
    said: Sequence[str]  # lines that name broken files


def read(cfg: Config) -> Read:
    """All photographs of a config.

    Raises:
      ConfigError: there are none, more than memory holds, or the network's image is no picture.
    """
    channels = networks.network(schema.plain(cfg.model)).channels
    if channels not in (1, 3):
        raise ConfigError(f"data: a photograph has 1 or 3 channels, this network's image {channels}")
    photographs = data.photographs(schema.plain(cfg.data))
    needed = 4 * len(photographs) * cfg.sides[0] * cfg.sides[1] * channels
    if needed > MOST:
        raise ConfigError(
            f"data: got {len(photographs):,} photographs, which are {needed / 2**30:.1f} GiB at this size; "
            "expected at most 4 GiB: take fewer, or a smaller size"
        )
    kept, images, broken = [], [], list(photographs.broken)
    with progress.doing(f"reading {len(photographs)} photographs"):
        for index, path in enumerate(photographs.paths):
            try:
                images.append(photographs.image(index, cfg.sides, channels))
                kept.append(photographs.names[index])
            except ConfigError as err:
                broken.append((path, str(err)))
    if not images:
        raise ConfigError(f"data: got no photograph that can be read of {photographs.place}; expected one")
    said = [f"left out  {path}: {reason}" for path, reason in broken]
    return Read(photographs.place, kept, np.stack(images), photographs.digest, said)
