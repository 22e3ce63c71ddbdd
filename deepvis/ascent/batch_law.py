"""The batch law, checked on the user's functions: an image comes out the same, whatever shares its batch.

Tests hold the components of deepvis to it. A user's function is probed before the first step: the first image
of a batch takes one step beside the others, and one beside copies of itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from deepvis.ascent.backend import tf
from deepvis.ascent.gradient_ascent import Ascent
from deepvis.core.errors import ConfigError


def check(ascent: Ascent, starts: tf.Tensor, hyper: Mapping[str, Any], names: str) -> None:
    """Refuse functions of these names that let one image of a batch see another.

    Raises:
      ConfigError: the first image differs.
    """

    def first(starts, hyper) -> list[np.ndarray]:
        state, record = ascent.advance(ascent.begin(starts, hyper), hyper)
        return [state.theta[0].numpy(), record.score[0].numpy()]

    def copies(values):
        return tf.repeat(values[:1], values.shape[0], axis=0)

    if starts.shape[0] < 2:
        return
    of_copies = first(copies(starts), tf.nest.map_structure(copies, dict(hyper)))
    for beside_others, beside_copies in zip(first(starts, dict(hyper)), of_copies, strict=True):
        if not np.array_equal(beside_others, beside_copies, equal_nan=True):
            raise ConfigError(
                f"{names}: an image comes out otherwise beside other images than alone, expected a function "
                "that treats each image by itself; reduce over axes 1, 2, 3 and reshape a knob [B] to "
                "[B, 1, 1, 1]"
            )


def shaped(function: Callable[..., tf.Tensor], name: str) -> Callable[..., tf.Tensor]:
    """A regularizer of the user's that is refused where it changes an image's shape or type."""

    def checked(image, grad, step):
        result = function(image, grad, step)
        shape, dtype = getattr(result, "shape", None), getattr(result, "dtype", None)
        if shape != image.shape or dtype != image.dtype:
            raise ConfigError(
                f"{name}: returned {type(result).__name__} {shape} {dtype}, expected the image's "
                f"{image.shape} {image.dtype.name}"
            )
        return result

    return checked
