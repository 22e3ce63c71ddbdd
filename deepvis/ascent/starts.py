"""Starts: first images.

Every function here but `twin` returns one image [size, size, C] of centred pixels, float32, with as many
channels as the mean has, drawn from ``numpy.random.default_rng([seed, filter])``: an image depends on nothing
but its own seed and filter, so any subset of a job repeats it, and jobs of a sweep share their starts filter
by filter.
"""

from collections.abc import Callable

import numpy as np

from deepvis.config.knobs import DISPLAY, REQUIRED, Function, Knob, declare
from deepvis.core import picture_files


def start(**knobs: Knob) -> Callable[[Function], Function]:
    """Declare a function as a start, ``(size, seed, index, mean, **options) -> image``; options are knobs."""
    return declare("start", None, {**knobs, "display": DISPLAY})


@start(
    low=Knob(REQUIRED, "of the range, above the mean", low=-1000, high=1000, unit="number of grey levels"),
    high=Knob(REQUIRED, "of the range, above the mean", low=-1000, high=1000, unit="number of grey levels"),
)
def noise(size: int, seed: int, index: int, mean: np.ndarray, low: float, high: float) -> np.ndarray:
    """Uniform noise around grey.

    Args:
      size: px.
      seed: of the job.
      index: of the filter.
      mean: of the training set, ``[C]``; noise is centred already and takes its length alone.
      low: of the range, grey levels above the mean.
      high: of the range.

    Returns:
      The image. Source: Gildenblat 2016, whose 128 + U(0, 20) fed raw is ``low=128, high=148``.
    """
    shape = (size, size, len(mean))
    return np.random.default_rng([seed, index]).uniform(low, high, shape).astype(np.float32)


@start(sigma=Knob(REQUIRED, "standard deviation", low=0, high=1000, unit="number of grey levels"))
def gaussian(size: int, seed: int, index: int, mean: np.ndarray, sigma: float) -> np.ndarray:
    """Normal noise around the mean, of standard deviation ``sigma`` grey levels (Yosinski et al. 2015)."""
    shape = (size, size, len(mean))
    return np.random.default_rng([seed, index]).normal(0.0, sigma, shape).astype(np.float32)


@start(sigma=Knob(REQUIRED, "standard deviation", low=0, high=1000, unit="number of grey levels"))
def pink(size: int, seed: int, index: int, mean: np.ndarray, sigma: float) -> np.ndarray:
    r"""Normal noise whose amplitude falls with frequency, as that of natural images does.

    .. math:: x = F^{-1}(a \, F(z)), \quad a \propto 1 / f, \quad a(0) = 0

    Args:
      size: px.
      seed: of the job.
      index: of the filter.
      mean: of the training set, ``[C]``; noise is centred already and takes its length alone.
      sigma: standard deviation, grey levels, over many draws.

    Returns:
      The image, whose channels have a mean of 0.
    """
    white = np.random.default_rng([seed, index]).normal(0.0, sigma, (size, size, len(mean)))
    frequencies = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size))
    amplitude = np.where(frequencies > 0, 1 / np.maximum(frequencies, 1 / size), 0)
    amplitude /= max(np.sqrt(np.mean(amplitude**2)), 1e-30)  # all of them together leave the deviation
    spectrum = np.fft.fft2(white, axes=(0, 1)) * amplitude[:, :, None]
    return np.fft.ifft2(spectrum, axes=(0, 1)).real.astype(np.float32)


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


@start(path=Knob(REQUIRED, "a picture file", kind=str))
def picture(size: int, seed: int, index: int, mean: np.ndarray, path: str) -> np.ndarray:
    """A picture of the user's, the same for every filter (Gildenblat 2016, ``--img``).

    Args:
      size: px; the largest square about the picture's centre is scaled to it.
      seed: not used: a picture has no chance in it.
      index: not used.
      mean: of the training set, ``[C]``, subtracted; a single channel is the picture's lightness.
      path: of a file; see `deepvis.core.picture_files`.

    Returns:
      The image.

    Raises:
      ValueError: the network's input has neither 1 nor 3 channels.
    """
    del seed, index
    if len(mean) not in (1, 3):
        raise ValueError(f"start.path: a picture has 1 or 3 channels, this network's input {len(mean)}")
    return picture_files.fitted(path, len(mean), size, size) - np.asarray(mean, np.float32)
