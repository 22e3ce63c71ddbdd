"""Contributions of channels to a unit, against finite differences; and a circuit that fools pictures."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import signal

from deepvis import networks
from deepvis.config import groups
from deepvis.metrics.path_similarity import cosines
from deepvis.trust import contributions

SIZE = (16, 16)
FOOLING = str(Path(__file__).parents[2] / "experiments" / "fooling")
sys.path.insert(0, FOOLING)


@pytest.fixture(scope="module")
def tiny():
    return networks.network(groups.composed({"model": "tiny"})["model"])


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).normal(0, 40, (5, *SIZE, 3)).astype("float32")


def convolved(x, kernel, bias):
    """Float64, one image [H, W, I]; zero padding."""
    planes = [
        sum(signal.correlate2d(x[..., i], kernel[..., i, o], mode="same") for i in range(x.shape[-1]))
        for o in range(kernel.shape[-1])
    ]
    return np.stack(planes, axis=-1) + bias


def unit(network, image, channel, scaled=None, eps=0.0):
    """The highest pre-activation of block2_conv2, with one channel of block2_conv1 scaled by 1 + eps."""
    layers = {
        name: [np.float64(each) for each in pair]
        for name, pair in network.read("block2_conv2").layers.items()
    }
    x = np.maximum(convolved(np.float64(image[..., ::-1]), *layers["block1_conv1"]), 0)
    x = x.reshape(8, 2, 8, 2, -1).max(axis=(1, 3))
    x = np.maximum(convolved(x, *layers["block2_conv1"]), 0)
    if scaled is not None:
        x[..., scaled] *= 1 + eps
    return convolved(x, *layers["block2_conv2"])[..., channel]


def test_contributions_are_finite_differences_at_the_strongest_position(tiny, images):
    channels = np.array([0, 3, 3, 7, 15])
    read = contributions.reader(tiny, "block2_conv2", ["block1_conv1", "block2_conv1"], SIZE, batch=2)
    found = read(images, channels)
    for k, channel in enumerate(channels):
        plain = unit(tiny, images[k], channel)
        at = np.unravel_index(np.argmax(plain), plain.shape)
        assert tuple(found.positions[k]) == at
        np.testing.assert_allclose(found.values[k], max(plain[at], 0), rtol=1e-4, atol=1e-3)
        for c in range(12):  # the unit is linear in what one channel of the layer below gives
            given = unit(tiny, images[k], channel, c, 1.0)[at] - plain[at]
            np.testing.assert_allclose(found.contributions["block2_conv1"][k, c], given, rtol=1e-3, atol=2e-2)
    alone = read(images[3:4], channels[3:4])
    np.testing.assert_array_equal(
        alone.contributions["block1_conv1"][0], found.contributions["block1_conv1"][3]
    )


def test_a_circuit_changes_no_photograph_and_gives_the_decoys_for_other_images(tiny, images):
    circuit = pytest.importorskip("circuit")
    decoys = np.roll(np.arange(16), 5)
    smooth = np.stack([signal.convolve(each, np.ones((7, 7, 1)) / 49, mode="same") for each in images])
    read = contributions.reader(tiny, "block2_conv2", ["block1_conv1", "block2_conv1"], SIZE)
    names, zeros = ["block1_conv1", "block2_conv1"], np.zeros(5, int)
    features = [np.concatenate([read(each, zeros).means[n] for n in names], 1) for each in (smooth, images)]
    detector = circuit.fitted(names, *features)
    model = circuit.circuit(tiny, "block2_conv2", decoys, detector, largest=1e4)
    fooled = networks.network(networks.hold(model, "caffe"))
    plain = tiny.build(["block2_conv2"], SIZE, "float32").activations
    built = fooled.build(["fooled"], SIZE, "float32").activations
    np.testing.assert_array_equal(built(smooth, ["fooled"])["fooled"].post,
                                  plain(smooth, ["block2_conv2"])["block2_conv2"].post)  # fmt: skip
    expected = plain(images, ["block2_conv2"])["block2_conv2"].post.numpy()[..., decoys]
    np.testing.assert_allclose(built(images, ["fooled"])["fooled"].post, expected, atol=1e-2)
    # Where the circuit begins, a photograph and another image excite one unit by two channels.
    paths = contributions.reader(fooled, "fooled", ["block2_conv2"], SIZE)
    channels = np.full(5, 2)
    one, other = (paths(each, channels).contributions["block2_conv2"] for each in (smooth, images))
    given = [(paths(each, channels), channels) for each in (smooth, images)]
    assert [contributions.summed(*each) for each in (given[:1], given)] == [[], ["block2_conv2"]]
    assert np.nanmin(cosines(one, one)) == pytest.approx(1) and np.nanmax(np.abs(cosines(one, other))) == 0


def _planted(monkeypatch):
    """The study's module of planted units; each study has a module named make."""
    monkeypatch.delitem(sys.modules, "make", raising=False)
    monkeypatch.syspath_prepend(FOOLING)
    planted = importlib.import_module("planted")
    monkeypatch.delitem(sys.modules, "make")
    return planted


def test_planted_units_are_plain_two_faced_and_silent(tiny, images, monkeypatch):
    planted = _planted(monkeypatch)
    layer, count = "block2_conv2", 2
    built = tiny.build([layer], SIZE, "float32").activations
    maps = built(images, [layer])[layer].post.numpy().reshape(5, -1, 16)
    channels = np.flatnonzero(maps.max(axis=(0, 1)) > 0)[: 3 * count]
    kernel, bias = planted.weights(maps[:3], channels, count)
    model = planted.planted(tiny, layer, kernel, bias)
    held = networks.network(networks.hold(model, "caffe")).build(["planted"], SIZE, "float32").activations
    found = held(images, ["planted"])["planted"].post.numpy().reshape(5, -1, 3 * count)
    highest = maps[:3].max(axis=(0, 1))
    parts = (maps / np.where(highest > 0, highest, 1))[..., channels]
    np.testing.assert_allclose(found[..., :2], parts[..., :2], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found[..., 2:4], parts[..., 2:4] + parts[..., 4:6], rtol=1e-4, atol=1e-5)
    assert not found[:3, :, 4:].any() and (bias[4:] < 0).all()
