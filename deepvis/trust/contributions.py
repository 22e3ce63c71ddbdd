r"""How a unit comes to its value: images and units -> what each channel of each layer below gives to it.

The contribution of channel :math:`c` of a layer to a unit's value :math:`s` at its strongest position is

.. math:: g_c = \sum_{ij} \frac{\partial s}{\partial a_{ijc}} a_{ijc}

with :math:`a` the layer's activations. Two images that excite a unit through the same channels have
contributions in one direction, whatever their pixels are.

Source: gradient times activation, Ancona et al. 2018 (arXiv:1711.06104), of hidden channels as in Olah et al.
2018, "The Building Blocks of Interpretability".
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepvis.networks import Activation, Network
from deepvis.networks.backend import tf


@dataclass(frozen=True, eq=False)
class Paths:
    """What some images do in a network, each for a unit of its own."""

    values: np.ndarray  # [n] of the unit, at the strongest position of its map
    positions: np.ndarray  # [n, 2] row and column of it
    means: Mapping[str, np.ndarray]  # by layer, [n, C] means of its maps
    contributions: Mapping[str, np.ndarray]  # by layer below the unit's, [n, C]


def layers_below(network: Network, layer: str) -> list[str]:
    """The convolutions from the image up to a layer, without it and without those of other branches."""
    known = network.layers()
    return [name for name in network.below(layer) if "conv" in known[name].kind]


def summed(*read: tuple[Paths, np.ndarray]) -> list[str]:
    """The layers below in which a unit sums several channels, in their order.

    In others each unit is a channel of its own: where a convolution, its normalization and its ReLU are
    layers of their own, or a depthwise convolution follows. There all images of a unit come by one way.

    Args:
      read: what some images do, and the unit of each.
    """
    found = []
    for name in read[0][0].contributions:
        channels: dict[int, np.ndarray] = {}  # by unit, which give to it in any image
        for paths, units in read:
            for unit, given in zip(units.tolist(), paths.contributions[name] != 0, strict=True):
                channels[unit] = channels.get(unit, False) | given
        if any(each.sum() > 1 for each in channels.values()):
            found.append(name)
    return found


def reader(
    network: Network, layer: str, below: Sequence[str], size: tuple[int, int], batch: int = 16
) -> Callable[[Iterable[np.ndarray], np.ndarray], Paths]:
    """A function (images [H, W, C] centred, channels [n]) -> `Paths`, of one compiled graph.

    Args:
      network: that is asked; in float32.
      layer: of the units.
      below: the layers whose contributions are asked for.
      size: height and width of the images, px.
      batch: images in one pass. The last one is filled up, so nothing is traced twice.
    """
    built = network.build([*below, layer], size, "float32")

    @tf.function(autograph=False)
    def compute(images, channels):
        with tf.GradientTape() as tape:
            tape.watch(images)
            found = built.activations(images, [*below, layer])
            maps = found[layer].post
            flat = tf.reshape(maps, [batch, -1, maps.shape[-1]])
            own = tf.gather(flat, channels, axis=2, batch_dims=1)
            places = tf.argmax(own, axis=1, output_type=tf.int32)
            values = tf.gather(_before(found[layer], batch), channels, axis=2, batch_dims=1)
            strongest = tf.gather(values, places, axis=1, batch_dims=1)
        axes = {name: list(range(1, len(found[name].post.shape) - 1)) for name in below}
        given = {
            name: tf.reduce_sum(each, axes[name]) for name, each in _given(tape, strongest, found, below)
        }
        means = {name: tf.reduce_mean(found[name].post, axes[name]) for name in below}
        width = maps.shape[2] if len(maps.shape) == 4 else 1
        return (
            tf.gather(own, places, axis=1, batch_dims=1),
            tf.stack([places // width, places % width], axis=1),
            means,
            given,
        )

    def read(images: Iterable[np.ndarray], channels: np.ndarray) -> Paths:
        passes, rest, n = [], iter(images), len(channels)
        for first in range(0, n, batch):
            some = np.stack([*itertools.islice(rest, batch)])
            part = np.resize(some, (batch, *some.shape[1:])).astype("float32")
            units = np.resize(channels[first : first + batch], batch).astype("int32")
            passes.append(compute(tf.constant(part), tf.constant(units)))
        values, positions, means, given = zip(*passes, strict=True)
        return Paths(
            np.concatenate(values)[:n],
            np.concatenate(positions)[:n],
            {name: np.concatenate([each[name] for each in means])[:n] for name in below},
            {name: np.concatenate([each[name] for each in given])[:n] for name in below},
        )

    return read


def _given(
    tape: tf.GradientTape, value: tf.Tensor, found: Mapping[str, Activation], below: Sequence[str]
) -> Iterator[tuple[str, tf.Tensor]]:
    """Gradient times value of each layer, at the tensor that those above it read; the other may be a copy.

    Gradient times value is the same before and behind a ReLU.
    """
    pairs = {
        name: [each for each in (found[name].post, found[name].pre) if each is not None] for name in below
    }
    slopes: Any = tape.gradient(value, pairs)
    for name, read in pairs.items():
        products = [s * each for s, each in zip(slopes[name], read, strict=True) if s is not None]
        yield name, products[0] if products else tf.zeros_like(read[0])


def _before(activation: Activation, batch: int) -> tf.Tensor:
    """Values whose gradient does not vanish where the unit is silent, [B, positions, C]."""
    maps = activation.post if activation.pre is None else activation.pre
    return tf.reshape(maps, [batch, -1, maps.shape[-1]])
