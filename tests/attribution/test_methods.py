"""Every method on `tiny` and on Keras networks, against references in NumPy, float64, one image at a time."""

import functools

import numpy as np
import pytest
import scipy.integrate
import tensorflow as tf
import yaml
from helpers import reference
from helpers.configs import members

from deepvis import networks
from deepvis.ascent import objectives
from deepvis.attribution import methods, occlusion  # noqa: F401  declares them
from deepvis.attribution.family import Attribution, filling
from deepvis.attribution.path_integral import integral
from deepvis.attribution.unit import Unit, compiled
from deepvis.config import knobs
from deepvis.core.errors import ConfigError
from deepvis.core.names import CONF
from deepvis.networks.base import Activation, Activations

LAYER, UNIT, SIZE = "block2_conv2", 5, (12, 16)
METHODS = members("attribution")
SMALL = {
    "smooth_grad": {"samples": 3},
    "occlusion": {"patch": 5, "stride": 3},
    "grad_cam": {"layer": "block2_conv1"},
    "layer_cam": {"layer": "block2_conv1"},
}


def channel(layer, pre_activation=False):
    """The score of a channel, in the form that `compiled` takes."""
    return lambda activations, numbers: objectives.channel(layer, numbers["filter"], pre_activation)(
        activations
    )


def neuron(layer):
    return lambda activations, numbers: objectives.neuron(
        layer, numbers["filter"], row=numbers["row"], column=numbers["column"], pre_activation=True
    )(activations)


def unit_of(network, layer, index=UNIT, batch=16, pre_activation=False, at=None) -> Unit:
    """A channel's mean, or a neuron at a place."""
    score = channel(layer, pre_activation) if at is None else neuron(layer)
    made = compiled(network, [layer], score)
    return Unit(made, {"filter": np.array([index], np.int32)} | (at or {}), batch)


def options(name: str) -> dict:
    """Of its file in conf/, small."""
    given = yaml.safe_load((CONF / "attribution" / f"{name}.yaml").read_text())
    return {key: value for key, value in given.items() if key != "_target_"} | SMALL.get(name, {})


def method(name: str, unit: Unit, **changes):
    return knobs.components("attribution")[name].function(unit, **options(name) | changes)


@pytest.fixture(scope="module")
def tiny() -> Activations:
    model = yaml.safe_load((CONF / "model" / "tiny.yaml").read_text())
    return networks.network(model).build([LAYER], SIZE, "float32")


@pytest.fixture(scope="module")
def weights() -> dict:
    model = yaml.safe_load((CONF / "model" / "tiny.yaml").read_text())
    return networks.network(model).read(LAYER).layers


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 60, (5, *SIZE, 3)).astype(np.float32)


def test_every_file_has_a_method_and_every_method_a_file():
    assert set(METHODS) == set(knobs.components("attribution")) and len(METHODS) == 9


# Backward in NumPy, float64 ----------


def backward_conv(gradient, kernel):
    """The gradient by the argument of a 3 x 3 convolution: the same convolution, turned and transposed."""
    turned = kernel[::-1, ::-1].transpose(0, 1, 3, 2)
    return reference.convolve(gradient, turned, np.zeros(turned.shape[-1]))


def backward_pool(gradient, x):
    """To the first maximum of each 2 x 2 window."""
    out = np.zeros_like(x)
    for i, j, c in np.ndindex(gradient.shape):
        window = x[2 * i : 2 * i + 2, 2 * j : 2 * j + 2, c]
        a, b = np.unravel_index(window.argmax(), window.shape)
        out[2 * i + a, 2 * j + b, c] = gradient[i, j, c]
    return out


RULES = {
    "plain": lambda g, x: g * (x > 0),
    "deconvnet": lambda g, x: np.maximum(g, 0),
    "guided": lambda g, x: np.maximum(g, 0) * (x > 0),
}


def expected_gradient(image, weights, rule, index=UNIT):
    """Of the mean of a channel behind its ReLU, by the image."""
    x, seen, block = image[..., ::-1].astype(float), [], "block1"
    for name, (kernel, bias) in weights.items():
        pooled = None
        if not name.startswith(block):
            block, pooled = name[:6], x
            x = reference.max_pool(x)
        pre = reference.convolve(x, kernel, bias)
        seen.append((pooled, kernel, pre))
        x = np.maximum(pre, 0)
    gradient = np.zeros_like(x)
    gradient[..., index] = 1 / (x.shape[0] * x.shape[1])
    for pooled, kernel, pre in reversed(seen):
        gradient = backward_conv(RULES[rule](gradient, pre), kernel)
        if pooled is not None:
            gradient = backward_pool(gradient, pooled)
    return gradient[..., ::-1]


@pytest.mark.parametrize("name, rule", [
    ("saliency", "plain"), ("gradient_input", "plain"), ("deconvnet", "deconvnet"),
    ("guided_backprop", "guided"),
])  # fmt: skip
def test_gradients_are_those_of_numpy(name, rule, tiny, weights, images):
    found = method(name, unit_of(tiny, LAYER))(images[:2])
    for image, gradient, map_ in zip(images, found.gradients, found.maps, strict=False):
        expected = expected_gradient(image, weights, rule)
        np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
        summary = (expected * image).sum(-1) if name == "gradient_input" else np.abs(expected).max(-1)
        np.testing.assert_allclose(map_, summary, rtol=1e-3, atol=1e-4 * np.abs(summary).max())


def test_the_three_rules_differ(tiny, images):
    unit = unit_of(tiny, LAYER)
    maps = [method(name, unit)(images[:1]).maps for name in ("saliency", "deconvnet", "guided_backprop")]
    sizes = [np.abs(a - b).max() for a, b in ((maps[0], maps[1]), (maps[1], maps[2]), (maps[0], maps[2]))]
    assert min(sizes) > 0.01 * np.abs(maps[0]).max()


# Laws of all members ----------


@pytest.mark.parametrize("name", METHODS)
def test_an_image_is_the_same_alone_and_in_any_batch(name, tiny, images):
    unit = unit_of(tiny, LAYER)
    together = method(name, unit)(images)
    one_by_one = method(name, Unit(unit.compiled, unit.numbers, batch=2))
    for k in (0, 3):
        same(one_by_one(images[k : k + 1]), together, k)


def same(alone: Attribution, together: Attribution, k: int) -> None:
    assert np.isfinite(alone.maps).all() and alone.maps.any()
    for key in ("maps", "scores", "gradients", "coarse"):
        one, all_ = getattr(alone, key), getattr(together, key)
        assert (one is None) == (all_ is None)
        if one is not None:
            np.testing.assert_array_equal(one[0], all_[k], err_msg=key)
    assert {key: value[0] for key, value in alone.measured.items()} == {
        key: value[k] for key, value in together.measured.items()
    }


@pytest.mark.parametrize("name", METHODS)
def test_new_images_and_another_unit_trace_nothing(name, tiny, images):
    traces = []

    def activations(image, layers):
        traces.append(image.shape)
        return tiny.activations(image, layers)

    unit = unit_of(Activations("tiny", tiny.mean, activations, {}, True), LAYER, batch=2)
    method(name, unit)(images[:2])
    before = len(traces)
    other = Unit(unit.compiled, {"filter": np.array([2], np.int32)}, 2)
    method(name, other)(images[2:4])
    assert len(traces) == before > 0


@pytest.mark.parametrize("name", METHODS)
def test_below_zero_are_maps_that_are_declared_signed_alone(name, tiny, images):
    maps = np.concatenate([method(name, unit_of(tiny, LAYER, index, pre_activation=True))(images).maps
                           for index in range(4)])  # fmt: skip
    assert (maps.min() < 0) == knobs.components("attribution")[name].traits["signed"]


# Each method's own law ----------


def test_saliency_by_finite_differences(weights, tiny, images):
    image, rng = images[0].astype(float), np.random.default_rng(1)
    (gradient,) = method("saliency", unit_of(tiny, LAYER, pre_activation=True))(images[:1]).gradients

    def score(x):
        return reference.score(reference.forward(x, weights, LAYER)[0], UNIT)

    for _ in range(4):
        direction = rng.normal(size=image.shape)
        numeric = (score(image + 1e-6 * direction) - score(image - 1e-6 * direction)) / 2e-6
        assert numeric == pytest.approx((gradient * direction).sum(), rel=1e-3)


def linear(kernel, mean=(0.0, 0.0, 0.0)) -> Activations:
    """A network of one linear layer of 2 units that see the whole image."""

    def activations(image, layers):
        maps = tf.einsum("bhwc,hwck->bk", image, tf.constant(kernel))[:, None, None]
        return {"all": Activation(maps, maps)}

    return Activations("linear", mean, activations, {}, True)


def test_of_a_linear_network_the_gradient_is_its_weights(images):
    kernel = np.random.default_rng(2).normal(size=(*SIZE, 3, 2)).astype(np.float32)
    unit, image = unit_of(linear(kernel), "all", 1), images[:1]
    weights = kernel[..., 1]
    np.testing.assert_allclose(method("saliency", unit)(image).gradients[0], weights, rtol=1e-6)
    np.testing.assert_allclose(method("smooth_grad", unit)(image).gradients[0], weights, rtol=1e-5)
    contribution = (weights * image[0]).sum(-1)
    for name in ("gradient_input", "integrated_gradients"):
        np.testing.assert_allclose(method(name, unit)(image).maps[0], contribution, rtol=1e-4, atol=1e-3)
    found = method("occlusion", unit, patch=1, stride=1)(image)
    np.testing.assert_allclose(found.maps[0], contribution, atol=0.02)


def test_with_positive_weights_all_rules_are_the_gradient(tiny, weights, images):
    x = tf.Variable(np.abs(images[:1]))

    def activations(image, layers):
        first = tf.nn.relu(tf.nn.conv2d(image, np.abs(weights["block1_conv1"][0]), 1, "SAME"))
        maps = tf.nn.relu(tf.nn.conv2d(first, np.abs(weights["block2_conv1"][0]), 1, "SAME"))
        return {"top": Activation(maps, maps)}

    unit = unit_of(Activations("positive", (0, 0, 0), activations, {}, True), "top")
    plain, *ruled = (
        method(n, unit)(x.numpy()).gradients for n in ("saliency", "deconvnet", "guided_backprop")
    )
    for each in ruled:
        np.testing.assert_array_equal(each, plain)


def test_smooth_grad_without_noise_is_the_gradient_and_its_noise_is_that_of_its_seed(tiny, weights, images):
    unit, image = unit_of(tiny, LAYER), images[:1]
    plain = method("saliency", unit)(image).maps
    np.testing.assert_allclose(method("smooth_grad", unit, noise=0.0)(image).maps, plain, rtol=1e-6)
    sigma = np.float32(0.2 * (image[0].max() - image[0].min()))
    noisy = [
        image[0] + sigma * np.random.default_rng([7, k]).standard_normal(image[0].shape, np.float32)
        for k in range(3)
    ]
    mean = np.mean([expected_gradient(each, weights, "plain") for each in noisy], axis=0)
    found = method("smooth_grad", unit, noise=0.2, seed=7)(image)
    np.testing.assert_allclose(found.gradients[0], mean, rtol=1e-3, atol=1e-4 * np.abs(mean).max())


@pytest.mark.parametrize("baseline", ["mean", "black", "white"])
def test_integrated_gradients_add_up_to_the_change_of_the_score(baseline, tiny, weights, images):
    found = method("integrated_gradients", unit_of(tiny, LAYER), baseline=baseline)(images[:3])
    start = np.broadcast_to(filling(baseline, np.array(tiny.mean)), images[0].shape)

    def score(x):
        return reference.score(np.maximum(reference.forward(x, weights, LAYER)[0], 0), UNIT)

    for k, image in enumerate(images[:3]):
        change = score(image.astype(float)) - score(start.astype(float))
        error = abs(found.maps[k].sum(dtype=float) - change) / abs(change)
        assert error <= 0.0101
        assert error == pytest.approx(found.measured["completeness_error"][k], abs=1e-4)


def test_an_integral_that_does_not_add_up_says_so(tiny, images):
    found = method("integrated_gradients", unit_of(tiny, LAYER), steps=1, tolerance=1e-9)(images[:1])
    assert found.measured["steps"] == [512] and 0 < found.measured["completeness_error"][0] < 0.01


def test_a_bend_beside_the_baseline_is_found_with_few_points():
    """Behind the bend the slope is 1, before it 101: equal steps would need thousands."""
    bend = 1e-4

    def path(points):
        for t in points:
            yield t + 100 * min(t, bend), np.array([101.0 if t < bend else 1.0])

    exact = 1 + 100 * bend
    found = integral(path, np.array([1.0]), 32, 0.001, 512)
    assert found.gradient[0] == pytest.approx(exact, rel=0.001) and found.score == pytest.approx(exact)
    assert found.error == pytest.approx(abs(found.gradient[0] - exact) / exact, abs=1e-9)
    assert found.intervals < 150


def test_an_integral_of_a_smooth_path_is_scipys():
    def path(points):
        for t in points:
            yield np.sin(9 * t) + t**5, np.array([9 * np.cos(9 * t), 5 * t**4])

    found = integral(path, np.array([1.0, 1.0]), 8, 1e-4, 512)
    expected = [scipy.integrate.quad(f, 0, 1)[0] for f in (lambda t: 9 * np.cos(9 * t), lambda t: 5 * t**4)]
    np.testing.assert_allclose(found.gradient, expected, atol=2e-3)
    assert found.error <= 1e-4 and found.intervals < 512


@pytest.mark.parametrize("patch, stride, fill", [(5, 3, "black"), (4, 4, "mean"), (12, 1, "white")])
def test_occlusion_is_brute_force(patch, stride, fill, tiny, weights, images):
    found = method("occlusion", unit_of(tiny, LAYER), patch=patch, stride=stride, fill=fill)(images[:1])
    image, (height, width) = images[0].astype(float), SIZE
    colour = {"black": 0 - np.array(tiny.mean), "mean": np.zeros(3), "white": 255 - np.array(tiny.mean)}[fill]

    @functools.cache
    def fall(i, j):
        covered = image.copy()
        covered[i : i + patch, j : j + patch] = colour
        behind = [np.maximum(reference.forward(x, weights, LAYER)[0], 0) for x in (image, covered)]
        return reference.score(behind[0], UNIT) - reference.score(behind[1], UNIT)

    rows, columns = occlusion.places(height, patch, stride), occlusion.places(width, patch, stride)
    assert rows[-1] + patch == height and columns[-1] + patch == width
    expected = np.zeros(SIZE)
    for y, x in np.ndindex(*SIZE):
        falls = [fall(i, j) for i in rows for j in columns if 0 <= y - i < patch and 0 <= x - j < patch]
        expected[y, x] = np.mean(falls)
    np.testing.assert_allclose(found.maps[0], expected, atol=2e-5 * abs(float(found.scores[0])))


def test_a_planted_patch_is_found(images):
    kernel = np.zeros((*SIZE, 3, 2), np.float32)
    kernel[3:7, 8:12, :, 0] = np.random.default_rng(3).normal(size=(4, 4, 3))

    def activations(image, layers):
        maps = tf.nn.relu(tf.einsum("bhwc,hwck->bk", image, tf.constant(kernel)))[:, None, None]
        return {"all": Activation(maps, maps)}

    image = images[:1].copy()
    image[0, 3:7, 8:12] = 50 * np.sign(kernel[3:7, 8:12, :, 0])
    unit = unit_of(Activations("planted", (0, 0, 0), activations, {}, True), "all", 0)
    inside = np.zeros(SIZE, bool)
    inside[3:7, 8:12] = True
    for name in set(METHODS) - {"grad_cam", "layer_cam"}:  # there is no map below
        found = method(name, unit, **({"patch": 1, "stride": 1} if name == "occlusion" else {}))(image).maps[
            0
        ]
        assert found[inside].min() > 100 * np.abs(found[~inside]).max(initial=0), name


@pytest.mark.parametrize("name", ["grad_cam", "layer_cam"])
def test_maps_of_a_layer_are_those_of_numpy(name, tiny, weights, images):
    found = method(name, unit_of(tiny, LAYER))(images[:1])
    (kernel, bias), image = weights[LAYER], images[0].astype(float)
    below = np.maximum(reference.forward(image, weights, "block2_conv1")[0], 0)
    pre = reference.convolve(below, kernel, bias)
    gradient = np.zeros_like(pre)
    gradient[..., UNIT] = (pre[..., UNIT] > 0) / (pre.shape[0] * pre.shape[1])
    gradient = backward_conv(gradient, kernel)
    weight = gradient.mean(axis=(0, 1)) if name == "grad_cam" else np.maximum(gradient, 0)
    expected = np.maximum((below * weight).sum(-1), 0)
    np.testing.assert_allclose(found.coarse[0], expected, rtol=1e-4, atol=1e-5 * expected.max())
    # Enlarged: what lies at the centre of a coarse pixel's four is between it and its neighbours.
    assert found.maps[0].shape == SIZE and found.maps[0].max() <= found.coarse[0].max() * 1.0001
    np.testing.assert_allclose(found.maps[0][0, 0], found.coarse[0][0, 0], rtol=1e-4)


def test_what_cannot_be_done_is_refused_by_name(tiny, images):
    unit = unit_of(tiny, LAYER, pre_activation=True)
    with pytest.raises(ConfigError, match=r"attribution.layer=block2_conv2: .*has no gradient by the maps"):
        method("grad_cam", unit, layer=LAYER)(images[:1])
    with pytest.raises(ConfigError, match=r"attribution.stride=6: got more than attribution.patch=5"):
        method("occlusion", unit, stride=6)
    with pytest.raises(ConfigError, match=r"attribution.patch=13: got more than the image has, 12 px"):
        method("occlusion", unit, patch=13)(images[:1])
    kernel = np.ones((*SIZE, 3, 2), np.float32)
    with pytest.raises(ConfigError, match="linear has no ReLU between the image and the unit: got no nonlin"):
        method("guided_backprop", unit_of(linear(kernel), "all", 0))(images[:1])
