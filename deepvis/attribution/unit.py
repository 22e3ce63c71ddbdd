"""A unit of a network: images -> its scores, and their gradients by the image or by a layer's maps.

Images go through compiled functions in batches of one size. What comes out of an image is the same, to the
last bit, alone and in any batch.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepvis.attribution import relu_rules
from deepvis.core.errors import ConfigError
from deepvis.networks.backend import tf
from deepvis.networks.base import Activation, Activations

# (activations by layer, numbers of each image [B]) -> score [B]; no image sees another.
Score = Callable[[Mapping[str, Activation], Mapping[str, "tf.Tensor"]], "tf.Tensor"]
# (images [B, H, W, C], numbers [B]) -> tensors, each [B, ...]
Program = Callable[["tf.Tensor", Mapping[str, "tf.Tensor"]], Sequence["tf.Tensor"]]


@dataclass(frozen=True, eq=False)
class Compiled:
    """Units that share a form of score, compiled: traced once for each size of a batch."""

    network: Activations
    score: Program  # -> scores
    gradient: Callable[[str], Program]  # by rule -> scores, gradients by the image
    maps: Callable[[str], Program]  # by layer -> scores, its maps, gradients by them


@dataclass(frozen=True, eq=False)
class Unit:
    """One unit.

    Args:
      compiled: see `compiled`.
      numbers: of its score, each ``[1, ...]``.
      batch: images in a program, at most.
      device: ``cpu`` or ``gpu:n``.
    """

    compiled: Compiled
    numbers: Mapping[str, np.ndarray]
    batch: int = 16
    device: str = "cpu"

    @property
    def mean(self) -> np.ndarray:
        """Grey levels that 0 stands for, [C]."""
        return np.array(self.compiled.network.mean, np.float32)

    def scores(self, images: Iterable[np.ndarray]) -> np.ndarray:
        """Of each image [H, W, C] the score: float32 [B]."""
        return np.array([score for (score,) in self._rows(self.compiled.score, images)], np.float32)

    def gradients(self, images: Iterable[np.ndarray], rule: str = "plain") -> Iterator[tuple[Any, ...]]:
        """Of each image [H, W, C] its score, and the score's gradient by the image, [H, W, C].

        Args:
          images: are taken batch by batch.
          rule: what a gradient becomes at a ReLU; see `relu_rules`.

        Raises:
          ConfigError: a score or a gradient is NaN or infinite.
        """
        return self._rows(self.compiled.gradient(rule), images)

    def maps(self, images: Iterable[np.ndarray], layer: str) -> Iterator[tuple[Any, ...]]:
        """Of each image its score, a layer's maps [h, w, C] behind its nonlinearity, and their gradients."""
        return self._rows(self.compiled.maps(layer), images)

    def _rows(self, program: Program, images: Iterable[np.ndarray]) -> Iterator[tuple[Any, ...]]:
        rest, width, most = iter(images), 0, self.batch
        if isinstance(images, Sequence | np.ndarray):  # batches of one size leave nothing to be filled up
            most = -(-len(images) // -(-len(images) // most))
        while batch := list(itertools.islice(rest, most)):
            width = width or self._width(len(batch))
            padded = np.stack([*batch, *batch[-1:] * (width - len(batch))]).astype(np.float32)
            numbers = {key: tf.constant(np.repeat(each, width, axis=0)) for key, each in self.numbers.items()}
            with tf.device(self.device):
                found = [each.numpy() for each in program(tf.constant(padded), numbers)]
            if not all(np.isfinite(each[: len(batch)]).all() for each in found):
                raise ConfigError(
                    f"{self.compiled.network.name}: got NaN or infinity on an image, expected finite scores "
                    "and gradients; deepvis examples names the photograph"
                )
            yield from itertools.islice(zip(*found, strict=True), len(batch))

    def _width(self, images: int) -> int:
        """Images in a program: of a Keras network a power of two, as `ascent.program` has it."""
        exact = self.compiled.network.bitwise_any_batch
        return images if exact else max(2, 1 << (images - 1).bit_length())


def compiled(network: Activations, layers: Sequence[str], score: Score) -> Compiled:
    """Compile a form of score.

    Args:
      network: built, in float32.
      layers: that the score reads.
      score: (activations, numbers) -> [B].
    """

    def scored(images: tf.Tensor, numbers: Mapping[str, tf.Tensor], more: Sequence[str] = ()) -> Any:
        activations = network.activations(images, [*dict.fromkeys([*layers, *more])])
        return score(activations, numbers), activations

    @functools.cache
    def by_image(rule: str) -> Program:
        @tf.function(autograph=False)
        def gradient(images: tf.Tensor, numbers: Mapping[str, tf.Tensor]) -> Sequence[tf.Tensor]:
            with relu_rules.acting(rule):
                scores, _ = scored(images, numbers)
            relu_rules.check(rule, scores, images, network.name)
            # Not by a tape, which would pass over the rule.
            (found,) = tf.gradients(scores, images)
            if found is None:
                raise ConfigError(f"attribution: no gradient of {network.name} reaches its image")
            return scores, found

        return gradient

    @functools.cache
    def by_maps(layer: str) -> Program:
        @tf.function(autograph=False)
        def gradient(images: tf.Tensor, numbers: Mapping[str, tf.Tensor]) -> Sequence[tf.Tensor]:
            scores, activations = scored(images, numbers, [layer])
            maps = activations[layer].post
            (found,) = tf.gradients(scores, maps)
            if found is None:
                raise ConfigError(
                    f"attribution.layer={layer}: the unit's score has no gradient by the maps behind the "
                    "nonlinearity of that layer (of tokens they are copies); expected a layer of maps that "
                    f"leads to {', '.join(layers)}"
                )
            return scores, maps, found

        return gradient

    alone = tf.function(lambda images, numbers: [scored(images, numbers)[0]], autograph=False)
    return Compiled(network, alone, by_image, by_maps)
