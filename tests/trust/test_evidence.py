"""Evidence and verdicts of units that are known: plain, of two faces, silent on photographs."""

import keras
import numpy as np
import pytest
from PIL import Image

from deepvis import networks
from deepvis.data import photographs
from deepvis.trust.evidence import evidence
from deepvis.trust.verdicts import verdicts

SIZE = 8
RED, BLUE, GREEN = np.eye(3)[[0, 2, 1]] * 200
PLAIN, TWO_FACED, SILENT = range(3)


@pytest.fixture(scope="module", params=["one layer", "its ReLU a layer of its own"])
def network(request):
    """Colours are its features: unit 0 is red, 1 red or blue, 2 green, of which photographs have little."""
    image = keras.Input((None, None, 3))
    colours = keras.layers.Conv2D(3, 1, activation="relu", name="colours")
    if request.param == "one layer":
        units = keras.layers.Conv2D(3, 1, activation="relu", name="units")
        model = keras.Model(image, units(colours(image)))
    else:
        units = keras.layers.Conv2D(3, 1, name="sums")
        depthwise = keras.layers.DepthwiseConv2D(1, depthwise_initializer="ones", name="depthwise")
        model = keras.Model(image, keras.layers.ReLU(name="units")(depthwise(units(colours(image)))))
    colours.set_weights([np.eye(3)[None, None] / 200, np.zeros(3)])
    mixed = np.zeros((1, 1, 3, 3))
    mixed[0, 0, 0, PLAIN] = mixed[0, 0, 0, TWO_FACED] = mixed[0, 0, 2, TWO_FACED] = mixed[0, 0, 1, SILENT] = 1
    units.set_weights([mixed, np.array([0, 0, -0.5])])
    yield networks.network(networks.hold(model, "none"))  # the model lives as long as the fixture


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """40 photographs, half of them red, half blue, each with a little of everything."""
    folder = tmp_path_factory.mktemp("photos")
    chance = np.random.default_rng(0)
    for k in range(40):
        pixels = np.clip((RED if k % 2 else BLUE) + chance.uniform(-20, 40, (SIZE, SIZE, 3)), 0, 255)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{k:02d}.png")
    return photographs({"_target_": "deepvis.data.photographs.of_folder", "path": str(folder)})


def judged(network, shown, colours):
    made = np.stack([np.broadcast_to(each, (SIZE, SIZE, 3)) for each in colours])[None].astype("float32")
    made -= np.float32(network.centre)
    found = evidence(network, "units", [PLAIN, TWO_FACED, SILENT], made, shown, lambda x: x.mean(axis=(1, 2)))
    return found, verdicts(found)


def test_two_faces_and_silence_are_told(network, shown):
    found, said = judged(network, shown, [RED * 1.25, RED * 1.25 + BLUE * 0.5, GREEN])
    assert found.strength[PLAIN] == pytest.approx(250 / found.best[PLAIN] / 200, rel=1e-5)
    assert list(found.facets[:2]) == [1, 2]
    assert said[PLAIN] == "believable" and said[TWO_FACED] == "2 facets"
    assert np.isinf(found.strength[SILENT]) and said[SILENT] == "no photograph excites it"


def test_two_faces_are_told_from_seeds_where_photographs_have_one(network, tmp_path):
    """All photographs are red; of twelve seeds half are red, half blue, of several brightnesses."""
    chance = np.random.default_rng(1)

    def varied(colour):
        return colour * chance.uniform(0.8, 1) + chance.uniform(0, 40, (SIZE, SIZE, 1)) * [0, 1, 0]

    for k in range(40):
        Image.fromarray(varied(RED).astype(np.uint8)).save(tmp_path / f"{k:02d}.png")
    found_there = photographs({"_target_": "deepvis.data.photographs.of_folder", "path": str(tmp_path)})
    made = [[1.6 * varied(RED), 1.6 * varied(RED if k % 2 else BLUE), varied(GREEN)] for k in range(12)]
    images = (np.array(made) - np.float32(network.centre)).astype("float32")
    for count, expected in [(12, [1, 2]), (5, [np.nan, np.nan])]:
        found = evidence(network, "units", [PLAIN, TWO_FACED, SILENT], images[:count], found_there,
                         lambda x: x.mean(axis=(1, 2)))  # fmt: skip
        np.testing.assert_array_equal(found.facets[:2], [1, 1])
        np.testing.assert_array_equal(found.seed_facets[:2], expected)
        assert list(found.seed_apart[:2]) == ["", "yes" if count == 12 else ""]
    told = evidence(network, "units", [PLAIN, TWO_FACED, SILENT], images, found_there,
                    lambda x: x.mean(axis=(1, 2)))  # fmt: skip
    assert verdicts(told)[PLAIN] == "believable" and "2 facets among its seeds" in verdicts(told)[TWO_FACED]


def test_a_picture_of_another_colour_comes_by_another_way(network, shown):
    found, said = judged(network, shown, [BLUE * 1.25, GREEN, BLUE])
    assert found.strength[PLAIN] == 0 and said[PLAIN].endswith(
        "its picture does not excite it, its way could not be compared"
    )
    assert said[SILENT] == "nothing excites it"


def test_the_extremes_tell_a_colour(network, shown):
    found, _ = judged(network, shown, [RED, RED, GREEN])
    assert found.choice_natural[PLAIN] == 1
