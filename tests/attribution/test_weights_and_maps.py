"""``deepvis weights`` and ``deepvis maps``: arrays beside NumPy, pictures, and the run."""

import csv
import json

import keras
import numpy as np
import pytest
import yaml
from attribution.test_methods import unit_of
from helpers import reference
from helpers.processes import store_of
from PIL import Image

from deepvis import networks
from deepvis.attribution import layer_maps, linear_kernels
from deepvis.core.errors import ConfigError
from deepvis.core.names import CONF

TINY = ["model=tiny", "layer=named", "layer.name=block2_conv2", "size=[24,32]"]


@pytest.fixture(scope="module")
def weights():
    model = yaml.safe_load((CONF / "model" / "tiny.yaml").read_text())
    return networks.network(model).read("block2_conv2").layers


def test_a_command_shows_the_first_kernels_in_the_images_colours(forker, tmp_path, weights):
    said = forker.run(tmp_path, "weights", "model=tiny")
    assert said.code == 0, said
    (folder,) = (tmp_path / "outputs").iterdir()
    found = np.load(folder / "weights.npy")
    expected = weights["block1_conv1"][0][:, :, ::-1].transpose(3, 0, 1, 2)  # its network takes BGR
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
    picture = np.asarray(Image.open(folder / "weights.png"))
    side = 96  # a kernel's picture is enlarged to hold its caption
    np.testing.assert_array_equal(picture[:side:32, :side:32][:3, :3], linear_kernels.picture(expected[0]))
    store = store_of(tmp_path)
    (run,) = store.client.search_runs([store.experiment_id], "tags.kind = 'weights'")
    assert run.data.params["layer"] == "block1_conv1" and run.data.params["layer.filters"] == "all"
    refused = forker.run(tmp_path, "weights", *TINY, "layer.filters=0", "tracker=none")
    assert (
        refused.code == 1 and "layer.name=block2_conv2: its weights act on other layers' maps" in refused.err
    )


def test_kernels_of_a_keras_network_are_by_grey_level():
    layer = keras.layers.Conv2D(4, (5, 3), strides=2, activation="relu", name="first")
    model = keras.Sequential([keras.Input((32, 32, 3)), layer])
    built = networks.network(networks.hold(model, "torch")).build(["first"], (32, 32), "float32")
    neuron = {"row": np.array([7], np.int32), "column": np.array([7], np.int32)}

    def unit(index):
        return unit_of(built, "first", index, at=neuron)

    found = linear_kernels.kernels(unit, [0, 3], (32, 32), 3, "first")
    kernel = np.asarray(layer.kernel).transpose(3, 0, 1, 2)[[0, 3]]
    np.testing.assert_allclose(found, kernel / np.array([58.395, 57.12, 57.375]), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(("bias", "is_linear"), [(300.0, False), (1e5, True)])
def test_a_relu_below_that_quiet_images_leave_on_is_found(bias, is_linear):
    """The kernel of the upper layer is the image's own only where no image of pixels switches the ReLU."""
    keras.utils.set_random_seed(0)
    image = keras.Input((16, 16, 3))
    below = keras.layers.Conv2D(
        4, 3, activation="relu", name="below", bias_initializer=keras.initializers.Constant(bias)
    )
    last = keras.layers.DepthwiseConv2D(3, name="last")
    model = keras.Model(image, last(below(image)))
    built = networks.network(networks.hold(model, "none")).build(["last"], (16, 16), "float32")
    neuron = {"row": np.array([6], np.int32), "column": np.array([6], np.int32)}

    def found():
        return linear_kernels.kernels(
            lambda index: unit_of(built, "last", index, at=neuron), [1], (16, 16), 3, "last"
        )

    if not is_linear:
        with pytest.raises(ConfigError, match=r"layer.name=last: its weights act on other layers' maps"):
            found()
        return
    expected = np.zeros((5, 5, 3))
    for i, j in np.ndindex(3, 3):
        expected[i : i + 3, j : j + 3] += np.asarray(last.kernel)[i, j, 1] * np.asarray(below.kernel)[..., 1]
    np.testing.assert_allclose(found()[0], expected, rtol=1e-3, atol=1e-5)


def test_zero_is_grey_and_each_kernel_has_its_own_scale():
    kernel = np.zeros((1, 3, 3), np.float32)
    kernel[0, 1], kernel[0, 2] = 0.01, [-0.01, 0, 0.005]
    assert linear_kernels.picture(kernel).tolist() == [[[128] * 3, [255] * 3, [0, 128, 191]]]


def test_maps_are_numpys_and_dead_channels_are_those_that_are_0_on_all_images(forker, tmp_path, weights):
    (tmp_path / "photos").mkdir()
    # Near the mean a channel is what its bias makes it, and some are dead.
    images = (
        np.full((3, 24, 32, 3), [124, 117, 104], np.uint8) + np.arange(3, dtype=np.uint8)[:, None, None, None]
    )
    for k, image in enumerate(images):
        Image.fromarray(image).save(tmp_path / "photos" / f"{k}.png")
    said = forker.run(tmp_path, "maps", *TINY, "data=folder", "data.path=photos")
    assert said.code == 0, said
    (folder,) = (tmp_path / "outputs").iterdir()
    mean = np.array([123.68, 116.779, 103.939])
    rows = list(csv.DictReader((folder / "channels.csv").open()))
    for name in weights:
        maps = [np.maximum(reference.forward(image - mean, weights, name)[0], 0) for image in images]
        np.testing.assert_allclose(np.load(folder / "maps" / f"{name}.npy"), maps[0], rtol=1e-4, atol=1e-3)
        dead = np.stack(maps).max(axis=(0, 1, 2)) == 0
        assert [row["dead"] for row in rows if row["layer"] == name] == [str(each) for each in dead]
        assert (folder / "photographs" / "2.png" / f"{name}.png").is_file()
    assert any(row["dead"] == "True" for row in rows)
    metrics = json.loads((folder / "analysis.json").read_text())["metrics"]
    assert metrics["dead/block2_conv2"] == sum(
        r["dead"] == "True" and r["layer"] == "block2_conv2" for r in rows
    )


def test_a_dead_channel_has_a_red_frame_and_an_image_is_the_same_in_any_company(weights):
    maps = np.zeros((2, 2, 5), np.float32)
    maps[..., 3] = [[1, 0], [0.5, 2]]
    sheet = layer_maps.sheet(maps, np.array([True, False, False, False, True]))
    assert tuple(sheet[0, 0]) == layer_maps.DEAD and tuple(sheet[0, 40]) != layer_maps.DEAD
    tile = sheet[32 + 2 : 32 + 30, 2:30, 0]
    top = np.percentile(maps, 99.5)
    expected = np.rint(255 * np.clip(maps[..., 3] / top, 0, 1)).astype(np.uint8)
    np.testing.assert_array_equal(tile[::14, ::14], expected)


def test_what_is_not_linear_is_refused(weights):
    model = yaml.safe_load((CONF / "model" / "tiny.yaml").read_text())
    built = networks.network(model).build(["block2_conv1"], (16, 16), "float32")
    with pytest.raises(ConfigError, match=r"block2_conv1: its weights act on other layers' maps"):
        linear_kernels.kernels(lambda k: unit_of(built, "block2_conv1", k), [0], (16, 16), 3, "block2_conv1")
