"""Damaged weights: a model some of whose weights are NaN -> `Activations`, in which what they touch is NaN.

A gradient passes through every channel of a layer, and zero times NaN is NaN: one such weight would end the
images of all channels. So the network is built without these weights, and its outputs are marked.
"""

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace

import keras
import numpy as np
import tensorflow as tf

from deepvis.core.errors import ConfigError
from deepvis.networks.base import Activation, Activations

LOG = logging.getLogger(__name__)
PROBES = 2  # sets of random weights in the place of damaged ones
NEAR = 1e-4  # of a channel's largest value; what differs by less differs by rounding


def built(
    model: keras.Model, build: Callable[[keras.Model], Activations], layers: Sequence[str], size: int
) -> Activations:
    """A model built by a function; where it has damaged weights, the channels that depend on them are NaN.

    Args:
      model: as the user has it; it is not changed.
      build: model -> activations.
      layers: that are asked for.
      size: px of the image.

    Raises:
      ConfigError: a layer that is asked for has no channel that does not depend on a damaged weight.
    """
    damage = list(_damage(model))
    if not damage:
        return build(model)
    sound = build(_mended(model, None))
    shape = (2, size, size, len(sound.mean))
    image = tf.constant(np.random.default_rng(0).normal(0, 50, shape).astype(np.float32))
    expected = sound.activations(image, layers)
    touched = {
        name: tuple(np.zeros(int(each.shape[-1] or 0), bool) for each in maps)
        for name, maps in expected.items()
    }
    for seed in range(PROBES):
        found = build(_mended(model, seed)).activations(image, layers)
        for name, masks in touched.items():
            for mask, one, other in zip(masks, found[name], expected[name], strict=True):
                mask |= _differ(one.numpy(), other.numpy())
    for name, (before, behind) in touched.items():
        _tell(name, model.name, ", ".join(damage), before, behind)

    def activations(image: tf.Tensor, names: Collection[str]) -> Mapping[str, Activation]:
        found = sound.activations(image, names)
        marked = {}
        for name, maps in found.items():
            both = zip(touched[name], maps, strict=True)
            marked[name] = Activation(*(tf.where(mask, np.float32(np.nan), each) for mask, each in both))
        return marked

    return replace(sound, activations=activations)


def _damage(model: keras.Model) -> Iterator[str]:
    """Names of the variables with a damaged weight."""
    for variable, array in zip(model.weights, model.get_weights(), strict=True):
        if _damaged(array).any():
            yield variable.path


def _damaged(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind in "biu":
        return np.zeros(array.shape, bool)
    # An infinite bias shuts a unit off, which is meant; what is infinite and multiplied makes NaN.
    return np.isnan(array) if array.ndim < 2 else ~np.isfinite(array)


def _mended(model: keras.Model, seed: int | None) -> keras.Model:
    """A copy of a model with zeros, or random numbers, in the place of its damaged weights."""
    rng = np.random.default_rng(seed)
    try:
        copy = keras.models.clone_model(model)
    except Exception as err:  # a user's layer may do anything
        raise ConfigError(
            f"{model.name} has weights that are NaN and cannot be copied ({err!r}); mend the weights"
        ) from err
    copy.set_weights([
        np.where(_damaged(array), 0 if seed is None else rng.normal(size=array.shape), array)
        for array in model.get_weights()
    ])  # fmt: skip
    return copy


def _differ(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Which channels differ: [B, h, w, C] twice -> [C]."""
    same = np.abs(found - expected) <= NEAR * np.abs(expected).max(axis=(0, 1, 2))  # false for NaN
    return ~same.all(axis=(0, 1, 2))


def _tell(layer: str, model: str, damage: str, before: np.ndarray, behind: np.ndarray) -> None:
    """Say which of a layer's channels are NaN, before and behind its nonlinearity; refuse where all are."""
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
