"""Penalties: regularizers that are differentiated, subtracted from the score that is ascended.

    (weight [B], ...) -> (image [B, H, W, C] -> penalty [B])

Images are centred pixels, in grey levels. They act on what a parametrization makes, so with any. What is
recorded and compared is the score without them. A weight of 0 switches one off for that image, bitwise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from deepvis.ascent.ops import blur_matrix, choose, per_image, sides
from deepvis.ascent.regularizers import Prepare, arguments
from deepvis.config.knobs import Component, Function, Knob, declare
from deepvis.core.errors import ConfigError
from deepvis.networks.backend import tf
from deepvis.networks.base import Size

Penalty = Callable[["tf.Tensor"], "tf.Tensor"]

BRIGHT = 80.0  # grey levels: B of Mahendran and Vedaldi, a typical contrast of photographs
STEP = BRIGHT / 6.5  # their V: a typical difference of neighbours
FLAT = 1e-4  # square of grey levels: the gradient of a root stays finite where nothing changes


def penalty(*, prepare: Prepare | None = None, **knobs: Knob) -> Callable[[Function], Function]:
    """Declare a function as a penalty, under ``reg``; as `deepvis.ascent.regularizers.regularizer` is."""
    return declare("reg", None, knobs, prepare=prepare, penalty=True)


def _weight(help: str) -> Knob:
    return Knob(0.0, help, low=0, unit="weight")


def _power(of: str, default: float) -> Knob:
    return Knob(default, f"exponent of {of}", low=1, high=20, unit="exponent", switch=False)


@penalty(
    total_variation=_weight("subtracts the differences of neighbouring pixels from what is ascended"),
    total_variation_power=_power("total_variation", 2.0),
)
def total_variation(total_variation: tf.Tensor, total_variation_power: tf.Tensor) -> Penalty:
    r"""Total variation: neighbours should be alike.

    .. math:: \lambda \, \frac{1}{HW} \sum_{ijc}
              \left(\frac{(x_{i,j+1,c} - x_{ijc})^2 + (x_{i+1,j,c} - x_{ijc})^2}{V^2}\right)^{\beta / 2}

    Args:
      total_variation: :math:`\lambda`, ``[B]``, in units of the score; :math:`V = 80 / 6.5` grey levels.
      total_variation_power: :math:`\beta`, ``[B]``; 1 keeps edges, 2 smooths them as well.

    Returns:
      image -> penalty. The last row and column have no neighbour, a difference of 0.

    Source: Mahendran and Vedaldi 2015, arXiv:1412.0035, section 3; normalized as in their 2016 article,
    arXiv:1512.02017.
    """

    def penalize(image):
        right = tf.pad(image[:, :, 1:] - image[:, :, :-1], [[0, 0], [0, 0], [0, 1], [0, 0]])
        down = tf.pad(image[:, 1:] - image[:, :-1], [[0, 0], [0, 1], [0, 0], [0, 0]])
        square = (tf.square(right) + tf.square(down) + FLAT) / STEP**2
        return total_variation * _mean_power(square, total_variation_power / 2, image)

    return penalize


@penalty(
    p_norm=_weight("subtracts the size of the pixels from what is ascended"),
    p_norm_power=_power("p_norm", 6.0),
)
def p_norm(p_norm: tf.Tensor, p_norm_power: tf.Tensor) -> Penalty:
    r"""A norm of the pixels: none should be far brighter or darker than others.

    .. math:: \lambda \, \frac{1}{HW} \sum_{ij} \left(\frac{\lVert x_{ij} \rVert_2}{B}\right)^{\alpha}

    Args:
      p_norm: :math:`\lambda`, ``[B]``, in units of the score; :math:`B = 80` grey levels.
      p_norm_power: :math:`\alpha`, ``[B]``; 2 is a decay, 6 (their choice) a soft bound.

    Source: Mahendran and Vedaldi 2015, arXiv:1412.0035, section 3; normalized as in arXiv:1512.02017.
    """

    def penalize(image):
        square = (tf.reduce_sum(tf.square(image), axis=-1, keepdims=True) + FLAT) / BRIGHT**2
        return p_norm * _mean_power(square, p_norm_power / 2, image)

    return penalize


def _blurs(reg: Any, size: Size) -> dict[str, np.ndarray]:
    down, right = (blur_matrix(side, "gaussian", 0, reg.high_frequency_sigma) for side in size)
    return {"down": down, "right": right}


@penalty(
    prepare=_blurs,
    high_frequency=_weight("subtracts what a blur would take away from what is ascended"),
    high_frequency_sigma=Knob(
        1.0, "of the blur of high_frequency", above=0, high=1000, unit="sigma in px", switch=False
    ),
)
def high_frequency(high_frequency: tf.Tensor, down: tf.Tensor, right: tf.Tensor) -> Penalty:
    r"""High frequencies: the image should be near its own blur.

    .. math:: \lambda \, \frac{1}{HW} \sum_{ijc} \frac{(x - G_\sigma x)_{ijc}^2}{2 B^2}

    Its gradient takes the blur as a constant, :math:`x - G_\sigma x`: a step goes towards the blurred image.

    Args:
      high_frequency: :math:`\lambda`, ``[B]``, in units of the score; :math:`B = 80` grey levels.
      down: :math:`G_\sigma` along columns, ``[B, H, H]``, whose borders reflect.
      right: likewise along rows, ``[B, W, W]``.

    Source: Olah et al. 2017, "Feature Visualization", section "Frequency penalization"; lucid's
    ``blur_input_each_step``.
    """

    def penalize(image):
        blurred = tf.stop_gradient(image)
        for matrix in (down, right):
            lines = tf.reshape(blurred, [image.shape[0], matrix.shape[1], -1])
            blurred = tf.transpose(tf.reshape(matrix @ lines, blurred.shape), [0, 2, 1, 3])
        rest = tf.square(image - tf.stop_gradient(blurred)) / (2 * BRIGHT**2)
        return high_frequency * _sums(rest) / _pixels(image)

    return penalize


def build(components: Sequence[Component], hyper: Mapping[str, tf.Tensor]) -> Penalty | None:
    """The sum of the penalties that any image of a batch uses; none where no image uses one."""
    of_image = [each for each in components if each.traits.get("penalty") and not each.traits.get("features")]
    if not of_image:
        return None

    def penalize(image):
        total = tf.zeros(image.shape[:1])
        for component in of_image:
            is_on = hyper[f"reg.is_on.{component.name}"] > 0
            # An image that does not use it has no gradient from it, whatever its values are.
            own = choose(is_on, image, tf.stop_gradient(image))
            value = component.function(**arguments(component, hyper))(own)
            shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
            if shape != image.shape[:1] or dtype != image.dtype:
                raise ConfigError(
                    f"reg: {component.name}: returned {type(value).__name__} {shape} "
                    f"{getattr(dtype, 'name', dtype)}, expected one penalty for each image, "
                    f"{tuple(image.shape[:1])} float32"
                )
            total += tf.where(is_on, value, 0.0)
        return total

    return penalize


def _mean_power(values: tf.Tensor, exponent: tf.Tensor, image: tf.Tensor) -> tf.Tensor:
    """The sum of the values to a power of each image, over its pixels: [B, H, W, c], [B] -> [B]."""
    flat = tf.reshape(values, [values.shape[0], -1])
    # Eigen takes powers of 16 values at once one way and of what is left over another.
    flat = tf.pad(flat, [[0, 0], [0, -sides(flat)[1] % 16]])
    powers = tf.tile(per_image(exponent, flat), [1, sides(flat)[1]])
    raised = tf.where(flat > 0, tf.where(flat > 0, flat, 1.0) ** powers, 0.0)
    return tf.reduce_sum(raised, axis=1) / _pixels(image)


def _sums(values: tf.Tensor) -> tf.Tensor:
    """[B, H, W, C] -> [B]."""
    return tf.reduce_sum(tf.reshape(values, [values.shape[0], -1]), axis=1)


def _pixels(image: tf.Tensor) -> float:
    _, height, width, _ = sides(image)
    return float(height * width)
