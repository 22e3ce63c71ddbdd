"""Log-spectral distance against a NumPy reference written from its formula, ring by ring."""

import numpy as np
import pytest

from deepvis.metrics.spectral_distance import natural_spectrum, spectral_distance

RNG = np.random.default_rng(0)


def coloured(slope, count, side=32):
    """Noise whose amplitudes fall as frequency to this power."""
    f = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side))
    gain = np.where(f > 0, np.where(f > 0, f, 1) ** slope, 0)
    drawn = np.fft.fft2(RNG.normal(size=(count, side, side, 3)), axes=(1, 2))
    return np.fft.ifft2(drawn * gain[..., None], axes=(1, 2)).real


def decibel(image):
    """One ring at a time, in a loop."""
    side = len(image)
    window = np.hanning(side)[:, None] * np.hanning(side)
    plane = np.fft.fft2((image - image.mean(axis=(0, 1))) * window[..., None], axes=(0, 1))
    amplitude = np.sqrt((np.abs(plane) ** 2).sum(axis=-1))
    rows, columns = np.meshgrid(np.fft.fftfreq(side) * side, np.fft.fftfreq(side) * side, indexing="ij")
    ring = np.rint(np.hypot(rows, columns))
    found = np.array([20 * np.log10(amplitude[ring == k].mean()) for k in range(2, side // 2 + 1)])
    return found - found.mean()


def test_it_is_the_formula_of_each_ring():
    natural, image = coloured(-1, 5), coloured(0, 1)[0]
    expected = np.mean([decibel(each) for each in natural], axis=0)
    np.testing.assert_allclose(natural_spectrum(natural), expected, atol=1e-4)
    distance = np.sqrt(np.mean((decibel(image) - expected) ** 2))
    assert spectral_distance(image, natural_spectrum(natural)) == pytest.approx(distance, rel=1e-4)


def test_contrast_and_mean_do_not_count_and_the_own_spectrum_is_no_distance_away():
    image = coloured(-1, 1)[0]
    natural = natural_spectrum(coloured(-2, 4))
    assert spectral_distance(3 * image + 7, natural) == pytest.approx(
        spectral_distance(image, natural), rel=1e-5
    )
    assert spectral_distance(image, natural_spectrum([image])) < 1e-6


def test_noise_is_farther_from_natural_images_the_whiter_it_is():
    natural = natural_spectrum(coloured(-1.2, 16))
    steeper, white, rising = (spectral_distance(coloured(slope, 1)[0], natural) for slope in (-1.2, 0, 1))
    assert steeper < white < rising


@pytest.mark.parametrize("bad", [np.zeros((16, 16, 3)), np.full((16, 16, 3), np.nan)])
def test_without_contrast_or_finite_pixels_there_is_none_and_natural_ones_are_left_out(bad):
    good = RNG.normal(size=(16, 16, 3))
    assert np.isnan(spectral_distance(bad, natural_spectrum([good])))
    np.testing.assert_array_equal(natural_spectrum([good, bad]), natural_spectrum([good]))
