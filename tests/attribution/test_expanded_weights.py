"""``deepvis weights weights=expanded``: beside kernels and their convolutions by SciPy."""

import keras
import numpy as np
import pytest
import yaml
from helpers.processes import store_of
from scipy.signal import convolve2d

import deepvis
from deepvis import networks
from deepvis.core.errors import ConfigError
from deepvis.core.names import CONF
from deepvis.report import weight_sheet


@pytest.fixture(scope="module")
def kernels():
    """By layer, HWIO."""
    model = yaml.safe_load((CONF / "model" / "tiny.yaml").read_text())
    return {name: pair[0] for name, pair in networks.network(model).read("block2_conv2").layers.items()}


def convolved(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Kernels HWIO of two convolutions, the one behind the other -> that of both."""
    side = low.shape[0] + high.shape[0] - 1
    found = np.zeros((side, side, low.shape[2], high.shape[3]))
    for i, o in np.ndindex(low.shape[2], high.shape[3]):
        found[..., i, o] = sum(convolve2d(low[..., i, m], high[..., m, o]) for m in range(low.shape[3]))
    return found


def test_between_adjacent_layers_they_are_the_kernel_exactly(kernels):
    found = deepvis.expanded_weights("tiny", "block2_conv2", "block2_conv1", "all", size=32)
    np.testing.assert_array_equal(found.weights, kernels["block2_conv2"].transpose(3, 0, 1, 2))
    assert not found.at_edge
    some = deepvis.expanded_weights("tiny", "block2_conv2", "block2_conv1", [5, 2], size=32)
    np.testing.assert_array_equal(some.weights, found.weights[[5, 2]])


def test_a_maximum_pooling_is_the_mean_and_two_convolutions_are_that_of_their_kernels(kernels):
    pooled = deepvis.expanded_weights("tiny", "block2_conv1", "block1_conv1", "all", size=32)
    mean = np.ones((2, 2, 1, 1)) / 4
    expected = np.kron(kernels["block2_conv1"], mean).transpose(3, 0, 1, 2)
    np.testing.assert_allclose(pooled.weights, expected, rtol=1e-6)
    both = deepvis.expanded_weights("tiny", "block2_conv2", "block1_conv1", [0, 7], size=32)
    of_two = np.kron(convolved(kernels["block2_conv1"], kernels["block2_conv2"]), mean)
    expected = of_two.transpose(3, 0, 1, 2)[[0, 7]]
    np.testing.assert_allclose(both.weights, expected, atol=1e-5 * np.abs(expected).max())
    small = deepvis.expanded_weights("tiny", "block2_conv2", "block1_conv1", [0], size=8)
    assert small.at_edge and any("edge of the map" in line for line in small.told())


def test_keras_layers_are_made_linear_and_others_refused():
    def made(between):
        layers = keras.layers
        return keras.Sequential([
            keras.Input((16, 16, 3)),
            layers.Conv2D(4, 3, padding="same", activation="relu", name="low"),
            layers.Conv2D(5, 3, padding="same", name="middle"),
            between,
            layers.Conv2D(6, 3, padding="same", activation="relu", name="high"),
        ])  # fmt: skip

    model = made(keras.layers.ReLU(6.0))
    found = deepvis.expanded_weights(model, "high", "low", "all", size=16, preprocess="none")
    expected = convolved(*(np.asarray(model.get_layer(name).kernel) for name in ("middle", "high")))
    np.testing.assert_allclose(found.weights, expected.transpose(3, 0, 1, 2), atol=1e-5)
    other = made(keras.layers.LeakyReLU())
    with pytest.raises(ConfigError, match=r"weights.below=low: got other weights to high for another image"):
        deepvis.expanded_weights(other, "high", "low", "all", size=16, preprocess="none")


def test_planted_groups_of_channels_are_found_with_their_signs(kernels):
    found = deepvis.expanded_weights("tiny", "block2_conv2", "block2_conv1", "all", size=32, groups=12)
    rebuilt = found.groups @ found.factors.directions
    left = np.square(rebuilt - found.weights).sum() / np.square(found.weights).sum()
    few = deepvis.expanded_weights("tiny", "block2_conv2", "block2_conv1", "all", size=32, groups=2)
    more = np.square(few.groups @ few.factors.directions - few.weights).sum() / np.square(few.weights).sum()
    assert left < 0.05 < more and (found.groups < 0).any() and (found.factors.directions >= 0).all()


def test_white_is_zero_and_the_largest_channels_come_first():
    weights = np.zeros((2, 2, 3), np.float32)
    weights[0, 0, 2], weights[1, 1, 1] = -2, 1
    sheet = weight_sheet.of_unit(weights)
    first, second = sheet[:96, :96], sheet[:96, 101:197]
    assert first[0, 0, 2] > first[0, 0, 0] + 50 and first[60, 60].min() > 240  # blue below zero
    assert second[60, 60, 0] > second[60, 60, 2] + 50 and second[60, 60].min() > first[0, 0].min()


def test_the_command_leaves_weights_and_a_run(forker, tmp_path, kernels):
    tiny = ["model=tiny", "layer=named", "layer.name=block2_conv2", "size=32", "layer.filters=0-2"]
    said = forker.run(tmp_path, "weights", "weights=expanded", "weights.below=block2_conv1",
                      "weights.groups=2", *tiny)  # fmt: skip
    assert said.code == 0 and "2 groups of channels explain" in said.out, said
    (folder,) = (tmp_path / "outputs").iterdir()
    expected = kernels["block2_conv2"].transpose(3, 0, 1, 2)[:3]
    np.testing.assert_array_equal(np.load(folder / "weights.npy"), expected)
    assert {path.name for path in folder.glob("*.png")} == {
        "f000.png", "f001.png", "f002.png", "groups.png",
    }  # fmt: skip
    store = store_of(tmp_path)
    (run,) = store.client.search_runs([store.experiment_id], "tags.kind = 'weights'")
    assert run.data.params["weights"] == "expanded" and run.data.params["weights.below"] == "block2_conv1"
    for below, text in (("block2_conv2", "expected a layer below block2_conv2"), ("blok", "has no such")):
        said = forker.run(tmp_path, "weights", "weights=expanded", f"weights.below={below}", *tiny)
        assert said.code == 1 and f"weights.below={below}" in said.err and text in said.err, said
