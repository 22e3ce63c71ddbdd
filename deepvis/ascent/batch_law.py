"""The batch law, tried on functions of the user's: an image comes out the same, whatever shares its batch.

The components of deepvis are held to it by tests. What a user brings is probed before the first step: the
first image of a batch takes its first and its last step beside the others, beside copies of itself, in
another place of the batch, and alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from deepvis.ascent.gradient_ascent import Ascent
from deepvis.core.errors import ConfigError, DeepvisError, first_line
from deepvis.networks.backend import tf

ALONE = 0.01  # of its size: other batches round otherwise on some devices, what sees a batch's size does not


def check(ascent: Ascent, starts: tf.Tensor, hyper: Mapping[str, Any], names: str, least: int) -> None:
    """Refuse functions that fail, or that let one image of a batch see another.

    Args:
      ascent: the compiled step.
      starts: first images, ``[B, H, W, C]``; with one image there is nothing to see.
      hyper: numbers and inputs of the batch.
      names: of the user's functions, for the message.
      least: images of the smallest batch.

    Raises:
      ConfigError: the first image differs, or a function raised an error.
    """
    batch: int = hyper["steps"].shape[0]

    def first_after(places: Sequence[int], step: int) -> list[np.ndarray]:
        def placed(values):
            return tf.gather(values, list(places), axis=0)

        inputs = tf.nest.map_structure(placed, dict(hyper))
        state = ascent.begin(placed(starts), inputs)._replace(step=tf.constant(step))
        state, record = ascent.advance(state, inputs)
        at = list(places).index(0)
        return [state.theta[at].numpy(), record.score[at].numpy()]

    for step in sorted({0, int(hyper["steps"][0]) - 1}):
        try:
            beside_others = first_after(range(batch), step)
        except DeepvisError:
            raise
        except Exception as err:
            raise ConfigError(f"{names}: {type(err).__name__}: {first_line(err)}") from err
        if batch == 1:
            continue
        same = [
            np.array_equal(a, b, equal_nan=True)
            for places in ([0] * batch, range(batch)[::-1])
            for a, b in zip(beside_others, first_after(places, step), strict=True)
        ]
        same += [_close(a, b) for a, b in zip(beside_others, first_after([0] * least, step), strict=True)]
        if not all(same):
            raise ConfigError(
                f"{names}: an image comes out otherwise beside other images than alone, expected a function "
                "that treats each image by itself; reduce over axes 1, 2, 3 and reshape a knob [B] to "
                "[B, 1, 1, 1]"
            )


def _close(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two arrays agree but for rounding."""
    if not np.isfinite(a).all():
        return bool(np.array_equal(np.isfinite(a), np.isfinite(b)))
    return bool(np.abs(a - b).mean() <= ALONE * np.abs(a).mean())


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


def scored(objective: Callable[..., tf.Tensor], name: str) -> Callable[..., tf.Tensor]:
    """An objective of the user's that is refused where it does not return one score for each image."""

    def checked(activations):
        result = objective(activations)
        batch = next(iter(activations.values())).post.shape[0]
        shape, dtype = getattr(result, "shape", None), getattr(result, "dtype", None)
        if shape != (batch,) or dtype != tf.float32:
            got = f"{type(result).__name__} {shape} {getattr(dtype, 'name', dtype)}"
            raise ConfigError(
                f"objective: {name}: returned {got}, expected one score for each image, ({batch},) float32"
            )
        return result

    return checked
