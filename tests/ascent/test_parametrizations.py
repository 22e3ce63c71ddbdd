"""Laws of the parametrizations: every one fits a photograph, goes there and back, and equals an oracle.

The oracles are NumPy's, float64, one image at a time, over the whole spectrum where deepvis has half of it.
"""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import yaml
from helpers.configs import choices
from hydra.utils import get_method
from PIL import Image
from scipy import stats

from deepvis.ascent import parametrizations, spectra
from deepvis.core.names import CONF

MEANS = {1: (120.0,), 3: (123.68, 116.779, 103.939), 5: (120.0, 110.0, 100.0, 90.0, 80.0)}
RGB = np.array([[0.26, 0.09, 0.02], [0.27, 0.0, -0.05], [0.27, -0.09, 0.03]])
RGB /= np.sqrt(0.26**2 + 0.27**2 + 0.27**2)
POWER = 1.0  # conf's
MEMBERS = [name for name in choices("param") if name != "octaves"]  # that one is pixels
SHAPES = [((16, 16), 3), ((9, 9), 3), ((16, 16), 1), ((33, 33), 5), ((8, 17), 3), ((15, 6), 3), ((10, 4), 1)]


def made(name: str, size: tuple[int, int], channels: int = 3, **changed) -> parametrizations.Param:
    """A parametrization with the numbers of its file in conf/."""
    options = yaml.safe_load((CONF / "param" / f"{name}.yaml").read_text())
    return get_method(options.pop("_target_"))(size, MEANS[channels], **(options | changed))


def images(count: int, size: tuple[int, int], channels: int = 3) -> np.ndarray:
    """Centred pixels inside [0, 255]."""
    pixels = np.random.default_rng(size[0] + channels).uniform(20, 235, (count, *size, channels))
    return np.float32(pixels - MEANS[channels])


def photo(size: tuple[int, int]) -> np.ndarray:
    """A flower, [*size, 3] in [0, 255]."""
    path = Path(importlib.util.find_spec("sklearn").origin).parent / "datasets" / "images" / "flower.jpg"
    with Image.open(path) as file:
        return np.asarray(file.crop((150, 50, 450, 350)).resize(size[::-1]), np.float32)


def folder(path: Path, *pictures: np.ndarray) -> str:
    for i, picture in enumerate(pictures):
        Image.fromarray(picture.astype(np.uint8)).save(path / f"{i}.png")
    return str(path)


def thetas(param: parametrizations.Param, count: int, size: tuple[int, int], channels: int = 3) -> np.ndarray:
    """Of images, moved at random, so that they are no image's own."""
    theta = param.encode(tf.constant(images(count, size, channels))).numpy()
    return np.float32(theta + np.random.default_rng(1).normal(0, 0.3 * theta.std(), theta.shape))


def gradient(param: parametrizations.Param, theta, grad) -> tuple[np.ndarray, np.ndarray]:
    """An image, and how it pulls at theta; in a graph, where an optimizer may rewrite it."""

    @tf.function(autograph=False)
    def call(theta, grad):
        with tf.GradientTape() as tape:
            tape.watch(theta)
            image = param.decode(theta)
        return image, tape.gradient(image, theta, output_gradients=grad)

    return tuple(each.numpy() for each in call(tf.constant(theta), tf.constant(grad)))


# --- Oracles -----------------------------------------------------------------------------------------------


def frequency(k: int, size: int) -> float:
    """Of a row or column of the spectrum, cycles per px."""
    return min(k, size - k) / size


def recoloured(maps: np.ndarray) -> np.ndarray:
    """[C, h, w] in decorrelated colours -> [h, w, C]."""
    colours = RGB if len(maps) == 3 else np.eye(len(maps))
    return np.einsum("dc,cyx->yxd", colours, maps)


def fourier(theta: np.ndarray, size: tuple[int, int], mean) -> np.ndarray:
    spectrum = theta[0] + 1j * theta[1]
    height, width = size
    for k in range(height):
        for column in range(width // 2 + 1):
            f = np.hypot(frequency(k, height), frequency(column, width))
            spectrum[:, k, column] *= (height * width) ** 0.5 / 4 / max(f, 1 / max(size)) ** POWER
    z = recoloured(np.stack([np.fft.irfft2(each, s=size) for each in spectrum]))
    return 255 / (1 + np.exp(-z)) - np.array(mean)


def standardized(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / (values.std() + 1e-5)


def maco(theta: np.ndarray, size: tuple[int, int], mean) -> np.ndarray:
    """xplique 2.0.2, maco_image_parametrization, in float64, for pixels in [0, 255]."""
    radius = spectra.law(size, len(mean)).astype(float)
    maps = np.fft.irfft2(radius * np.exp(1j * standardized(theta)), s=size)
    return 255 / (1 + np.exp(-recoloured(standardized(maps)))) - np.array(mean)


def tent(side: int, level: int) -> np.ndarray:
    """How a level's line becomes one of the image: [side, side of the level]; the last pixel goes on."""
    few = max(1, side // 2**level)
    matrix = np.zeros((side, few))
    for i in range(side):
        at = i * few / side
        part = at - np.floor(at)
        matrix[i, int(at)] += 1 - part
        matrix[i, min(int(at) + 1, few - 1)] += part
    return matrix


def laplacian(theta: np.ndarray, size: tuple[int, int], mean, levels: int = 4) -> np.ndarray:
    """lucid 0.3.10, laplacian_pyramid_image, in float64."""
    channels, z = len(mean), np.zeros((*size, len(mean)))
    for level in range(levels):
        down, right = (tent(side, level) for side in size)
        count = down.shape[1] * right.shape[1] * channels
        part, theta = theta[:count].reshape(down.shape[1], right.shape[1], channels), theta[count:]
        z += np.einsum("yi,xj,ijc->yxc", down, right, part)
    assert len(theta) == 0
    return 255 / (1 + np.exp(-recoloured(z.transpose(2, 0, 1)))) - np.array(mean)


def fourier_phase(theta: np.ndarray, size: tuple[int, int], mean) -> np.ndarray:
    """faccent 1.0.3, fourier_phase.params_to_img, of params and magnitudes, in float64."""
    phase, gate, magnitude = theta
    maps = np.fft.irfft2(magnitude / (1 + np.exp(-gate)) * np.exp(1j * phase), s=size)
    return 255 / (1 + np.exp(-recoloured(maps))) - np.array(mean)


ORACLES = {
    "laplacian": laplacian, "pixel": lambda theta, size, mean: theta, "fourier": fourier, "maco": maco,
    "fourier_phase": fourier_phase,
}  # fmt: skip


@pytest.mark.parametrize(("size", "channels"), SHAPES)
@pytest.mark.parametrize("name", MEMBERS)
def test_decode_equals_the_oracle(name, size, channels):
    param = made(name, size, channels)
    theta = thetas(param, 2, size, channels)
    ours = param.decode(tf.constant(theta)).numpy()
    assert ours.dtype == np.float32
    for i in range(2):
        oracle = ORACLES[name](theta[i].astype(float), size, MEANS[channels])
        np.testing.assert_allclose(ours[i], oracle, rtol=0, atol=2e-3)


@pytest.mark.parametrize("size", [(5, 5), (6, 6), (4, 7), (5, 2)])
@pytest.mark.parametrize("name", MEMBERS)
def test_every_entry_of_the_gradient_is_the_oracles_slope(name, size):
    param = made(name, size)
    theta = thetas(param, 1, size)
    weight = np.random.default_rng(2).normal(0, 1, (1, *size, 3)).astype(np.float32)
    ours = gradient(param, theta, weight)[1][0]
    oracle, step = np.zeros_like(ours), 1e-4
    for entry in np.ndindex(ours.shape):
        sides = []
        for side in (step, -step):
            moved = theta[0].astype(float)
            moved[entry] += side
            sides.append((weight[0] * ORACLES[name](moved, size, MEANS[3])).sum())
        oracle[entry] = (sides[0] - sides[1]) / (2 * step)
    if name == "fourier_phase":
        oracle[2] = 0  # magnitudes stay
    np.testing.assert_allclose(ours, oracle, rtol=0, atol=2e-4 * np.abs(oracle).max())
    assert np.abs(ours).max() > 0


# --- There and back ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "channels"), SHAPES)
@pytest.mark.parametrize("name", [name for name in MEMBERS if name != "fourier_phase"])  # see below
def test_an_image_that_can_be_had_comes_back(name, size, channels):
    """One that was decoded; for all but the fixed magnitude that is any image inside [0, 255]."""
    free = {"spectrum": "1/f", "standardize": False} if name == "maco" else {}
    param = made(name, size, channels, **free)
    image = images(2, size, channels)
    if name == "maco":
        image = param.decode(param.encode(tf.constant(image))).numpy()
    again = param.decode(param.encode(tf.constant(image))).numpy()
    np.testing.assert_allclose(again, image, rtol=0, atol=1e-3)


def test_fourier_takes_what_no_sigmoid_reaches_to_the_edge_of_it():
    image = np.float32([-400, 0, 255, 900])[None, :, None, None] - np.float32(MEANS[3])
    image = np.broadcast_to(image, (1, 4, 4, 3))
    param = made("fourier", (4, 4))
    pixels = param.decode(param.encode(tf.constant(image))).numpy() + np.float32(MEANS[3])
    wanted = np.broadcast_to(np.array([0.01, 0.01, 254.99, 254.99])[None, :, None, None], image.shape)
    np.testing.assert_allclose(pixels, wanted, atol=1e-3)


@pytest.mark.parametrize(("size", "channels"), SHAPES)
def test_of_a_picture_the_first_gates_let_through_what_they_do_in_faccent(size, channels):
    """Its logit times the sigmoid of 5, whatever the colours: the transforms are linear."""
    image = images(2, size, channels)
    share = (image.astype(float) + MEANS[channels]) / 255
    wanted = 255 / (1 + ((1 - share) / share) ** (1 / (1 + np.exp(-5)))) - np.array(MEANS[channels])
    param = made("fourier_phase", size, channels)
    np.testing.assert_allclose(param.decode(param.encode(tf.constant(image))), wanted, rtol=0, atol=1e-3)


@pytest.mark.parametrize("size", [(16, 16), (17, 17), (11, 16), (18, 9)])
def test_the_phase_of_a_picture_and_its_magnitude_are_the_picture_but_for_brightness_and_contrast(
    size, tmp_path
):
    """And negative, and mirrored: signs at the ends of the spectrum and half turns in its outer columns."""
    mirrored = (photo(size) + photo(size)[::-1]) / 2
    for picture in (photo(size), 255 - photo(size), mirrored):
        pixels = np.clip(picture, 1, 254)
        argument = decorrelated(np.log(pixels / (255 - pixels)))
        np.save(tmp_path / "magnitude.npy", np.abs(np.fft.rfft2(argument)))
        param = made("maco", size, spectrum=str(tmp_path / "magnitude.npy"), standardize=False)
        again = param.decode(param.encode(tf.constant(np.float32(pixels - MEANS[3])[None]))).numpy()
        wanted = 255 / (1 + np.exp(-recoloured(standardized(argument)))) - np.array(MEANS[3])
        np.testing.assert_allclose(again[0], wanted, rtol=0, atol=1e-2)


def test_of_white_noise_standardized_phases_are_standard_normal():
    """Theirs are drawn so; those of a start come from the start, so that an image has its own."""
    noise = np.random.default_rng(8).normal(0, 10, (2, 64, 64, 3)).astype(np.float32)
    phases = made("maco", (64, 64)).encode(tf.constant(noise)).numpy().reshape(2, -1)
    wanted = stats.norm.ppf([0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99])
    for each in phases:
        np.testing.assert_allclose(
            np.quantile(each, [0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99]), wanted, atol=0.06
        )
    assert abs(np.corrcoef(phases)[0, 1]) < 0.03


RATES = {"laplacian": 0.05, "pixel": 3.0, "fourier": 0.05, "maco": 0.05, "fourier_phase": 0.05}
# Of the squared error; phases alone have many valleys, and a contrast of their own.
LEFT = {"laplacian": 0.03, "pixel": 1e-3, "fourier": 0.03, "maco": 0.45, "fourier_phase": 0.1}


@pytest.mark.parametrize("name", MEMBERS)
def test_descent_from_noise_fits_a_photograph(name, tmp_path):
    free = {"spectrum": folder(tmp_path, photo((32, 32))), "standardize": False}
    options = free if name == "maco" else {}
    param = made(name, (32, 32), **options)
    target = tf.constant(photo((32, 32))[None] - np.float32(MEANS[3]))
    start = np.random.default_rng(4).normal(0, 10, (1, 32, 32, 3)).astype(np.float32)
    if name == "fourier_phase":  # noise has not the magnitudes of a photograph, which turned it keeps
        start = target.numpy()[:, ::-1, ::-1]

    @tf.function(autograph=False)
    def error(theta):
        with tf.GradientTape() as tape:
            tape.watch(theta)
            error = tf.reduce_mean(tf.square(param.decode(theta) - target))
        return error, tape.gradient(error, theta)

    theta = param.encode(tf.constant(start))
    first = float(error(theta)[0])
    m, v = tf.zeros_like(theta), tf.zeros_like(theta)
    for t in range(1, 201):  # Adam
        _, grad = error(theta)
        m, v = 0.9 * m + 0.1 * grad, 0.999 * v + 0.001 * grad**2
        theta -= RATES[name] * (m / (1 - 0.9**t)) / (tf.sqrt(v / (1 - 0.999**t)) + 1e-8)
    assert float(error(theta)[0]) < LEFT[name] * first


# --- A batch never leaks -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "channels"), SHAPES)
@pytest.mark.parametrize("name", MEMBERS)
def test_packed_equals_alone_in_any_order(name, size, channels):
    param = made(name, size, channels)
    image = images(5, size, channels)
    theta, grad = thetas(param, 5, size, channels), images(5, size, channels)

    def of(rows):
        encoded = tf.function(param.encode, autograph=False)(tf.constant(image[rows])).numpy()
        return encoded, *gradient(param, theta[rows], grad[rows])

    packed = of([0, 1, 2, 3, 4])
    for rows in ([4], [4, 2, 0, 1, 3]):
        for ours, whole in zip(of(rows), packed, strict=True):
            np.testing.assert_array_equal(ours, whole[rows])


@pytest.mark.parametrize("name", MEMBERS)
def test_nan_stays_in_its_own_image(name):
    param = made(name, (9, 7))
    image = images(3, (9, 7))
    theta, grad = thetas(param, 3, (9, 7)), images(3, (9, 7))
    clean = param.encode(tf.constant(image)).numpy(), *gradient(param, theta, grad)
    broken = image.copy(), theta.copy()
    broken[0][1, 2, 3, 0] = np.nan
    broken[1][1].flat[40] = np.nan
    found = param.encode(tf.constant(broken[0])).numpy(), *gradient(param, broken[1], grad)
    assert np.isnan(found[0][1]).any() and np.isnan(found[1][1]).any()
    for ours, whole in zip(found, clean, strict=True):
        np.testing.assert_array_equal(ours[[0, 2]], whole[[0, 2]])


@pytest.mark.parametrize("name", MEMBERS)
def test_no_argument_is_mutated(name):
    mean = np.array(MEANS[3])
    options = yaml.safe_load((CONF / "param" / f"{name}.yaml").read_text())
    param = get_method(options.pop("_target_"))((8, 6), mean, **options)
    image = tf.Variable(images(2, (8, 6)))
    theta = tf.Variable(param.encode(image))
    before = theta.numpy().copy()
    param.decode(theta)
    np.testing.assert_array_equal(image.numpy(), images(2, (8, 6)))
    np.testing.assert_array_equal(theta.numpy(), before)
    np.testing.assert_array_equal(mean, MEANS[3])


# --- What is fixed -----------------------------------------------------------------------------------------


def decorrelated(argument: np.ndarray) -> np.ndarray:
    """[h, w, 3] -> [3, h, w]."""
    return np.einsum("cd,yxd->cyx", np.linalg.inv(RGB), argument.astype(float))


@pytest.mark.parametrize("level", range(4))
def test_one_value_of_a_level_is_one_tent_and_moves_as_many_pixels(level):
    """In closed form, of 16 x 32 px: a tent of 2^level px either way, whose sum is 4^level; a small level's
    gradient is that much larger."""
    size, k = (16, 32), 2**level
    before = sum((16 >> j) * (32 >> j) * 3 for j in range(level))
    theta = np.zeros((1, sum((16 >> j) * (32 >> j) * 3 for j in range(4))), np.float32)
    row, column = 1, 2  # of the level
    theta[0, before + (row * (32 >> level) + column) * 3] = 1  # of lightness
    param = made("laplacian", size)
    image, slopes = gradient(param, theta, np.ones((1, *size, 3), np.float32))
    pixels = image[0] + np.float32(MEANS[3])
    argument = np.log(pixels / (255 - pixels))
    down, right = (
        np.maximum(0, 1 - np.abs(np.arange(side) - at * k) / k)
        for side, at in zip(size, (row, column), strict=True)
    )
    if level == 3:  # the last row of a level goes on to the image's end
        down[8:] = 1
    wanted = np.outer(down, right)[..., None] * RGB[:, 0]
    np.testing.assert_allclose(argument, wanted, atol=1e-5)
    weights = 255 * (pixels / 255 * (1 - pixels / 255)) * RGB[:, 0] * np.outer(down, right)[..., None]
    found = slopes[0, before + (row * (32 >> level) + column) * 3]
    np.testing.assert_allclose(found, weights.sum(), rtol=1e-4)
    assert level == 3 or np.outer(down, right).sum() == pytest.approx(4**level)


def test_a_pyramid_of_a_picture_has_its_means_in_the_smallest_level():
    """And what they leave in the others: of a flat picture nothing is left."""
    flat = np.full((1, 16, 32, 3), [40.0, 10.0, -30.0], np.float32)
    theta = made("laplacian", (16, 32)).encode(tf.constant(flat)).numpy()[0]
    pixels = flat[0, 0, 0] + np.float32(MEANS[3])
    colour = np.linalg.inv(RGB) @ np.log(pixels / (255 - pixels))
    np.testing.assert_allclose(theta[-2 * 4 * 3 :].reshape(-1, 3), np.tile(colour, (8, 1)), rtol=1e-4)
    np.testing.assert_allclose(theta[: -2 * 4 * 3], 0, atol=1e-5)


@pytest.mark.parametrize("size", [(16, 16), (17, 17), (11, 16), (18, 9)])
def test_no_phase_changes_a_magnitude(size):
    """Of the sigmoid's argument, everywhere but in columns that are their own mirror, up to a factor."""
    theta = np.random.default_rng(5).normal(0, 3, (4, 3, size[0], size[1] // 2 + 1)).astype(np.float32)
    inner = slice(1, (size[1] + 1) // 2)
    radius = spectra.magnitude("law", size, np.array(MEANS[3]))[:, :, inner]
    for image in made("maco", size).decode(tf.constant(theta)).numpy() + np.float32(MEANS[3]):
        argument = decorrelated(np.log(image / (255 - image)))
        found = np.abs(np.fft.rfft2(argument))[:, :, inner]
        found /= np.median(found / radius)
        np.testing.assert_allclose(found, radius, rtol=1e-3, atol=1e-6 * radius.max())
        assert (argument.mean(), argument.std()) == (pytest.approx(0, abs=1e-4), pytest.approx(1, rel=1e-3))


def test_a_rate_for_fourier_means_the_same_at_any_size():
    """Theta of deviation 1 is an argument of the sigmoid of deviation about 1: neither grey nor flat."""

    def deviation(size):
        theta = np.random.default_rng(7).normal(0, 1, (8, 2, 3, size[0], size[1] // 2 + 1)).astype(np.float32)
        pixels = made("fourier", size).decode(tf.constant(theta)).numpy() + np.float32(MEANS[3])
        return np.log(pixels / (255 - pixels)).std()

    assert 0.8 < deviation((24, 24)) < deviation((48, 48)) < 1.2
    assert 0.8 < deviation((12, 96)) < 1.3 and 0.8 < deviation((96, 12)) < 1.3
