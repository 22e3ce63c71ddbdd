"""Image statistics: centred pixels ``[H, W, C]`` of a finished image -> one number.

None depends on the contrast of the image, which a step size sets as it likes; none but `saturation` looks at
colour. Without any contrast they are NaN. docs/reference/metrics.md shows each on well-known pictures.
"""

import functools
from collections.abc import Callable

import numpy as np
import scipy


def total_variation(image: np.ndarray) -> float:
    r"""How much neighbouring pixels differ: anisotropic total variation, in standard deviations.

    .. math:: \frac{\overline{|x_{i+1,j,c} - x_{ijc}|} + \overline{|x_{i,j+1,c} - x_{ijc}|}}{\sigma},
              \quad \sigma^2 = \overline{\operatorname{var}_{ij}(x_{ijc})}

    Returns:
      0 or more; less is smoother. White noise has :math:`4 / \sqrt\pi = 2.26`, a photograph 0.3 to 0.5. It
      depends on the size in pixels: the same photograph, halved, has another.
      Source: Rudin, Osher and Fatemi 1992; as a prior of images, Mahendran and Vedaldi 2015.
    """
    steps = [np.abs(np.diff(image, axis=axis)).mean() for axis in (0, 1) if image.shape[axis] > 1]
    return _over(sum(steps), np.sqrt(_variance(image) / image.shape[-1]))


def high_frequency(image: np.ndarray) -> float:
    r"""Share of the power above a quarter of a cycle a pixel, half of what the pixels can show.

    .. math:: \sum_{|f| > 1/4} |\hat x(f)|^2 \, / \, \sum_{f \ne 0} |\hat x(f)|^2

    Returns:
      In [0, 1]; less is smoother. White noise has :math:`1 - \pi / 16 = 0.80`, a photograph 0.02 to 0.1. It
      depends on the size in pixels, and one outlying pixel, with power at every frequency, can double it.
      Source: the checkerboards of Odena et al. 2016 and the noise of Olah et al. 2017, as a number.
    """
    power, radius = _spectrum(image, window=False)
    return _over(power[radius > 0.25].sum(), power[radius > 0].sum())


def spectral_slope(image: np.ndarray) -> float:
    r"""Slope of the amplitude spectrum, averaged over all directions, in a double logarithmic plot.

    .. math:: \log \overline{|\hat x(f)|} \approx a \log f + c

    by least squares over rings one frequency wide, from two cycles over the shorter side to half a cycle a
    pixel. Through a Hann window: else the jump between opposite borders has a slope of its own.

    Returns:
      White noise has 0, photographs lie near -1 (Field 1987; Ruderman and Bialek 1994). Of a smooth image it
      is set by whatever faint noise there is. NaN where a side is below 6 px, for a line needs two rings;
      below 16 px it says little.
    """
    frequencies, means = ring_amplitudes(image)
    if len(frequencies) < 2 or not means.min() > 0:
        return np.nan
    return float(np.polyfit(np.log(frequencies), np.log(means), 1)[0])


def ring_amplitudes(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The amplitude spectrum averaged over all directions, through a Hann window: ``[rings]`` each.

    Returns:
      Cycles over the shorter side, whole numbers from two to half a cycle a pixel, and the mean amplitude in
      the ring of each, one cycle wide.
    """
    power, radius = _spectrum(image, window=True)
    n = min(image.shape[:2])
    rings = np.rint(radius * n).astype(int).ravel()
    frequencies = np.arange(2, n // 2 + 1)
    return frequencies, np.bincount(rings, np.sqrt(power).ravel())[frequencies] / np.bincount(rings)[
        frequencies
    ]


def sparsity(image: np.ndarray) -> float:
    r"""How much of the image few pixels hold, by the norms over colour of what differs from its mean.

    .. math:: \frac{\sqrt n - \lVert v \rVert_1 / \lVert v \rVert_2}{\sqrt n - 1},
              \quad v_{ij} = \lVert x_{ij} - \bar x \rVert_2

    Returns:
      In [0, 1]: 0 where all pixels differ as much from the mean, 1 where one pixel holds everything.
      Source: Hoyer 2004, section 3.1.
    """
    centred = image - _mean(image)
    squares = np.einsum("ijc,ijc->ij", centred, centred)
    root = np.sqrt(squares.size)
    return (root - _over(np.sqrt(squares).sum(), np.sqrt(squares.sum()))) / (root - 1)


def saturation(image: np.ndarray) -> float:
    r"""Share of the variance that is colour: what a photograph in black and white would lose.

    .. math:: 1 - C \operatorname{var}(\overline{x}_{ij}) \, / \, \sum_c \operatorname{var}(x_{ijc}),
              \quad \overline x_{ij} = \tfrac1C \sum_c x_{ijc}

    Returns:
      In [0, 1]: 0 without colour, 2/3 where three channels know nothing of one another, 1 where their sum is
      the same everywhere. Photographs lie near 0.1: their channels are correlated (Ruderman et al. 1998).
    """
    channels = image.shape[-1]
    grey = image @ np.full(channels, 1 / channels, image.dtype)
    return 1 - _over(channels * grey.var(dtype=float), _variance(image))


METRICS: dict[str, Callable[[np.ndarray], float]] = {
    metric.__name__: metric
    for metric in (total_variation, high_frequency, spectral_slope, sparsity, saturation)
}


def of(image: np.ndarray) -> dict[str, float]:
    """Every metric of an image; NaN throughout if it has no contrast or is not finite."""
    if not np.isfinite(image).all() or np.ptp(image) == 0:
        return dict.fromkeys(METRICS, np.nan)
    # No metric sees a mean or a scale; without them float32 is enough, even for an image that diverged.
    centred = image - _mean(image, float)
    image = (centred / np.abs(centred).max()).astype(np.float32)
    return {name: float(metric(image)) for name, metric in METRICS.items()}


def _variance(image: np.ndarray) -> float:
    """Over all colours, summed in float64, for float32 loses three digits over so many pixels."""
    mean = np.einsum("ijc->c", image, dtype=float) / image[..., 0].size
    return np.einsum("ijc,ijc->", image, image, dtype=float) / image[..., 0].size - mean @ mean


def _over(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else np.nan


def _spectrum(image: np.ndarray, window: bool) -> tuple[np.ndarray, np.ndarray]:
    """Power over all colours, and cycles a pixel, each [H, W]."""
    radius, hann = _plane(*image.shape)
    centred = image - _mean(image)
    spectrum = scipy.fft.fft2(centred * hann if window else centred, axes=(0, 1))
    parts = np.ascontiguousarray(spectrum).view(spectrum.real.dtype)  # real and imaginary, of each colour
    return np.einsum("ijk,ijk->ij", parts, parts), radius


def _mean(image: np.ndarray, dtype: type | None = None) -> np.ndarray:
    """Of each colour; by columns first, which takes a tenth of the time of both axes at once."""
    return image.mean(axis=0, dtype=dtype).mean(axis=0)


@functools.lru_cache(maxsize=4)
def _plane(h: int, w: int, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Of each frequency, cycles a pixel; of each value, Hann's window."""
    radius = np.hypot(scipy.fft.fftfreq(h)[:, None], scipy.fft.fftfreq(w))
    hann = (np.hanning(h)[:, None] * np.hanning(w)).astype(np.float32)
    return radius, np.repeat(hann[..., None], channels, axis=-1)
