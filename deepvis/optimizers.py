"""Optimizers: step rules.

Every function here takes numbers, one per image, and returns

    grad [B, H, W, C] -> delta [B, H, W, C]

which the ascent adds to the image.
"""

from collections.abc import Callable

import tensorflow as tf

from deepvis.ops import per_image, rms

Optimizer = Callable[[tf.Tensor], tf.Tensor]


def normalized(rate: tf.Tensor) -> Optimizer:
    r"""The gradient over its root mean square: every image moves as far in a step.

    .. math:: \Delta = \eta \, g / (\mathrm{rms}(g) + 10^{-5})

    Args:
      rate: :math:`\eta`, grey levels a step, ``[B]``.

    Returns:
      An optimizer. Source: the Keras blog, "How convolutional neural networks see the world"; rate 0.9 is
      the post's.

    Example:
      >>> g = tf.fill([1, 2, 2, 3], 4.0)
      >>> round(float(normalized(tf.constant([0.9]))(g)[0, 0, 0, 0]), 4)
      0.9
    """
    return lambda grad: per_image(rate) * (grad / per_image(rms(grad) + 1e-5))


def sgd(rate: tf.Tensor) -> Optimizer:
    r"""Plain gradient ascent, :math:`\Delta = \eta g`.

    Args:
      rate: :math:`\eta`, ``[B]``.
    """
    return lambda grad: per_image(rate) * grad


def progress(max_rate: tf.Tensor, desired: tf.Tensor) -> Optimizer:
    r"""The rate that promises the desired rise of the score, to first order.

    .. math:: \Delta = \min(\eta_{max}, \; p / \lVert g \rVert_2^2) \, g

    Args:
      max_rate: :math:`\eta_{max}`, ``[B]``; also the rate where the gradient is zero.
      desired: :math:`p`, in units of the score, ``[B]``.

    Returns:
      An optimizer. Source: Yosinski et al. 2015, their toolbox's lr_policy ``progress``.
    """

    def update(grad):
        squared = tf.reduce_sum(tf.square(grad), axis=[1, 2, 3])
        rate = tf.where(squared > 0, tf.minimum(max_rate, desired / squared), max_rate)
        return per_image(rate) * grad

    return update
