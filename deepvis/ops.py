"""Per-image tensor primitives. Nothing here lets one image of a batch see another.

Shapes: B images of H x W pixels with C channels; a hyperparameter is one number per image, [B].
"""

import numpy as np
import tensorflow as tf
from scipy import ndimage


def per_image(x: tf.Tensor) -> tf.Tensor:
    """[B] -> [B, 1, 1, 1], to meet an image batch."""
    return tf.reshape(x, [-1, 1, 1, 1])


def rms(x: tf.Tensor) -> tf.Tensor:
    """Root mean square of each image: [B, H, W, C] -> [B]."""
    return tf.sqrt(tf.reduce_mean(tf.square(x), axis=[1, 2, 3]))


def below_percentile(values: tf.Tensor, q: tf.Tensor) -> tf.Tensor:
    r"""Which values of an image lie below that image's own percentile, exactly as NumPy has it.

    .. math:: v < \mathrm{pct}_q(v) \iff v < v_{(\lceil q (n - 1) / 100 \rceil)}

    because nothing lies strictly between two neighbouring order statistics: one of them replaces NumPy's
    interpolation, and ``q = 0`` selects nothing.

    Args:
      values: ``[B, ...]``, n values an image.
      q: percentiles in [0, 100), ``[B]``.

    Returns:
      Mask of the shape of ``values``.

    Example:
      >>> below_percentile(tf.constant([[1.0, 2.0, 3.0, 4.0]]), tf.constant([50.0])).numpy().tolist()
      [[True, True, False, False]]
    """
    flat = tf.reshape(values, [tf.shape(values)[0], -1])
    # In float64, the division last, and q as it was typed (0.1 is not the nearest float32): else a whole rank
    # would be rounded up past itself.
    typed = tf.round(tf.cast(q, tf.float64) * 1e5) / 1e5
    rank = tf.math.ceil(typed * tf.cast(tf.shape(flat)[1] - 1, tf.float64) / 100.0)
    threshold = tf.gather(tf.sort(flat, axis=1), tf.cast(rank, tf.int32)[:, None], axis=1, batch_dims=1)
    return tf.reshape(flat < threshold, tf.shape(values))


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
        blurred = ndimage.uniform_filter1d(unit, size, axis=0, mode="reflect")
    elif size > 0:
        radius = (size - 1) // 2
        blurred = ndimage.gaussian_filter1d(
            unit, 0.3 * (radius - 1) + 0.8, axis=0, mode="reflect", radius=radius
        )
    else:
        blurred = ndimage.gaussian_filter1d(unit, sigma, axis=0, mode="reflect")
    return blurred.astype(np.float32)
