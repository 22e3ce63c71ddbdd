"""Random weights: laws of what changes and what does not; the table against SciPy; what cannot be copied."""

import csv
from dataclasses import replace

import keras
import numpy as np
import pytest
from helpers.configs import typed_of
from PIL import Image
from scipy import ndimage, stats

import deepvis
from deepvis import networks, random_networks
from deepvis.ascent import program, specs
from deepvis.ascent.optimize import optimize
from deepvis.ascent.specs import ImageSpec
from deepvis.config import groups, schema
from deepvis.core import images
from deepvis.core.errors import ConfigError
from deepvis.data.photographs import of_folder
from deepvis.networks import randomization
from deepvis.trust import observer, verdicts
from deepvis.trust.random_weights import SAME, Randomized

SIZE, LAYER, UNITS, FILTERS = (32, 32), "block2_conv1", "block2_conv2", list(range(0, 16, 2))


@keras.saving.register_keras_serializable("deepvis_tests")
class Forgetful(keras.layers.Layer):
    """A layer whose config does not tell what it does."""

    def __init__(self, factor=1.0, **options):
        super().__init__(**options)
        self.factor = factor

    def call(self, x):
        return self.factor * x

    def get_config(self):
        return {"name": self.name}


class Unmade(keras.layers.Layer):
    """A layer that cannot be made from its config."""

    def __init__(self, needed, **options):
        super().__init__(**options)
        self.needed = needed

    def call(self, x):
        return x + self.needed

    def get_config(self):
        return {"name": self.name}


def small(*more):
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(8, 3, name="one")(image)
    x = keras.layers.ReLU(name="relu")(keras.layers.BatchNormalization(name="norm")(x))
    for layer in more:
        x = layer(x)
    return keras.Model(image, keras.layers.Conv2D(4, 3, name="two")(x))


@pytest.fixture(scope="module")
def kept():
    model = small()
    rng = np.random.default_rng(0)
    model.set_weights([np.abs(rng.normal(0, 1, each.shape)) + 0.1 for each in model.get_weights()])
    yield model


@pytest.fixture(scope="module", params=["vgg", "keras"])
def either(request, kept):
    """The config of a network, a layer in its middle, the layers up to it and one above."""
    if request.param == "vgg":
        yield groups.composed({"model": "tiny"})["model"], LAYER, ["block1_conv1", LAYER], "block2_conv2"
    else:
        yield networks.hold(kept, "none"), "relu", ["one", "norm"], "two"


def maps(model, layer):
    given = np.random.default_rng(1).normal(0, 40, (2, *SIZE, 3)).astype("float32")
    built = networks.network(model).build([layer], SIZE, "float32")
    return built.activations(given, [layer])[layer].post.numpy()


def test_layers_above_change_nothing_and_each_below_does(either):
    model, layer, below, above = either
    assert randomization.weighted_layers(model, layer) == below
    plain = maps(model, layer)
    one = randomization.randomized(model, [above], layer, SIZE)
    np.testing.assert_array_equal(maps(one.model, layer), plain)
    assert np.abs(maps(one.model, above) - maps(model, above)).max() > 0.01 * np.abs(plain).max()
    for name in below:
        other = randomization.randomized(model, [name], layer, SIZE)
        assert np.abs(maps(other.model, layer) - plain).max() > 0.01 * np.abs(plain).max(), name
    np.testing.assert_array_equal(maps(model, layer), plain)


def test_the_users_model_keeps_its_weights_and_the_copy_draws_with_their_spread(kept):
    before = [each.copy() for each in kept.get_weights()]
    model = networks.hold(kept, "none")
    made = randomization.randomized(model, ["one", "norm"], "relu", SIZE)
    for one, other in zip(before, kept.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    drawn, original = (each.get_layer("one").get_weights() for each in (made.owner, kept))
    assert drawn[0].std() == pytest.approx(original[0].std(), rel=0.2) and abs(drawn[0].mean()) < 0.2
    np.testing.assert_array_equal(np.sort(drawn[1]), np.sort(original[1]))
    alone = randomization.randomized(model, ["one"], "relu", SIZE).owner.get_layer("one").get_weights()
    np.testing.assert_array_equal(alone[0], drawn[0])


def test_a_network_with_an_input_that_is_held_is_copied_with_its_value():
    image, level = keras.Input((8, 8, 3), name="image"), keras.Input((4,), name="level")
    gate = keras.layers.Reshape((1, 1, 4))(level)
    x = keras.layers.Multiply(name="gated")([keras.layers.Conv2D(4, 3, name="one")(image), gate])
    given = {"level": [0.0, 1.0, -2.0, 0.5]}
    model = keras.Model([image, level], x)  # a config does not keep it
    held = networks.hold(model, "none", given, "image")
    made = randomization.randomized(held, ["one"], "gated", (8, 8))
    pixels = keras.ops.convert_to_tensor(np.random.default_rng(1).normal(0, 40, (2, 8, 8, 3)), "float32")
    built = networks.network(made.model).build(["one", "gated"], (8, 8), "float32")
    found = {name: each.post.numpy() for name, each in built.activations(pixels, ["one", "gated"]).items()}
    np.testing.assert_allclose(found["gated"], found["one"] * given["level"], rtol=1e-5)
    assert np.abs(found["one"]).max() > 1


def test_what_cannot_be_copied_is_refused_in_one_line():
    for layer, text in [(Forgetful(3.0), "computes otherwise"), (Unmade(2.0), "no copy of it can be made")]:
        model = small(layer)
        with pytest.raises(ConfigError, match=text) as told:
            randomization.randomized(networks.hold(model, "none"), ["one"], "two", SIZE)
        assert "\n" not in str(told.value)


@pytest.fixture(scope="module")
def assessed(tmp_path_factory):
    """Filters of tiny in three stages: the weights of their own layer, of two, of all."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(2)
    for k in range(len(FILTERS)):
        blurred = ndimage.gaussian_filter(rng.normal(0, 1, (*SIZE, 3)), (2, 2, 0))
        grey = np.clip(128 + 90 * np.sign(blurred), 0, 255).astype(np.uint8)
        Image.fromarray(grey).save(folder / f"{k}.png")
    cfg = typed_of("model=tiny", f"layer={UNITS}", "size=32", "steps=5", "precision=float32", "device=cpu",
                   "batch_size=8")  # fmt: skip
    data = of_folder(str(folder))
    names = [str(each) for each in FILTERS]
    return cfg, random_networks.assess(cfg, FILTERS, names, data, np.arange(len(FILTERS)), 3)


def residual(picture, start):
    """What is not of the start."""
    slope, level = np.polyfit(start.ravel().astype(float), picture.ravel().astype(float), 1)
    return picture.ravel() - slope * start.ravel() - level


def test_a_start_that_decays_is_no_likeness():
    """Signals of two networks that have nothing in common, on a start that decay takes away in both."""
    start, *signals = np.random.default_rng(0).normal(0, 20, (3, 24, 24, 3))
    pictures = [0.1 * start + signal for signal in signals]
    found, plain = (
        [[random_networks._beside_start(each, start)] for each in pictures],
        [[each - start] for each in pictures],
    )
    assert random_networks._similarity(plain)[0, 0] > 0.4
    assert abs(random_networks._similarity(found)[0, 0]) < 0.1
    for left in (start, 0.3 * start.astype(np.float32), np.full_like(start, 3.0)):
        assert not random_networks._beside_start(left, start).any()


def test_pictures_and_their_rank_correlation_are_those_of_the_random_network(assessed):
    cfg, found = assessed
    assert found.stages == [[UNITS], [LAYER, UNITS], ["block1_conv1", LAYER, UNITS]]
    for stage, layers in enumerate(found.stages):
        made = randomization.randomized(schema.plain(cfg.model), layers, UNITS, SIZE)
        other = replace(cfg, model=schema.free("model", made.model), robustness=False)
        final, own = (optimize([ImageSpec(each, index) for index in FILTERS]).final for each in (other, cfg))
        start = [program.start(ImageSpec(cfg, index), cfg.model.mean) for index in FILTERS]
        for at in range(len(FILTERS)):
            pictures = [residual(each[at], start[at]) for each in (own, final)]
            np.testing.assert_array_equal(
                found.images[stage + 1, at], images.displayed(final[at], specs.display(cfg), cfg.model.mean)
            )
            value = found.similarity["picture"][stage, at]
            assert value == pytest.approx(stats.spearmanr(*pictures).statistic, abs=1e-4)
            rows = [row for row in found.rows() if (row["filter"], row["what"]) == (FILTERS[at], "picture")]
            row = next(row for row in rows if row["random_layers"] == len(layers))
            assert row["changes"] == ("no" if value >= SAME else "yes")


def test_guided_backprop_changes_less_than_the_gradient(assessed):
    """As Adebayo et al. found: it shows edges of the image, whatever the upper layers have learnt."""
    _, found = assessed
    for stage in (0, 1):
        guided, plain = (np.median(found.similarity[name][stage]) for name in ("guided_backprop", "saliency"))
        assert guided > plain + 0.05, (stage, guided, plain)
    assert set(found.similarity) == {"picture", "saliency", "guided_backprop", "grad_cam"}


def test_the_command_writes_the_table_and_refuses_what_is_no_number(forker, tmp_path):
    (tmp_path / "photos").mkdir()
    for k in range(8):
        pixels = np.random.default_rng(k).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{k}.png")
    words = ["trust", "model=tiny", f"layer={LAYER}", "layer.filters=0-1", "size=16", "steps=2",
             "tracker=none", "precision=float32", "data=folder", "data.path=photos"]  # fmt: skip
    itself = "from deepvis.trust import observer\nobserver.OBSERVERS = ()"
    said = forker.run(tmp_path, *words, "randomized=few")
    assert said.code == 1 and "randomized=few" in said.err and len(said.err.splitlines()) == 1
    said = forker.run(tmp_path, *words, "randomized=1", change=itself)
    assert said.code == 0, said
    (file,) = tmp_path.glob("outputs/*/randomized.csv")
    rows = list(csv.DictReader(file.open()))
    assert [row["what"] for row in rows[:2]] == ["picture", "saliency"] and rows[0]["random_layers"] == "2"
    assert (file.parent / "randomized.png").is_file()
    assert "the picture changes when the weights are random: " in said.out
    stays = [row["changes"] == "no" for row in rows if row["what"] == "picture"]
    trust = csv.DictReader((file.parent / "trust.csv").open())
    assert ["much the same with random weights" in row["verdict"] for row in trust] == stays


def test_what_did_not_leave_its_start_neither_changes_nor_stays():
    rng = np.random.default_rng(0)
    moved, still = rng.normal(size=(2, 3, 3, 1)), np.zeros((3, 3, 1))
    found = random_networks._similarity([[moved[0], moved[0], still], [moved[0], still, moved[1]]])
    np.testing.assert_allclose(found, [[1, 0, np.nan]], atol=1e-9)
    pictures = np.zeros((2, 3, 4, 4, 3), np.uint8)
    told = Randomized([0, 1, 2], "abc", [["layer"]], {"picture": found}, pictures, {})
    assert told.changes("picture").tolist() == ["no", "yes", "nothing to change"]
    assert told.told() == [
        "the picture changes when the weights are random: of some, 1 of 2 filters "
        "(median rank correlation 0.5); of 1 there is nothing that could change"
    ]
    assert told.metrics() == {"randomized/picture/changed": 0.5}
    said = verdicts.with_random_weights(["believable", "weaker than a photograph", "believable"], told)
    assert said == ["much the same with random weights", "weaker than a photograph", "believable"]
    told = replace(told, similarity={"picture": found[:, [1, 0, 2]]})
    assert verdicts.with_random_weights(["believable", "2 facets", "nothing excites it"], told) == [
        "believable", "2 facets, much the same with random weights", "nothing excites it"
    ]  # fmt: skip


def test_a_unit_whose_picture_needs_no_weights_is_named(tmp_path, monkeypatch):
    """The red channel itself, handed on beside convolutions: its picture is red whatever was learnt."""
    for k in range(8):
        pixels = np.random.default_rng(k).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{k}.png")
    monkeypatch.setattr(observer, "OBSERVERS", ())
    keras.utils.set_random_seed(0)
    image = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(8, 3, padding="same", activation="relu", name="one")(image)
    x = keras.layers.Conv2D(4, 3, padding="same", name="two")(x)
    model = keras.Model(image, keras.layers.Concatenate(name="both")([x, image]))
    found = deepvis.trust(model, "both", [0, 1, 2, 3, 4], data=tmp_path, size=16, steps=8, seeds=1,
                          randomized=1, preprocess="none", reg="none")  # fmt: skip
    named = ["much the same with random weights" in each for each in found.verdicts]
    assert named == [False, False, False, False, True], found.randomized.rows()
    assert found.randomized.similarity["picture"][-1, 4] > 0.95
