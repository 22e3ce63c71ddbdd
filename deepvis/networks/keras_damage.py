"""Damaged weights: a model some of whose weights are NaN, in which only what they touch is NaN.

A gradient passes through every channel of a layer, and zero times NaN is NaN: one such weight would end the
images of all channels. So layers compute with zeros in their place, and the outputs are marked.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from deepvis.core.errors import ConfigError
from deepvis.networks.base import Activation

LOG = logging.getLogger(__name__)
PROBES = 2  # sets of random weights in the place of damaged ones
NEAR = 1e-4  # of a channel's largest value; what differs by less differs by rounding
Maps = Mapping[str, Activation]


@dataclass(frozen=True, eq=False)
class Damage:
    """A variable with damaged weights."""

    variable: Any
    array: np.ndarray
    mask: np.ndarray  # where they are


def damage(model: keras.Model) -> list[Damage]:
    """The variables of a model with a weight that is NaN, or a kernel's that is infinite."""
    arrays = ((each, np.asarray(each.value)) for each in model.weights)
    return [Damage(each, array, mask) for each, array in arrays if (mask := _damaged(array)).any()]


def without(found: Sequence[Damage], seed: int | None = None) -> keras.StatelessScope:
    """While it lasts, layers compute with zeros, or random numbers, in the place of damaged weights.

    What they write to variables meanwhile does not last.
    """
    rng = np.random.default_rng(seed)
    draws = [0.0 if seed is None else rng.normal(size=each.mask.shape) for each in found]
    return keras.StatelessScope([
        (each.variable, tf.constant(np.where(each.mask, draw, each.array), each.variable.dtype))
        for each, draw in zip(found, draws, strict=True)
    ])  # fmt: skip


def marked(
    compute: Callable[[tf.Tensor, int | None], Maps],
    found: Sequence[Damage],
    shape: tuple[int, int, int],
    model: str,
) -> Callable[[tf.Tensor], Maps]:
    """The activations of a model with damaged weights; the channels that depend on them are NaN.

    Args:
      compute: (image, seed of what is in the place of damaged weights; None: zeros) -> activations.
      found: its damage.
      shape: of the image, (H, W, C).
      model: its name.

    Raises:
      ConfigError: a layer that is asked for has no channel that does not depend on a damaged weight.
    """
    if not found:
        return lambda image: compute(image, None)
    image = tf.constant(np.random.default_rng(0).normal(0, 50, (2, *shape)).astype(np.float32))
    expected = compute(image, None)
    touched = {name: [_no_channel(maps) for maps in both] for name, both in expected.items()}
    for seed in range(PROBES):
        for name, both in compute(image, seed).items():
            for mask, one, other in zip(touched[name], both, expected[name], strict=True):
                if one is not None and other is not None:
                    mask |= _differ(one.numpy(), other.numpy())
    for name, masks in touched.items():
        _tell(name, model, ", ".join(each.variable.path for each in found), *masks)

    def activations(image: tf.Tensor) -> Maps:
        maps = compute(image, None)
        return {name: Activation(*map(_nan_in, touched[name], both)) for name, both in maps.items()}

    return activations


def _no_channel(maps: tf.Tensor | None) -> np.ndarray:
    return np.zeros(0 if maps is None else int(maps.shape[-1] or 0), bool)


def _nan_in(mask: np.ndarray, maps: tf.Tensor | None) -> Any:
    return None if maps is None else tf.where(mask, np.float32(np.nan), maps)


def _damaged(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind in "biu":
        return np.zeros(array.shape, bool)
    # An infinite bias shuts a unit off, which is meant; what is infinite and multiplied makes NaN.
    return np.isnan(array) if array.ndim < 2 else ~np.isfinite(array)


def _differ(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Which channels differ: [B, h, w, C] twice -> [C]."""
    same = np.abs(found - expected) <= NEAR * np.abs(expected).max(axis=(0, 1, 2))  # false for NaN
    return ~same.all(axis=(0, 1, 2))


def _tell(layer: str, model: str, damage: str, before: np.ndarray, behind: np.ndarray) -> None:
    """Say which of a layer's channels are NaN, before and behind its nonlinearity; refuse where all are."""
    before = before if before.size else behind  # where there is nothing before the nonlinearity
    if before.all() and behind.all():
        raise ConfigError(
            f"{layer} of {model}: every channel is NaN, because weights of {damage} are NaN or infinite; "
            "take a layer that does not depend on them, or mend the weights"
        )
    if before.any() or behind.any():
        lost = _numbers(before)
        if not np.array_equal(before, behind):
            lost = f"{lost} before its nonlinearity and {_numbers(behind)} behind it"
        LOG.warning("%s of %s: weights of %s are NaN or infinite; so is channel %s, and no other",
                    layer, model, damage, lost)  # fmt: skip


def _numbers(mask: np.ndarray) -> str:
    return ", ".join(map(str, np.flatnonzero(mask))) or "none"
