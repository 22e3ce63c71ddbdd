"""Regularizers: operators that make an image a little more natural.

Every operator here takes hyperparameters, one number per image, and returns

    (image [B, H, W, C], grad [B, H, W, C], step []) -> image [B, H, W, C]

applied after each ascent step. Images are centred pixels: 0 is the mean of the network's training set, so
decay and clipping pull towards grey. A neutral number switches an operator off for that image, bitwise, so
jobs with and without it share one batch.

Reference: Yosinski et al., 2015, https://arxiv.org/abs/1506.06579, section 3; the order of `OPERATORS` and
the meaning of each number are those of their toolbox's optimizer.
"""

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
import tensorflow as tf

from deepvis.ascent.ops import choose, from_percentile, per_image

Regularizer = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]
Hyper = Mapping[str, tf.Tensor]


def decay(factor: tf.Tensor) -> Regularizer:
    r"""L2 decay: shrink the image towards grey.

    .. math:: x \leftarrow d \, x

    Args:
      factor: in (0, 1], ``[B]``; 1 is off. Yosinski's :math:`\theta_{decay}` is 1 minus it.

    Returns:
      A regularizer.

    Example:
      >>> x = tf.fill([1, 1, 1, 3], 10.0)
      >>> decay(tf.constant([0.5]))(x, x, tf.constant(0)).numpy().ravel().tolist()
      [5.0, 5.0, 5.0]
    """
    return lambda image, grad, step: image * per_image(factor)


def blur(matrix: tf.Tensor, every: tf.Tensor) -> Regularizer:
    r"""Blur rows and columns, every so many steps.

    .. math:: x_c \leftarrow M x_c M^\top \quad \text{where} \quad t \bmod k = 0

    Args:
      matrix: ``[B, H, H]`` from `deepvis.ascent.ops.blur_matrix`; the identity is off, bitwise.
      every: steps between two blurs, ``[B]`` int32; the first is at step 0.

    Returns:
      A regularizer for square images.

    Example:
      >>> x = tf.reshape(tf.range(4.0), [1, 2, 2, 1])
      >>> blur(tf.fill([1, 2, 2], 0.5), tf.constant([1]))(x, x, tf.constant(0)).numpy().ravel().tolist()
      [1.5, 1.5, 1.5, 1.5]
    """

    def regularize(image, grad, step):
        due = (step % every == 0) & tf.reduce_any(matrix != tf.eye(tf.shape(matrix)[1]), axis=[1, 2])
        blurred = image
        for _ in ("columns", "rows"):
            lines = tf.reshape(blurred, [image.shape[0], image.shape[1], -1])
            blurred = tf.transpose(tf.reshape(matrix @ lines, image.shape), [0, 2, 1, 3])
        return choose(due, blurred, image)

    return regularize


def clip_small_value(q: tf.Tensor) -> Regularizer:
    r"""Set to zero the values of small magnitude; the post's clip.

    .. math:: x_{ijc} \leftarrow 0 \quad \text{where} \quad |x_{ijc}| < \mathrm{pct}_q(|x|)

    Args:
      q: percentile in [0, 100), ``[B]``; 0 is off.

    Returns:
      A regularizer.
    """
    return lambda image, grad, step: image * from_percentile(tf.abs(image), q)


def clip_small_norm(q: tf.Tensor) -> Regularizer:
    r"""Set to zero the pixels whose norm over colour is small.

    .. math:: x_{ij} \leftarrow 0 \quad \text{where} \quad
              \lVert x_{ij} \rVert_2 < \mathrm{pct}_q(\lVert x \rVert_2)

    Args:
      q: percentile in [0, 100), ``[B]``; 0 is off (the paper's :math:`\theta_{n\_pct}`).

    Returns:
      A regularizer.

    Example:
      >>> x = tf.reshape([1.0, 2.0, 3.0, 4.0], [1, 2, 2, 1])
      >>> clip_small_norm(tf.constant([50.0]))(x, x, tf.constant(0)).numpy().ravel().tolist()
      [0.0, 0.0, 3.0, 4.0]
    """

    def regularize(image, grad, step):
        norm = tf.norm(image, axis=-1, keepdims=True)  # [B, H, W, 1]
        return image * from_percentile(norm, q)

    return regularize


def clip_small_contribution(q: tf.Tensor) -> Regularizer:
    r"""Set to zero the pixels that contribute little, to first order, either way.

    .. math:: x_{ij} \leftarrow 0 \quad \text{where} \quad
              |g_{ij} \cdot x_{ij}| < \mathrm{pct}_q(|g \cdot x|)

    Args:
      q: percentile in [0, 100), ``[B]``; 0 is off (the paper's :math:`\theta_{c\_pct}`).

    Returns:
      A regularizer.
    """

    def regularize(image, grad, step):
        contribution = tf.abs(tf.reduce_sum(grad * image, axis=-1, keepdims=True))  # [B, H, W, 1]
        return image * from_percentile(contribution, q)

    return regularize


def clip_pixels(on: tf.Tensor, mean: Sequence[float]) -> Regularizer:
    r"""Keep pixels displayable: the projection onto [0, 255].

    .. math:: x \leftarrow \mathrm{clip}(x + \mu, 0, 255) - \mu

    Args:
      on: 1 or 0, ``[B]``; 0 is off.
      mean: RGB mean of the training set, grey levels.

    Returns:
      A regularizer.
    """
    is_on = tf.reshape(on, [-1, 1, 1]) > 0

    def regularize(image, grad, step):
        # By lines of the image: bounds of three values a pixel take eight times as long.
        line = np.tile(np.array(mean, np.float32), image.shape[2])
        low, high = tf.where(is_on, -line, -np.inf), tf.where(is_on, 255 - line, np.inf)
        lines = tf.reshape(image, [image.shape[0], image.shape[1], -1])
        return tf.reshape(tf.clip_by_value(lines, low, high), image.shape)

    return regularize


# A row here is a regularizer of the config, in the order in which a chain applies them.
OPERATORS: dict[str, Callable[[Hyper], Regularizer]] = {
    "decay": lambda h: decay(h["reg.decay"]),
    "blur": lambda h: blur(h["blur_matrix"], h["reg.blur_every"]),
    "value": lambda h: clip_small_value(h["reg.value_percentile"]),
    "norm": lambda h: clip_small_norm(h["reg.norm_percentile"]),
    "contribution": lambda h: clip_small_contribution(h["reg.contribution_percentile"]),
}


def chain(operators: Sequence[Regularizer]) -> Regularizer:
    """One after the other (Yosinski's order)."""

    def regularize(image, grad, step):
        for operator in operators:
            image = operator(image, grad, step)
        return image

    return regularize


def mix(operators: Sequence[Regularizer], weights: Sequence[tf.Tensor]) -> Regularizer:
    r"""The weighted mean of separately regularized copies (the post's way).

    .. math:: x \leftarrow \sum_k w_k \, r_k(x) \, / \, \sum_k w_k

    Args:
      operators: :math:`r_k`.
      weights: :math:`w_k \ge 0`, each ``[B]``, 0 for an operator that is off: a copy that nothing changed
        would water the others down. An image whose weights are all 0 stays as it is.
    """

    def regularize(image, grad, step):
        mixed, total = tf.zeros_like(image), tf.zeros(tf.shape(image)[0])
        for operator, weight in zip(operators, weights, strict=True):
            # Added one by one, and not at all where it is off: a sum of products is rewritten by the graph's
            # optimizer, differently with other operators beside it, and a neighbour's would show in the bits.
            copy = mixed + per_image(weight) * operator(image, grad, step)
            mixed = tf.where(per_image(weight) > 0, copy, mixed)
            total += weight
        return tf.where(per_image(total) > 0, mixed / per_image(tf.where(total > 0, total, 1.0)), image)

    return regularize


def build(hyper: Hyper, combine: str, active: Collection[str], mean: Sequence[float]) -> Regularizer:
    """The regularizer of a config.

    Args:
      hyper: one number per image under each key of the config (``reg.decay`` ...), and ``blur_matrix``.
      combine: ``chain`` or ``mix``.
      active: operators that any image uses; the others would be the identity and are left out.
      mean: RGB mean of the training set, for the projection onto [0, 255], which always comes last.
    """
    names = [name for name in OPERATORS if name in active]
    operators = [OPERATORS[name](hyper) for name in names]
    if combine == "mix" and operators:
        operators = [mix(operators, [hyper[f"reg.weights.{name}"] for name in names])]
    if "clip_pixels" in active:
        operators.append(clip_pixels(hyper["reg.clip_pixels"], mean))
    return chain(operators)
