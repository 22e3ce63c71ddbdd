"""Natural values: photographs -> how strongly each excites some units, and what an observer sees in it.

One forward pass over all photographs; only numbers are kept, so memory grows by some kB a photograph.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepvis.core.counting import Tell, nobody
from deepvis.core.errors import ConfigError
from deepvis.data import Photographs, batches
from deepvis.networks import Network
from deepvis.networks.backend import tf

BATCH = 16
OBSERVED = 4  # layers whose means an observer compares, evenly spread over its upper half

# centred images [B, H, W, C] -> [B, features]
Observer = Callable[[Any], Any]


@dataclass(frozen=True, eq=False)
class NaturalValues:
    """What was found of the photographs that could be read."""

    indices: np.ndarray  # [n] which photograph each row is
    values: np.ndarray  # [n, C] of each channel, at the strongest position of its map
    broken: tuple[tuple[str, str], ...]  # photographs that could not be read, and why


def natural_values(
    network: Network,
    layer: str,
    photographs: Photographs,
    size: tuple[int, int],
    tell: Tell = nobody,
) -> NaturalValues:
    """The values of all channels of a layer for all photographs, scaled to one size.

    Args:
      network: in float32.
      layer: of the units; its values behind the nonlinearity are taken.
      photographs: cropped about their centre.
      size: height and width, px.
      tell: is called with the photographs that were passed since, and with 0.

    Raises:
      ConfigError: a channel is NaN or infinite on a photograph.
    """
    built = network.build([layer], size, "float32")

    @tf.function(autograph=False)
    def strongest(images):
        maps = built.activations(images - tf.constant(network.centre), [layer])[layer].post
        return tf.reduce_max(tf.reshape(maps, [BATCH, -1, maps.shape[-1]]), axis=1)

    indices, values, broken = [], [], []
    for batch in batches(photographs, size, BATCH, network.channels):
        is_there = batch.indices >= 0
        indices.append(batch.indices[is_there])
        values.append(strongest(batch.images).numpy()[is_there])
        if not (is_finite := np.isfinite(values[-1]).all(axis=1)).all():
            name = photographs.names[indices[-1][~is_finite][0]]
            raise ConfigError(
                f"{layer}: got NaN or infinity on the photograph {name}, expected finite activations"
            )
        broken += [(photographs.names[index], reason) for index, reason in batch.broken]
        tell(len(indices[-1]) + len(batch.broken), 0)
    return NaturalValues(np.concatenate(indices), np.concatenate(values), tuple(broken))


def network_observer(network: Network, size: tuple[int, int]) -> Callable[[np.ndarray], np.ndarray]:
    """What a network sees in images: (grey levels [n, H, W, C]) -> ``[n, features]``.

    The features are the means of the maps of some layers of its upper half, each layer's of length 1.
    """
    known: Mapping[str, Any] = network.layers()
    upper = [name for name, layer in known.items() if layer.stride is not None]
    upper = upper[len(upper) // 2 :]
    names: Sequence[str] = [upper[k] for k in np.unique(np.linspace(0, len(upper) - 1, OBSERVED).astype(int))]
    built = network.build(names, size, "float32")

    @tf.function(autograph=False)
    def means(images):
        found = built.activations(images - tf.constant(network.centre), names)
        axes = list(range(1, 3))
        return tf.concat([tf.math.l2_normalize(tf.reduce_mean(found[n].post, axes), -1) for n in names], -1)

    def observe(images: np.ndarray) -> np.ndarray:
        parts = []
        for first in range(0, len(images), BATCH):
            part = images[first : first + BATCH]
            filled = np.resize(part, (BATCH, *images.shape[1:])).astype("float32")
            parts.append(means(tf.constant(filled)).numpy()[: len(part)])
        return np.concatenate(parts)

    return observe
