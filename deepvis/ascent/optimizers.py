"""Optimizers: step rules.

Every function here takes numbers, one per image, ``[B]``, and returns an `Optimizer`, whose

    update(grad [B, ...], memory, step []) -> (delta [B, ...], memory)

gives what is added to theta, whatever theta is of: pixels, a spectrum, phases.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from deepvis.ascent.ops import choose, halving_matrix, per_image, power, rms, sides, size_of
from deepvis.config.knobs import REQUIRED, Function, Knob, declare
from deepvis.networks.backend import tf


@dataclass(frozen=True)
class Optimizer:
    """A step rule."""

    slots: int  # tensors like theta that it remembers from step to step, zeros at first
    update: Callable[..., tuple[tf.Tensor, tuple[tf.Tensor, ...]]]


def optimizer(**knobs: Knob) -> Callable[[Function], Function]:
    """Declare a function as an optimizer: its parameters are its knobs."""
    return declare("optimizer", None, knobs)


def _without_memory(rule: Callable[[tf.Tensor], tf.Tensor]) -> Optimizer:
    return Optimizer(0, lambda grad, memory, step: (rule(grad), memory))


@optimizer(learning_rate=Knob(REQUIRED, "units of theta a step", above=0))
def normalized(learning_rate: tf.Tensor) -> Optimizer:
    r"""The gradient over its root mean square: every image moves as far in a step.

    .. math:: \Delta = \eta \, g / (\mathrm{rms}(g) + 10^{-5})

    Args:
      learning_rate: :math:`\eta`, units of theta a step (of pixels: grey levels).

    Source: the Keras blog, "How convolutional neural networks see the world"; rate 0.9 is Gildenblat's
    (2016).
    """
    return _without_memory(
        lambda grad: per_image(learning_rate, grad) * (grad / per_image(rms(grad) + 1e-5, grad))
    )


MOST_LEVELS = 8  # of a pyramid: it then ends in one pixel of 256


@declare(
    "optimizer",
    None,
    {
        "learning_rate": Knob(REQUIRED, "units of theta a step", above=0),
        "levels": Knob(REQUIRED, "times that the gradient is halved", low=1, high=MOST_LEVELS, kind=int),
    },
    pixels=True,
)
def laplacian(learning_rate: tf.Tensor, levels: tf.Tensor) -> Optimizer:
    r"""The gradient's Laplacian pyramid, each level over its root mean square, merged again.

    .. math:: \Delta = \eta \, \Bigl(N(l_n) \uparrow^n + \sum_{k=0}^{n-1} N(h_k) \uparrow^k\Bigr), \quad
              l_0 = g, \quad l_{k+1} = l_k \downarrow, \quad h_k = l_k - l_{k+1} \uparrow, \quad
              N(v) = \frac{v}{\max(\mathrm{rms}(v), 10^{-10})}

    :math:`\downarrow` convolves rows and columns with (1, 4, 6, 4, 1) / 16 and keeps every second pixel, see
    `deepvis.ascent.ops.halving_matrix`; :math:`\uparrow` is 4 times its transpose. Coarse structure moves as
    far as fine structure, of which a gradient mostly consists. A step is longer than that of `normalized`:
    n + 1 levels of root mean square 1 are added.

    Args:
      learning_rate: :math:`\eta`, grey levels a step of each level.
      levels: :math:`n`, ``[B]``, in [1, 8]; 4 in the source.

    Source: Mordvintsev 2016, TensorFlow's notebook on deep dream, "Laplacian Pyramid Gradient Normalization",
    its lap_normalize; the pyramid is Burt and Adelson's (1983).
    """

    def merged(level, k):
        whole = level / per_image(tf.maximum(rms(level), 1e-10), level)
        if k == MOST_LEVELS:
            return whole
        matrices = [halving_matrix(side) for side in size_of(level)]
        smaller = _along_both(level, matrices)
        fine = level - _along_both(smaller, [2 * matrix.T for matrix in matrices])
        fine /= per_image(tf.maximum(rms(fine), 1e-10), fine)
        larger = _along_both(merged(smaller, k + 1), [2 * matrix.T for matrix in matrices])
        return choose(levels > k, larger + fine, whole)

    return _without_memory(lambda grad: per_image(learning_rate, grad) * merged(grad, 0))


def _along_both(image: tf.Tensor, matrices: Sequence[np.ndarray]) -> tf.Tensor:
    """Columns times the first matrix, rows times the second: [B, H, W, C] -> [B, h, w, C]."""
    for matrix in matrices:  # each leaves the other axis in front
        batch, _, other, channels = sides(image)
        lines = tf.reshape(image, [batch, matrix.shape[1], other * channels])
        lines = tf.reshape(tf.matmul(matrix, lines), [batch, matrix.shape[0], other, channels])
        image = tf.transpose(lines, [0, 2, 1, 3])
    return image


@optimizer(learning_rate=Knob(REQUIRED, "factor on the gradient", above=0))
def sgd(learning_rate: tf.Tensor) -> Optimizer:
    r"""Plain gradient ascent, :math:`\Delta = \eta g`, with :math:`\eta` the learning rate."""
    return _without_memory(lambda grad: per_image(learning_rate, grad) * grad)


@optimizer(
    max_learning_rate=Knob(REQUIRED, "largest factor on the gradient", above=0),
    target_gain=Knob(REQUIRED, "rise of the score that a step aims at", above=0),
)
def progress(max_learning_rate: tf.Tensor, target_gain: tf.Tensor) -> Optimizer:
    r"""The rate at which the score rises by the target gain, to first order.

    .. math:: \Delta = \min(\eta_{max}, \; p / \lVert g \rVert_2^2) \, g

    Args:
      max_learning_rate: :math:`\eta_{max}`; also the rate where the gradient is zero.
      target_gain: :math:`p`, in units of the score.

    Source: Yosinski et al. 2015, their toolbox's lr_policy ``progress``.
    """

    def rule(grad):
        squared = tf.reduce_sum(tf.square(grad), axis=list(range(1, grad.shape.rank)))
        rate = tf.where(squared > 0, tf.minimum(max_learning_rate, target_gain / squared), max_learning_rate)
        return per_image(rate, grad) * grad

    return _without_memory(rule)


MOMENTS = {
    "learning_rate": Knob(REQUIRED, "units of theta a step", above=0),
    "beta_1": Knob(REQUIRED, "decay of the mean gradient", low=0, below=1, unit="share"),
    "beta_2": Knob(REQUIRED, "decay of the mean square", low=0, below=1, unit="share"),
    "epsilon": Knob(REQUIRED, "added to the root of the mean square", above=0),
}


@optimizer(**MOMENTS)
def adam(learning_rate: tf.Tensor, beta_1: tf.Tensor, beta_2: tf.Tensor, epsilon: tf.Tensor) -> Optimizer:
    r"""Adam: each value moves by its own mean gradient over its own root mean square.

    .. math:: m \leftarrow \beta_1 m + (1 - \beta_1) g, \quad
              v \leftarrow \beta_2 v + (1 - \beta_2) g^2, \quad
              \Delta = \eta \, \frac{m / (1 - \beta_1^t)}{\sqrt{v / (1 - \beta_2^t)} + \epsilon}

    Args:
      learning_rate: :math:`\eta`, units of theta a step.
      beta_1: of the mean, in [0, 1).
      beta_2: of the mean square, in [0, 1).
      epsilon: keeps a zero gradient from dividing by zero.

    Source: Kingma and Ba 2015, arXiv:1412.6980, algorithm 1.
    """

    def update(grad, memory, step):
        mean, square = memory
        first, second = per_image(beta_1, grad), per_image(beta_2, grad)
        mean = first * mean + (1 - first) * grad
        square = second * square + (1 - second) * tf.square(grad)
        t = tf.cast(step, tf.float32) + 1
        # Without it the quotient becomes a product with 1 / sqrt, whose last bit depends on the batch.
        root = tf.maximum(tf.sqrt(square / (1 - power(second, t))), 1e-30)
        delta = (
            per_image(learning_rate, grad)
            * (mean / (1 - power(first, t)))
            / (root + per_image(epsilon, grad))
        )
        return delta, (mean, square)

    return Optimizer(2, update)


# Nadam's share of the mean, 1 - 0.96^t / 2, and the product of the shares so far, from t = 1. They stay what
# they are: 0.96^1024 is nothing beside 1.
_SHARES = 1 - 0.5 * 0.96 ** np.arange(1.0, 1025.0)
_PRODUCTS = np.cumprod(_SHARES)


@optimizer(**MOMENTS)
def nadam(learning_rate: tf.Tensor, beta_1: tf.Tensor, beta_2: tf.Tensor, epsilon: tf.Tensor) -> Optimizer:
    r"""Adam with Nesterov's look ahead, as Keras has it.

    .. math:: u_t = \beta_1 (1 - 0.96^t / 2), \quad U_t = \prod_{i \le t} u_i, \quad
              \hat m = \frac{u_{t+1} m}{1 - U_{t+1}} + \frac{(1 - u_t) g}{1 - U_t}, \quad
              \Delta = \eta \, \frac{\hat m}{\sqrt{v / (1 - \beta_2^t)} + \epsilon}

    Args:
      learning_rate: :math:`\eta`, units of theta a step.
      beta_1: of the mean :math:`m`, in [0, 1); see `adam`.
      beta_2: of the mean square :math:`v`, in [0, 1).
      epsilon: keeps a zero gradient from dividing by zero.

    Source: Dozat 2016, "Incorporating Nesterov momentum into Adam", with the schedule of Keras.
    """

    def update(grad, memory, step):
        mean, square = memory
        first, second = per_image(beta_1, grad), per_image(beta_2, grad)
        mean = first * mean + (1 - first) * grad
        square = second * square + (1 - second) * tf.square(grad)
        t = tf.cast(step, tf.float32) + 1
        last = len(_SHARES) - 1
        here, ahead = tf.minimum(step, last), tf.minimum(step + 1, last)
        shares = [tf.gather(tf.constant(_SHARES, tf.float32), at) for at in (here, ahead)]
        products = [tf.gather(tf.constant(_PRODUCTS, tf.float32), at) for at in (here, ahead)]
        of_mean = first * shares[1] / (1 - power(first, t + 1) * products[1])
        of_grad = (1 - first * shares[0]) / (1 - power(first, t) * products[0])
        root = tf.maximum(tf.sqrt(square / (1 - power(second, t))), 1e-30)  # as in adam
        delta = per_image(learning_rate, grad) * (of_mean * mean + of_grad * grad)
        return delta / (root + per_image(epsilon, grad)), (mean, square)

    return Optimizer(2, update)
