"""The batch law, tried on functions of the user's: an image comes out the same, whatever shares its batch.

The components of deepvis are held to it by tests. What a user brings is probed before the first step: the
first image of a batch takes one step beside the others, and one beside copies of itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from deepvis.ascent.backend import tf
from deepvis.ascent.gradient_ascent import Ascent
from deepvis.core.errors import ConfigError


def check(ascent: Ascent, starts: tf.Tensor, hyper: Mapping[str, Any], names: str) -> None:
    """Refuse functions that let one image of a batch see another.

    Args:
      ascent: the compiled step.
      starts: first images, ``[B, H, W, C]``; with one image there is nothing to see.
      hyper: numbers and inputs of the batch.
      names: of the user's functions, for the message.

    Raises:
      ConfigError: the first image differs.
    """
    if starts.shape[0] < 2:
        return

    def first_after(copied: bool) -> list[np.ndarray]:
        def place(values):
            return tf.repeat(values[:1], values.shape[0], axis=0) if copied else values

        inputs = tf.nest.map_structure(place, dict(hyper))
        state, record = ascent.advance(ascent.begin(place(starts), inputs), inputs)
        return [state.theta[0].numpy(), record.score[0].numpy()]

    for beside_others, beside_copies in zip(first_after(False), first_after(True), strict=True):
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
        got = getattr(result, "shape", None), getattr(result, "dtype", None)
        if got[0] != image.shape or got[1] != image.dtype:
            raise ConfigError(
                f"{name}: returned {type(result).__name__} {got[0]} {got[1]}, expected the image's "
                f"{image.shape} {image.dtype.name}"
            )
        return result

    return checked
