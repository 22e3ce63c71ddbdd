"""Log-spectral distance: how far the spectrum of an image is from that of natural images, in decibel.

The contrast of an image, which a step size sets as it likes, does not count, and no direction does.
"""

from collections.abc import Iterable

import numpy as np

from deepvis.metrics.image_statistics import ring_amplitudes


def natural_spectrum(images: Iterable[np.ndarray]) -> np.ndarray:
    r"""The mean logarithmic spectrum of natural images, each of its mean 0: ``[rings]`` in decibel.

    .. math:: S_k = \overline{20 \log_{10} A_k - \overline{20 \log_{10} A_j}_j}

    with :math:`A_k` the mean amplitude in a ring of frequencies, and the outer mean over images.

    Args:
      images: ``[H, W, C]`` of one size; those without contrast, or below 6 px, do not count.
    """
    found = [_decibel(image) for image in images]
    known = [each for each in found if np.isfinite(each).all()]
    return np.mean(known, axis=0) if known else np.full_like(found[0], np.nan)


def spectral_distance(image: np.ndarray, natural: np.ndarray) -> float:
    r"""The log-spectral distance of an image to natural ones.

    .. math:: D = \sqrt{\overline{(s_k - S_k)^2}_k}

    Args:
      image: ``[H, W, C]``, centred or not.
      natural: of images of this size; see `natural_spectrum`.

    Returns:
      0 or more, in decibel; less is nearer. NaN of an image without contrast or that is not finite.

    Example:
      >>> noise = np.random.default_rng(0).normal(size=(4, 64, 64, 3))
      >>> round(spectral_distance(noise[0], natural_spectrum(noise[1:])))
      0

    Source: Gray and Markel 1976, "Distance measures for speech processing", of images' radial spectra.
    """
    return float(np.sqrt(np.mean((_decibel(image) - natural) ** 2)))


def _decibel(image: np.ndarray) -> np.ndarray:
    """The spectrum in decibel, of mean 0; NaN without contrast."""
    image = np.asarray(image, float)
    if not np.isfinite(image).all() or np.ptp(image) == 0:
        return np.full(len(np.arange(2, min(image.shape[:2]) // 2 + 1)), np.nan)
    _, amplitudes = ring_amplitudes(image / np.abs(image).max())
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithms = 20 * np.log10(amplitudes)
        return np.where(np.isfinite(logarithms).all(), logarithms - logarithms.mean(), np.nan)
