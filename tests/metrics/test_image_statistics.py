"""Metrics of images give what is known of pictures by construction, and of photographs by publication."""

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from sklearn.datasets import load_sample_image

from deepvis.metrics import image_statistics

N = 128
RNG = np.random.default_rng


def white(seed: int = 0) -> np.ndarray:
    return RNG(seed).normal(0, 1, (N, N, 3))


def power_law(exponent: float) -> np.ndarray:
    """Noise whose amplitude falls as the frequency to that power."""
    radius = np.hypot(np.fft.fftfreq(N)[:, None], np.fft.fftfreq(N))
    radius[0, 0] = 1
    spectrum = np.fft.fft2(white(), axes=(0, 1)) * (radius**-exponent)[..., None]
    return np.fft.ifft2(spectrum, axes=(0, 1)).real


def grey(plane: np.ndarray) -> np.ndarray:
    return plane[..., None] * np.ones(3)


def waves(cycles: float) -> np.ndarray:
    """So many cycles a pixel, upright."""
    return grey(np.tile(np.sin(2 * np.pi * cycles * np.arange(N) + 0.3), (N, 1)))


def photograph(name: str) -> np.ndarray:
    """The middle of one of scikit-learn's two."""
    return load_sample_image(f"{name}.jpg")[100:356, 200:456].astype(float)


PHOTOGRAPHS = ("china", "flower")


def test_white_noise():
    found = image_statistics.of(white())
    assert found["total_variation"] == pytest.approx(4 / np.sqrt(np.pi), rel=0.01)
    assert found["high_frequency"] == pytest.approx(1 - np.pi / 16, abs=0.01)
    assert found["spectral_slope"] == pytest.approx(0, abs=0.05)
    assert found["saturation"] == pytest.approx(2 / 3, abs=0.01)


@pytest.mark.parametrize("exponent", [0.5, 1, 1.5, 2])
def test_the_slope_of_noise_that_falls_as_a_power_of_frequency(exponent):
    assert image_statistics.spectral_slope(power_law(exponent)) == pytest.approx(-exponent, abs=0.06)


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_photographs_are_as_field_and_ruderman_found_them(name):
    found = image_statistics.of(photograph(name))
    assert -1.25 < found["spectral_slope"] < -0.8
    assert 0.02 < found["high_frequency"] < 0.1 and 0.3 < found["total_variation"] < 0.5
    assert found["saturation"] < 0.3


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_a_photograph_whose_pixels_were_shuffled_is_noise_in_its_own_colours(name):
    photo = photograph(name)
    shuffled = RNG(0).permutation(photo.reshape(-1, 3)).reshape(photo.shape)
    found, before = image_statistics.of(shuffled), image_statistics.of(photo)
    assert found["spectral_slope"] == pytest.approx(0, abs=0.05)
    assert found["high_frequency"] == pytest.approx(1 - np.pi / 16, abs=0.02)
    for kept in ("saturation", "sparsity"):
        assert found[kept] == pytest.approx(before[kept], rel=1e-4)


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_a_blur_smooths(name):
    photo = photograph(name)
    soft = ndimage.gaussian_filter(photo, (1, 1, 0))
    for metric in (
        image_statistics.total_variation,
        image_statistics.high_frequency,
        image_statistics.spectral_slope,
    ):
        assert metric(soft) < metric(photo)


def test_total_variation_of_a_ramp_and_of_stripes():
    ramp = grey(np.tile(np.arange(N, dtype=float), (N, 1)))
    assert image_statistics.total_variation(ramp) == pytest.approx(1 / np.sqrt((N**2 - 1) / 12))
    for width in (1, 2, 4):  # an edge every so many lines
        stripes = grey(np.tile(np.repeat([[-1.0], [1.0]], width, axis=0), (N // (2 * width), N)))
        assert image_statistics.total_variation(stripes) == pytest.approx(2 * (N / width - 1) / (N - 1))


@pytest.mark.parametrize(("cycles", "share"), [(1 / 64, 0), (1 / 8, 0), (1 / 4, 0), (3 / 8, 1), (1 / 2, 1)])
def test_high_frequency_of_waves(cycles, share):
    assert image_statistics.high_frequency(waves(cycles)) == pytest.approx(share, abs=1e-9)
    assert image_statistics.high_frequency(waves(1 / 16) + waves(3 / 8)) == pytest.approx(0.5)


@pytest.mark.parametrize("pairs", [1, 8, 1000, N * N // 2])
def test_sparsity_of_so_many_equal_pixels(pairs):
    """Half of them brighter, half of them darker, so that the rest is the mean."""
    plane = np.zeros(N * N)
    plane[: 2 * pairs] = np.tile([5.0, -5.0], pairs)
    image = grey(RNG(0).permutation(plane).reshape(N, N))
    assert image_statistics.sparsity(image) == pytest.approx((N - np.sqrt(2 * pairs)) / (N - 1))


def test_saturation_of_grey_of_opponent_colours_and_of_unrelated_channels():
    plane = white()[..., 0]
    assert image_statistics.saturation(grey(plane)) == pytest.approx(0, abs=1e-12)
    opponent = np.stack([plane, -plane, 0 * plane], axis=-1)
    assert image_statistics.saturation(opponent) == pytest.approx(1)
    assert image_statistics.saturation(grey(plane) + opponent) == pytest.approx(2 / 5, abs=1e-9)
    assert image_statistics.saturation(plane[..., None] * np.array([1.0, 0, 0])) == pytest.approx(2 / 3)


PICTURES = {"white": white(), "1/f": power_law(1), "photograph": photograph("flower")}


@pytest.mark.parametrize("name", PICTURES)
def test_contrast_brightness_and_orientation_change_nothing(name):
    image = PICTURES[name]
    want = image_statistics.of(image)
    tinted = 0.3 * image + np.array([40.0, -3.0, 7.0])
    huge = (image / np.abs(image).max() * 1e38).astype(np.float32)
    turned = (np.rot90(image), image[::-1], image[:, ::-1], image[..., ::-1], -image)
    for other in (tinted, huge, image.astype(np.float32), *turned):
        assert image_statistics.of(other) == pytest.approx(want, rel=1e-4, abs=1e-4)


def test_rectangles_have_the_values_of_squares_whichever_way_they_lie():
    for lying in (
        white()[:48],
        power_law(1)[:64],
        load_sample_image("china.jpg")[150:250, :400].astype(float),
    ):
        found, upright = image_statistics.of(lying), image_statistics.of(lying.swapaxes(0, 1))
        assert found == pytest.approx(upright, rel=1e-4, abs=1e-4)
    found = image_statistics.of(RNG(1).normal(0, 1, (40, 300, 3)))
    assert found["total_variation"] == pytest.approx(4 / np.sqrt(np.pi), rel=0.01)
    assert found["high_frequency"] == pytest.approx(1 - np.pi / 16, abs=0.02)
    assert found["spectral_slope"] == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize("exponent", [0.5, 1, 1.5])
def test_the_slope_of_a_rectangles_noise(exponent):
    height, width = 48, 200
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width))
    radius[0, 0] = 1
    spectrum = (
        np.fft.fft2(RNG(2).normal(0, 1, (height, width, 3)), axes=(0, 1)) * radius[..., None] ** -exponent
    )
    image = np.fft.ifft2(spectrum, axes=(0, 1)).real
    assert image_statistics.spectral_slope(image) == pytest.approx(-exponent, abs=0.06)


@pytest.mark.parametrize("size", [(1, 40), (40, 2), (3, 40), (5, 9)])
@pytest.mark.filterwarnings("error")
def test_of_a_strip_there_is_a_number_or_nan(size):
    found = image_statistics.of(RNG(3).normal(0, 1, (*size, 3)).astype(np.float32))
    assert np.isnan(found.pop("spectral_slope"))  # too few rings for a line
    assert np.isfinite(list(found.values())).all()


@pytest.mark.parametrize("value", [0.0, 7.5, np.nan, np.inf])
def test_a_picture_of_nothing_has_no_metrics(value):
    found = image_statistics.of(np.full((32, 32, 3), value, np.float32))
    assert found.keys() == image_statistics.METRICS.keys() and np.isnan(list(found.values())).all()
    half = white()
    half[3, 4, 0] = value
    assert np.isfinite(list(image_statistics.of(half).values())).all() == np.isfinite(value)


def test_the_table_of_the_documentation_is_true():
    photo = photograph("flower")
    halved = photo.reshape(128, 2, 128, 2, 3).mean(axis=(1, 3))
    blurred = ndimage.gaussian_filter(photo, (2, 2, 0))
    outlying = halved.copy()
    outlying[40, 50] = halved.mean() + 30 * halved.std()
    pictures = {
        "white noise": white(),
        "1/f noise": power_law(1),
        "stripes, a line each": grey(np.tile([[-1.0], [1.0]], (N // 2, N))),
        "china.jpg": photograph("china"),
        "flower.jpg": photo,
        "flower.jpg, its pixels shuffled": RNG(0).permutation(photo.reshape(-1, 3)).reshape(photo.shape),
        "flower.jpg, half as wide and high": halved,
        "that, one pixel 30 standard deviations brighter": outlying,
        "flower.jpg, blurred by 2 px": blurred,
        "that, with 1 % of white noise": blurred + RNG(0).normal(0, 0.01 * blurred.std(), blurred.shape),
    }
    text = (Path(__file__).parents[2] / "docs" / "reference" / "metrics.md").read_text()
    head, _, *lines = (
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.partition("| picture ")[2].partition("\n\n")[0].splitlines()
    )
    assert head == list(image_statistics.METRICS)
    assert {name: values for name, *values in lines} == {
        name: [f"{value:.2f}".replace("-0.00", "0.00") for value in image_statistics.of(picture).values()]
        for name, picture in pictures.items()
    }
    assert set(image_statistics.METRICS) <= {
        line.split("`")[1] for line in text.splitlines() if line.startswith("| `")
    }
