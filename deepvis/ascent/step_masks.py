"""Step masks: pixels or colours that move by less than a step.

    (knobs [B], ...) -> (step [B, H, W, C] -> step [B, H, W, C])

A mask multiplies what the optimizer adds to the pixels, after its rule: a factor on the gradient would be
undone by a rule that divides by the gradient's size, as Adam and the normalized gradient do. It is a learning
rate of each pixel and colour. A neutral number is a mask of ones, bitwise.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from deepvis.ascent.regularizers import Hyper, Prepare, arguments
from deepvis.config.knobs import Component, Function, Knob, declare
from deepvis.networks.backend import tf
from deepvis.networks.base import Size

Mask = Callable[["tf.Tensor"], "tf.Tensor"]


def step_mask(*, prepare: Prepare | None = None, **knobs: Knob) -> Callable[[Function], Function]:
    """Declare a function as a step mask, under ``reg``; as `deepvis.ascent.regularizers.regularizer` is."""
    return declare("reg", None, knobs, prepare=prepare, step=True)


def _lines(reg: Any, size: Size) -> Mapping[str, np.ndarray]:
    down, right = (_line(side, reg.center_bias) for side in size)
    return {"down": down, "right": right}


def _line(side: int, sigma: float) -> np.ndarray:
    from_centre = (np.arange(side) - (side - 1) / 2) / side
    if sigma == 0:
        return np.ones(side, np.float32)
    return np.exp(-((from_centre / sigma) ** 2) / 2).astype(np.float32)


@step_mask(
    prepare=_lines,
    center_bias=Knob(
        0.0,
        "standard deviation of a Gaussian about the centre that multiplies the step, share of the sides",
        low=0,
        high=100,
        unit="share",
    ),
)
def center_bias(down: tf.Tensor, right: tf.Tensor) -> Mask:
    r"""Pixels near the centre move faster: one object in the middle, not many all over.

    .. math:: \Delta_{ijc} \leftarrow \exp\left(- \frac{y_i^2 + x_j^2}{2 \sigma^2}\right) \Delta_{ijc}

    with :math:`y_i, x_j` the distances from the image's centre, in units of its sides, and :math:`\sigma` the
    knob; 0 is off.

    Args:
      down: the factor of each row, ``[B, H]``.
      right: that of each column, ``[B, W]``.

    Source: Nguyen et al. 2016, "Multifaceted Feature Visualization", arXiv:1602.03616, section
    "Center-biased regularization". Their code lets a step change a window that is drawn about the centre, and
    later not its margin; the Gaussian is the smooth form of that.
    """
    return lambda step: step * (down[:, :, None, None] * right[:, None, :, None])


def _rate(colour: str) -> Knob:
    return Knob(1.0, f"multiplies the step of {colour}", low=0, high=100, unit="factor")


@step_mask(red_rate=_rate("red"), green_rate=_rate("green"), blue_rate=_rate("blue"))
def colour_rates(red_rate: tf.Tensor, green_rate: tf.Tensor, blue_rate: tf.Tensor) -> Mask:
    r"""A learning rate of each colour.

    .. math:: \Delta_{ijc} \leftarrow r_c \, \Delta_{ijc}

    Args:
      red_rate: :math:`r_0`, ``[B]``; 1 is off, 0 leaves the colour as it was in the start.
      green_rate: :math:`r_1`.
      blue_rate: :math:`r_2`.

    Source: none was found that publishes it; it is the plainest form of a learning rate that is not the same
    everywhere. Yosinski's toolbox, where one might look for it, has one rate for all colours (2015,
    optimize/gradient_optimizer.py).
    """
    return lambda step: step * tf.stack([red_rate, green_rate, blue_rate], axis=1)[:, None, None, :]


def build(components: Sequence[Component], hyper: Hyper) -> Mask | None:
    """The masks that any image of a batch uses, one after the other; none where no image uses one."""
    masks = [each.function(**arguments(each, hyper)) for each in components if each.traits.get("step")]
    return (lambda step: functools.reduce(lambda moved, mask: mask(moved), masks, step)) if masks else None
