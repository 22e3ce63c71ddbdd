"""Per-image tensor primitives. Nothing here lets one image of a batch see another.

Shapes: B images of H x W pixels with C channels; a hyperparameter is one number per image, [B].
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np
import scipy

from deepvis.networks.backend import tf
from deepvis.networks.base import Size

_is_for_xla: ContextVar[bool] = ContextVar("deepvis_is_for_xla", default=False)


@contextmanager
def traced_for(xla: bool) -> Iterator[None]:
    """What is traced within is compiled by XLA, or is not."""
    before = _is_for_xla.set(xla)
    try:
        yield
    finally:
        _is_for_xla.reset(before)


def per_image(x: tf.Tensor, batch: tf.Tensor | None = None) -> tf.Tensor:
    """[B] -> [B, 1, 1, 1], to meet an image batch; or with as many axes as another batch has."""
    return tf.reshape(x, [-1] + [1] * (3 if batch is None else batch.shape.rank - 1))


def choose(mask: tf.Tensor, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """The images of x where the mask [B] is true, else those of y: [B, ...]."""
    return tf.raw_ops.Select(condition=mask, x=x, y=y)  # copies images whole: a seventh of tf.where's time


def sides(x: tf.Tensor) -> tuple[int, ...]:
    """The shape of a tensor whose sides are all known."""
    return tuple(int(side or 0) for side in x.shape)


def size_of(images: tf.Tensor) -> Size:
    """Height and width of images, ``[B, H, W, C]``."""
    _, height, width, _ = sides(images)
    return height, width


def rms(x: tf.Tensor) -> tf.Tensor:
    """Root mean square of each image: [B, ...] -> [B]."""
    return tf.sqrt(tf.reduce_mean(tf.square(x), axis=list(range(1, x.shape.rank))))


def mean_of(x: tf.Tensor) -> tf.Tensor:
    """Mean of each image: [B, ...] -> [B]."""
    return tf.reduce_mean(x, axis=list(range(1, x.shape.rank)))


def power(base: tf.Tensor, exponent: tf.Tensor) -> tf.Tensor:
    """A number of each image to a power that all have in common: [B, ...], [] -> [B, ...].

    Eigen takes `pow` of 8 or 16 numbers at once one way and of those left over another. So every number is
    taken 16 times, and as float64, whose rounded value is that of the other way.
    """
    lanes = tf.tile(tf.reshape(tf.cast(base, tf.float64), [-1, 1]), [1, 16])
    raised = (lanes ** tf.cast(exponent, tf.float64))[:, 0]
    return tf.reshape(tf.cast(raised, tf.float32), base.shape)


def from_percentile(values: tf.Tensor, q: tf.Tensor) -> tf.Tensor:
    r"""1 where a value reaches its image's percentile and 0 where it lies below, exactly as NumPy has it.

    .. math:: v < \mathrm{pct}_q(v) \iff v < v_{(\lceil q (n - 1) / 100 \rceil)}

    because nothing lies strictly between two neighbouring order statistics: one of them replaces NumPy's
    interpolation, and ``q = 0`` selects nothing.

    Args:
      values: ``[B, ...]``, n values an image, none of them negative.
      q: percentiles in [0, 100), ``[B]``.

    Returns:
      A float32 mask: a product with it takes a third of the time of `tf.where`.
    """
    flat = tf.reshape(values, [tf.shape(values)[0], -1])
    # In float64, the division last, and q as it was typed (0.1 is not the nearest float32): else a whole rank
    # would be rounded up past itself.
    typed = tf.round(tf.cast(q, tf.float64) * 1e5) / 1e5
    rank = tf.math.ceil(typed * tf.cast(tf.shape(flat)[1] - 1, tf.float64) / 100.0)
    reached = flat >= _selected(flat, tf.cast(rank, tf.int32))
    return tf.reshape(tf.cast(reached, tf.float32), tf.shape(values))


def _selected(rows: tf.Tensor, rank: tf.Tensor) -> tf.Tensor:
    """The value of that rank in each row, none of which is negative: [B, n], [B] -> [B, 1]."""
    if _is_for_xla.get():
        return _counted(rows, rank)
    # An eighth of a sort's time. The op takes one rank for all of its rows, hence row by row.
    selected = [tf.raw_ops.NthElement(input=rows[b : b + 1], n=rank[b]) for b in range(sides(rows)[0])]
    return tf.stack(selected)


def _counted(rows: tf.Tensor, rank: tf.Tensor) -> tf.Tensor:
    """The same without NthElement, for which XLA has no kernel: by counting what is smaller.

    Numbers that are not negative are in the order of their bits. Four bits of the wanted one are found at a
    time: of 15 bounds, how many have at most `rank` values below them. XLA makes one pass of each count.
    """
    bits, found = tf.bitcast(rows, tf.int32), tf.zeros_like(rank)
    for shift in range(28, -1, -4):
        digits = tf.range(1, 8 if shift == 28 else 16)  # the first bit is the sign
        bounds = found[:, None] + digits * 2**shift
        below = tf.reduce_sum(tf.cast(bits[:, None, :] < bounds[:, :, None], tf.int32), axis=2)
        found += tf.reduce_sum(tf.cast(below <= rank[:, None], tf.int32), axis=1) * 2**shift
    return tf.bitcast(found, tf.float32)[:, None]


def blur_matrix(n: int, kind: str, size: int, sigma: float) -> np.ndarray:
    """The blur of a line of n pixels as a matrix: row i is what SciPy makes of pixel i.

    Any kernel, sigma and border is then exact, and two matrix products blur an image. A Gaussian given by
    its size takes OpenCV's rule, sigma = 0.3 ((size - 1) / 2 - 1) + 0.8; one given by its sigma reaches
    four sigma far. The border reflects.

    Args:
      n: px.
      kind: ``gaussian`` or ``box``.
      size: kernel in px, odd; 0 where sigma is given.
      sigma: px; 0 where size is given. Both 0: the identity.

    Returns:
      ``[n, n]`` float32.
    """
    unit = np.eye(n)
    if size == 0 and sigma == 0:
        return unit.astype(np.float32)
    if kind == "box":
        return scipy.ndimage.uniform_filter1d(unit, size, axis=0, mode="reflect").astype(np.float32)
    radius = (size - 1) // 2 if size > 0 else None
    if radius is not None:
        sigma = 0.3 * (radius - 1) + 0.8
    return scipy.ndimage.gaussian_filter1d(unit, sigma, axis=0, mode="reflect", radius=radius).astype(
        np.float32
    )


def halving_matrix(n: int) -> np.ndarray:
    """A line of n pixels, blurred by (1, 4, 6, 4, 1) / 16, every second one kept: ``[ceil(n / 2), n]``.

    Beyond the ends there are zeros. As in TensorFlow's ``SAME`` convolution with a stride of 2, the first
    pixel that is kept is the first of an odd number and the second of an even one.
    """
    count = -(-n // 2)
    before = (2 * count + 3 - n) // 2
    matrix = np.zeros([count, n], np.float32)
    for row, (at, weight) in itertools.product(range(count), enumerate((1, 4, 6, 4, 1))):
        if 0 <= 2 * row - before + at < n:
            matrix[row, 2 * row - before + at] = weight / 16
    return matrix
