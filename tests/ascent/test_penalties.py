"""Laws of penalties: the published equations in float64, their derivatives, and the batch law."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.configs import job_of
from scipy import ndimage

from deepvis.ascent import optimize, penalties, specs
from deepvis.ascent.ops import blur_matrix

tf = pytest.importorskip("tensorflow")
IMAGES = np.random.default_rng(0).normal(0, 40, (3, 7, 9, 3)).astype(np.float32)
IMAGES[0] *= 0.01  # nearly grey
POWERS = np.float32([1.0, 2.0, 3.7])
SIGMAS = (0.5, 1.0, 3.0)


def variation(x, power):
    right, down = np.zeros_like(x), np.zeros_like(x)
    right[:, :-1], down[:-1] = np.diff(x, axis=1), np.diff(x, axis=0)
    return (((right**2 + down**2 + penalties.FLAT) / (80 / 6.5) ** 2) ** (power / 2)).sum() / x[..., 0].size


def norm(x, power):
    return ((((x**2).sum(-1) + penalties.FLAT) / 80**2) ** (power / 2)).mean()


def blur_distance(x, sigma, blurred=None):
    if blurred is None:
        blurred = ndimage.gaussian_filter(x, (sigma, sigma, 0), mode="reflect")
    return ((x - blurred) ** 2).sum() / (2 * 80**2) / x[..., 0].size


def made(name, weights):
    weights = tf.constant(weights)
    if name == "high_frequency":
        down, right = (np.stack([blur_matrix(n, "gaussian", 0, s) for s in SIGMAS]) for n in (7, 9))
        return penalties.high_frequency(weights, tf.constant(down), tf.constant(right))
    return getattr(penalties, name)(weights, tf.constant(POWERS))


CASES = {"total_variation": (variation, POWERS), "p_norm": (norm, POWERS),
         "high_frequency": (blur_distance, SIGMAS)}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_penalty_and_its_gradient_are_the_published_ones(name):
    """Against NumPy in float64, the gradient by finite differences; a blur is a constant of its image."""
    oracle, options = CASES[name]
    weights = np.float32([0.5, 1, 3])
    image = tf.constant(IMAGES)
    with tf.GradientTape() as tape:
        tape.watch(image)
        found = made(name, weights)(image)
    gradient = tape.gradient(found, image).numpy()
    rng = np.random.default_rng(1)
    for b, option in enumerate(options):
        x = IMAGES[b].astype(float)
        fixed = [ndimage.gaussian_filter(x, (option, option, 0), mode="reflect")]
        fixed = fixed if name == "high_frequency" else []
        np.testing.assert_allclose(found[b], weights[b] * oracle(x, option), rtol=1e-5)
        for _ in range(5):
            direction = rng.normal(size=x.shape)
            ends = [oracle(x + sign * 1e-4 * direction, option, *fixed) for sign in (1, -1)]
            slope = weights[b] * (ends[0] - ends[1]) / 2e-4
            size = np.linalg.norm(gradient[b]) * np.linalg.norm(direction)
            assert abs((gradient[b] * direction).sum() - slope) < 1e-4 * size
    step = IMAGES - gradient
    for b in range(3):
        assert oracle(step[b].astype(float), options[b]) < oracle(IMAGES[b].astype(float), options[b])


SETTINGS = [
    ("reg.decay=0.9",),
    ("reg.total_variation=0.5", "reg.total_variation_power=1.3"),
    ("reg.p_norm=0.2", "reg.p_norm_power=3.3", "reg.high_frequency=2", "steps=3"),
    ("reg.total_variation=0.1", "reg.high_frequency=9", "reg.high_frequency_sigma=0.6"),
    (),
]
PIXELS = ("size=17", "steps=5", "robustness=false", "optimizer=sgd", "optimizer.learning_rate=30")


def specs_of(settings, *typed):
    cfgs = [job_of(None, *typed, *each).cfg for each in settings]
    return [specs.ImageSpec(cfg, index) for index, cfg in enumerate(cfgs)]


@pytest.mark.parametrize("param", ["pixel", "fourier"])
def test_an_image_is_bitwise_the_same_beside_images_with_other_penalties(param):
    """In one program with all penalties, and in one of its own; without any it is as if there were none."""
    settings = SETTINGS if param == "pixel" else SETTINGS[1:]
    images = specs_of(settings, *PIXELS, f"param={param}")
    beside = optimize.optimize(images)
    for i, image in enumerate(images):
        alone = optimize.optimize([image])
        np.testing.assert_array_equal(alone.final[0], beside.final[i])
        steps = image.cfg.steps
        for name in ("score", "activation", "image_rms"):
            np.testing.assert_array_equal(alone.history[name][:steps, 0], beside.history[name][:steps, i])
    ends = {image.tobytes() for image in beside.final}
    assert len(ends) == len(settings)


def test_the_score_is_recorded_without_its_penalty_which_pulls_the_image():
    """Rising weights: less variation, less of the score; what is recorded is the objective."""
    settings = [(f"reg.total_variation={weight}",) for weight in (0, 1, 10)]
    images = [replace(image, index=0) for image in specs_of(settings, *PIXELS, "steps=20")]
    found = optimize.optimize(images)
    variations = [variation(image.astype(float), 2) for image in found.final]
    assert variations == sorted(variations, reverse=True) and variations[2] < variations[0] / 2
    scores = found.history["score"]
    assert scores[0, 0] == scores[0, 1] == scores[0, 2]  # before the first step, although one pays for it
    assert scores[-1, 0] > scores[-1, 1] > scores[-1, 2]


@pytest.mark.parametrize("param", ["pixel", "fourier"])
def test_alpha_changes_no_image_that_has_penalties(param):
    """Importance is that of the score alone, taken by another way than the step without it."""
    settings = SETTINGS[1:3]
    plain, with_alpha = (
        optimize.optimize(specs_of(settings, *PIXELS, f"param={param}", f"alpha={alpha}"))
        for alpha in ("false", "true")
    )
    np.testing.assert_array_equal(plain.final, with_alpha.final)


def test_a_line_search_ascends_the_score_less_its_penalty():
    images = specs_of([("reg.total_variation=3",)], *PIXELS[:3], "optimizer=lbfgs")
    ends = []
    optimize.optimize(images, on_snapshot=lambda _, seen: ends.append((seen.image[0], seen)))
    found = optimize.optimize(images).history["score"][:, 0]
    values = [
        found[seen.first + len(seen.record["score"])] - 3 * variation(image.astype(float), 2)
        for image, seen in ends
    ]
    start = 3 * variation(ends[0][1].start[0].astype(float), 2)
    assert found[0] - start < values[0] and values == sorted(values)
    plain = optimize.optimize(specs_of([()], *PIXELS[:3], "optimizer=lbfgs"))
    assert plain.history["score"][-1, 0] > found[-1]
