"""Values of a layer at positions of photographs: (config, photographs) -> `LayerValues`, and some of them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from deepvis import networks
from deepvis.analyses.photographs import Read
from deepvis.attribution import layer_maps
from deepvis.config import schema
from deepvis.config.schema import Config
from deepvis.core.errors import ConfigError
from deepvis.networks.base import Size


@dataclass(frozen=True, repr=False)
class LayerValues:
    """A layer behind its nonlinearity, in float32; one photograph at a time, for all may fill the memory."""

    layer: str
    read: Read
    map_size: Size
    compute: Callable[[int], np.ndarray]  # number of a photograph -> [h, w, C]


@dataclass(frozen=True)
class Sampled:
    """Some positions of each photograph."""

    values: np.ndarray  # float32 [n, C]
    images: np.ndarray  # int [n]: number of the photograph
    places: np.ndarray  # int [n, 2]: row and column of the map


def of(cfg: Config, read: Read) -> LayerValues:
    """The layer of a config on some photographs."""
    network = networks.network(schema.plain(cfg.model))
    layer = network.layer(cfg.layer.name).name
    compute = layer_maps.compiled(network.build([layer], cfg.sides, "float32"), [layer], cfg.device)
    return LayerValues(layer, read, network.map_size(layer, cfg.sides),
                       lambda number: compute(read.images[number])[layer])  # fmt: skip


def sampled(of_layer: LayerValues, count: int, seed: int, edge: int = 0) -> Sampled:
    """Positions drawn without repetition from (seed, number of the photograph).

    Args:
      of_layer: the layer on photographs.
      count: of each photograph, at most; 0: all.
      seed: of the draw.
      edge: positions nearer than this to the edge of the map are left out, but of a vector.

    Raises:
      ConfigError: the map has no other position, or a value is not finite.
    """
    height, width = of_layer.map_size
    edge = 0 if (height, width) == (1, 1) else edge
    if min(height, width) <= 2 * edge:
        raise ConfigError(
            f"size: got a map of {height} x {width} positions in {of_layer.layer}, expected more than "
            f"{2 * edge} each way, for those at its edge are left out; take a larger size"
        )
    rows, columns = np.meshgrid(np.arange(edge, height - edge), np.arange(edge, width - edge), indexing="ij")
    known = np.stack([rows.ravel(), columns.ravel()], axis=1)
    values, images, places = [], [], []
    for number in range(len(of_layer.read.images)):
        maps = of_layer.compute(number)
        if not np.isfinite(maps).all():
            raise ConfigError(f"{of_layer.layer}: got NaN or infinity on the photograph "
                              f"{of_layer.read.names[number]}, expected finite activations")  # fmt: skip
        taken = known
        if 0 < count < len(known):
            drawn = np.random.default_rng([seed, number]).choice(len(known), count, replace=False)
            taken = known[np.sort(drawn)]
        values.append(maps[taken[:, 0], taken[:, 1]])
        images.append(np.full(len(taken), number))
        places.append(taken)
    return Sampled(np.concatenate(values), np.concatenate(images), np.concatenate(places))


def second_moment(of_layer: LayerValues) -> np.ndarray:
    """The mean of outer products of the values at all positions of all photographs: float64 [C, C]."""
    total, count = 0.0, 0
    for number in range(len(of_layer.read.images)):
        maps = of_layer.compute(number)
        flat = maps.reshape(-1, maps.shape[-1]).astype(float)
        total, count = total + flat.T @ flat, count + len(flat)
    return np.asarray(total / count)
