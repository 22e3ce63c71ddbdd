"""Starts: first images.

    (size, seed, index, mean, options) -> image [*size, C], centred pixels, float32

The size is (height, width) in px, the index is the filter's, the mean is that of the training set, ``[C]``.
Random numbers are of ``numpy.random.default_rng([seed, index])``: an image depends on nothing but its seed
and filter, so any subset of a job repeats it, and jobs of a sweep share their starts filter by filter.
"""

from collections.abc import Callable

import numpy as np

from deepvis.ascent import pictures, spectra
from deepvis.config.knobs import DISPLAY, REQUIRED, Function, Knob, declare
from deepvis.networks.base import Size


def start(**knobs: Knob) -> Callable[[Function], Function]:
    """Declare a function as a start; its options are knobs."""
    return declare("start", None, {**knobs, "display": DISPLAY})


@start(
    low=Knob(REQUIRED, "of the range, above the mean", low=-1000, high=1000, unit="number of grey levels"),
    high=Knob(REQUIRED, "of the range, above the mean", low=-1000, high=1000, unit="number of grey levels"),
)
def noise(size: Size, seed: int, index: int, mean: np.ndarray, low: float, high: float) -> np.ndarray:
    """Uniform noise in [low, high) grey levels above the mean.

    Source: Gildenblat 2016, whose 128 + U(0, 20) fed raw is ``low=128, high=148``.
    """
    shape = (*size, len(mean))
    return np.random.default_rng([seed, index]).uniform(low, high, shape).astype(np.float32)


@start(sigma=Knob(REQUIRED, "standard deviation", low=0, high=1000, unit="number of grey levels"))
def gaussian(size: Size, seed: int, index: int, mean: np.ndarray, sigma: float) -> np.ndarray:
    """Normal noise around the mean, of standard deviation ``sigma`` grey levels (Yosinski et al. 2015)."""
    shape = (*size, len(mean))
    return np.random.default_rng([seed, index]).normal(0.0, sigma, shape).astype(np.float32)


@start(sigma=Knob(REQUIRED, "standard deviation", low=0, high=1000, unit="number of grey levels"))
def pink(size: Size, seed: int, index: int, mean: np.ndarray, sigma: float) -> np.ndarray:
    r"""Normal noise whose amplitude falls with frequency, as that of natural images does.

    .. math:: x = F^{-1}(a \, F(z)), \quad a \propto 1 / f, \quad a(0) = 0

    Its channels have a mean of 0 and, over many draws, a standard deviation of ``sigma`` grey levels.
    """
    white = np.random.default_rng([seed, index]).normal(0.0, sigma, (*size, len(mean)))
    frequencies = np.hypot(np.fft.fftfreq(size[0])[:, None], np.fft.fftfreq(size[1]))
    amplitude = np.where(frequencies > 0, 1 / np.maximum(frequencies, 1 / max(size)), 0)
    amplitude /= max(np.sqrt(np.mean(amplitude**2)), 1e-30)  # the deviation stays that of the white noise
    spectrum = np.fft.fft2(white, axes=(0, 1)) * amplitude[:, :, None]
    return np.fft.ifft2(spectrum, axes=(0, 1)).real.astype(np.float32)


@start(
    sigma=Knob(
        REQUIRED, "standard deviation of the spectrum", low=0, high=1000, unit="number of units of theta"
    )
)
def fourier(size: Size, seed: int, index: int, mean: np.ndarray, sigma: float) -> np.ndarray:
    r"""The image of a random spectrum of decorrelated colours: what lucid starts from.

    .. math:: x = 255 \, \sigma(M \, F^{-1}(s \, \theta)) - \mu, \quad \theta \sim N(0, \mathrm{sigma})

    with :math:`M` and :math:`s` of `deepvis.ascent.parametrizations.fourier`, of power 1. It varies around
    mid-grey, not around the mean of the training set, and its colours are correlated as those of pictures.
    """
    shape = (2, len(mean), size[0], size[1] // 2 + 1)
    real, imaginary = np.random.default_rng([seed, index]).normal(0.0, sigma, shape) * spectra.scale(size, 1)
    maps = np.moveaxis(np.fft.irfft2(real + 1j * imaginary, size), 0, -1)
    argument = maps @ spectra.colours(len(mean))[0].T
    return (255 / (1 + np.exp(-argument)) - mean).astype(np.float32)


def twin(image: np.ndarray, number: int, seed: int, index: int) -> np.ndarray:
    """A perturbed replica of a start: every value moved by one ulp, up or down by chance.

    Ascent amplifies such a rounding until details differ: the numerical noise floor. The number, 1 or more,
    tells the replicas of a start apart.
    """
    up = np.random.default_rng([seed, index, number]).random(image.shape) < 0.5
    return np.nextafter(image, np.where(up, np.float32(np.inf), np.float32(-np.inf)))


@start(path=Knob(REQUIRED, "a picture file", kind=str))
def picture(size: Size, seed: int, index: int, mean: np.ndarray, path: str) -> np.ndarray:
    """A picture, the same for every filter (Gildenblat 2016, ``--img``); see `pictures.read`."""
    return pictures.read(path, size, len(mean)).astype(np.float32) - np.asarray(mean, np.float32)
