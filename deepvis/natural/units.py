"""Units: an objective of the config -> the values of its units at every position of a layer's map.

A unit is what the job's objective names: a channel at all positions, a neuron (a channel at one position), a
direction among the channels, or a unit of a dense layer, whose map has one position.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from deepvis.config import schema
from deepvis.config.schema import Config
from deepvis.core import direction_files
from deepvis.core.errors import ConfigError
from deepvis.networks.backend import tf
from deepvis.networks.base import Size


@dataclass(frozen=True)
class Units:
    """Units of a layer, computed all at once."""

    read: Callable[[tf.Tensor], tf.Tensor]  # maps [B, h, w, C] -> values [B, i, j, units]
    first: Size = (0, 0)  # position in the map of the first value


def units(cfg: Config, filters: Sequence[int], map_size: Size) -> Units:
    """The units that a config's objective and filters name.

    Args:
      cfg: checked.
      filters: channels of the layer, or rows of the file of directions.
      map_size: height and width of the layer's map.

    Raises:
      ConfigError: the objective is not about units.
    """
    check(cfg)
    return KINDS[schema.component("objective", cfg.objective).name](cfg, filters, map_size)


def check(cfg: Config) -> None:
    """Refuse an objective that is not about units.

    Raises:
      ConfigError: it is not.
    """
    name = schema.component("objective", cfg.objective).name
    if name not in KINDS:
        raise ConfigError(
            f"objective={name}: natural examples are of units; expected {', '.join(sorted(KINDS))}"
        )


def _channels(cfg: Config, filters: Sequence[int], map_size: Size) -> Units:
    del cfg, map_size
    indices = list(filters)
    return Units(lambda maps: maps if _are_all(indices, maps) else tf.gather(maps, indices, axis=-1))


def _neurons(cfg: Config, filters: Sequence[int], map_size: Size) -> Units:
    asked = cfg.objective.row, cfg.objective.column
    row, column = (side // 2 if at is None else at for at, side in zip(asked, map_size, strict=True))

    def read(maps: tf.Tensor) -> tf.Tensor:
        return tf.gather(maps[:, row : row + 1, column : column + 1], list(filters), axis=-1)

    return Units(read, (row, column))


def _directions(cfg: Config, filters: Sequence[int], map_size: Size) -> Units:
    r"""Each direction's :math:`(a \cdot v) \max(0.1, \cos(a, v))^p` at every position."""
    del map_size
    rows = direction_files.read(cfg.objective.vectors)[list(filters)].astype(np.float32)
    power = float(cfg.objective.cosine_power)

    def read(maps: tf.Tensor) -> tf.Tensor:
        dots = tf.nn.conv2d(maps, tf.constant(rows.T[None, None]), 1, "VALID")
        if not power:
            return dots
        lengths = tf.norm(maps, axis=-1, keepdims=True) * tf.constant(np.linalg.norm(rows, axis=1))
        return dots * tf.maximum(0.1, dots / tf.maximum(lengths, 1e-30)) ** power

    return Units(read)


# By the objective's name; other objectives are about a whole layer, several channels or another picture.
KINDS: dict[str, Callable[[Config, Sequence[int], Size], Units]] = {
    "channel": _channels, "neuron": _neurons, "direction": _directions,
}  # fmt: skip


def _are_all(indices: Sequence[int], maps: tf.Tensor) -> bool:
    return list(indices) == list(range(int(maps.shape[-1] or 0)))
