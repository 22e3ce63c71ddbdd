"""Starts: first images.

Every function here but `twin` returns one image [size, size, 3] of centred pixels, float32, drawn from
``numpy.random.default_rng([seed, filter])``: an image depends on nothing but its own seed and filter, so any
subset of a job repeats it, and jobs of a sweep share their starts filter by filter.
"""

import numpy as np
from PIL import Image, ImageOps


def noise(size: int, seed: int, index: int, mean: np.ndarray, low: float, high: float) -> np.ndarray:
    """Uniform noise around grey.

    Args:
      size: px.
      seed: of the job.
      index: of the filter.
      mean: RGB mean of the training set; noise is centred already and leaves it alone.
      low: of the range, grey levels above the mean.
      high: of the range.

    Returns:
      The image. Source: the post, whose 128 + U(0, 20) fed raw is ``low=128, high=148``.
    """
    del mean
    return np.random.default_rng([seed, index]).uniform(low, high, (size, size, 3)).astype(np.float32)


def gaussian(size: int, seed: int, index: int, mean: np.ndarray, sigma: float) -> np.ndarray:
    """Normal noise around the mean, of standard deviation ``sigma`` grey levels (Yosinski et al. 2015)."""
    del mean
    return np.random.default_rng([seed, index]).normal(0.0, sigma, (size, size, 3)).astype(np.float32)


def twin(image: np.ndarray, number: int, seed: int, index: int) -> np.ndarray:
    """The same start, every value moved up or down to its neighbour in float32, by chance.

    Ascent amplifies such a rounding until details differ. What separates a job from its twin is therefore no
    effect of anything.

    Args:
      image: a start.
      number: which of its twins, 1 or more.
      seed: of the job.
      index: of the filter.

    Returns:
      Its twin, at most 2e-7 of each value away.
    """
    up = np.random.default_rng([seed, index, number]).random(image.shape) < 0.5
    return np.nextafter(image, np.where(up, np.float32(np.inf), np.float32(-np.inf)))


def picture(size: int, seed: int, index: int, mean: np.ndarray, path: str) -> np.ndarray:
    """A picture of the user's, the same for every filter (the post's --img).

    Args:
      size: px; the largest square about the picture's centre is scaled to it.
      seed: not used: a picture has no chance in it.
      index: not used.
      mean: RGB mean of the training set, subtracted.
      path: of any file that Pillow reads; its orientation tag is obeyed.

    Returns:
      The image.
    """
    del seed, index
    with Image.open(path) as file:
        square = ImageOps.fit(ImageOps.exif_transpose(file).convert("RGB"), (size, size))
    return np.asarray(square, np.float32) - np.asarray(mean, np.float32)
