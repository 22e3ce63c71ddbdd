"""Several inputs, of which one is the image; names of layers and inputs, which may be anything."""

import keras
import numpy as np
import pytest
from helpers.configs import plain_of

import deepvis
from deepvis.config import schema
from deepvis.core import names
from deepvis.core.errors import ConfigError
from deepvis.networks import held_inputs
from deepvis.sweeps import jobs

of = keras.layers
PLAIN = {"steps": 1, "size": 16, "precision": "float32", "reg": "none", "preprocess": "none"}


def two(shape=(4,), dtype="float32", name="other"):
    """An image and a second input, of which the second changes every unit of ``out``."""
    keras.utils.set_random_seed(0)
    image, other = keras.Input((16, 16, 3), name="image"), keras.Input(shape, name=name, dtype=dtype)
    if dtype == "int32":
        added = of.Reshape((1, 1, 4))(of.GlobalAveragePooling1D()(of.Embedding(7, 4)(other)))
    elif len(shape) == 3:
        added = of.GlobalAveragePooling2D(keepdims=True)(of.Conv2D(4, 1)(other))
    else:
        added = of.Reshape((1, 1, 4))(other)
    x = of.Add(name="out")([of.Conv2D(4, 3, name="c")(image), added])
    return keras.Model([image, other], [x, of.Flatten()(x)], name="two")


def shows(model, value, given=None, name="other", **options):
    """Scores are what the user's own model computes with that input."""
    given = {name: value} if given is None else given
    seen = deepvis.visualize(options.pop("chosen", model), "out", "all", inputs=given, **options, **PLAIN)
    whole = np.broadcast_to(value, (4, *model.inputs[1].shape[1:]))
    wanted = np.asarray(model([seen.centred + 127.5, whole])[0]).mean(axis=(1, 2))
    np.testing.assert_allclose(seen.history["score"][-1], np.diagonal(wanted), rtol=1e-4)
    return seen.config["model"]["inputs"]


@pytest.mark.parametrize(
    ("shape", "dtype", "value"),
    [
        ((4,), "float32", 0.5),
        ((4,), "float32", [1.0, 20.0, -3.0, 400.0]),
        ((4,), "float32", np.arange(4) * 100),
        ((5,), "int32", 3),
        ((5,), "int32", np.array([0, 1, 2, 3, 6])),
        ((16, 16, 3), "float32", np.random.default_rng(0).uniform(0, 255, (16, 16, 3))),
    ],
    ids=["number", "list", "array", "index", "indices", "image"],
)
def test_a_held_input_has_its_value(shape, dtype, value):
    shows(two(shape, dtype), value, optimize="image" if len(shape) == 3 else None)


def test_held_inputs_of_a_file_are_part_of_its_job_by_content(tmp_path):
    model = two()
    model.save(tmp_path / "two.keras")
    chosen = {"preset": "file", "path": str(tmp_path / "two.keras")}
    keys, said, path = set(), [], str(tmp_path / "a.npy")
    for value in (np.arange(4.0), np.arange(4.0) + 50):
        np.save(path, value)
        said.append(shows(model, value, {"other": path}, chosen=chosen)["other"])
        typed = ("model=file", f"model.path={tmp_path}/two.keras", f'model.inputs={{other: "{path}"}}',
                 "model.optimize=image", "layer=named", "layer.name=out", "size=16")  # fmt: skip
        job = jobs.make(schema.resolve(plain_of(*typed)), [], tmp_path)
        assert schema.plain(job.cfg.model)["inputs"]["other"] == said[-1]
        assert jobs.make(job.cfg, [], tmp_path).key == job.key
        keys.add(job.key)
    assert len(keys) == len(set(said)) == 2 and all(each.startswith(f"{path}#sha256=") for each in said)
    with pytest.raises(ConfigError, match="got a file that holds"):
        shows(model, value, {"other": said[0]}, chosen=chosen)
    hand = [shows(model, value)["other"] for value in (np.arange(4.0), np.arange(4.0) + 50)]
    assert hand[0] != hand[1] and hand[0] == held_inputs.described(np.arange(4.0))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (None, r"two takes image \(None, 16, 16, 3\), other \(None, 4\): expected one image"),
        ({"other": np.ones(3)}, r"model.inputs.other: got shape \(3,\), expected \(4,\)"),
        ({"othr": 1}, "two has no input othr"),
        ({"other": "none.npy"}, "No such file"),
        ({"other": np.nan}, "got NaN or infinity"),
        ({"other": [[1], [2, 3]]}, "expected a number, a list of numbers, or a .npy file"),
        ({"other": np.array(["a"] * 4)}, "expected a number, a list of numbers, or a .npy file"),
        ({"other": 1, "image": 1}, "expected one image"),
    ],
    ids=["none", "shape", "name", "file", "nan", "ragged", "text", "all"],
)
def test_inputs_that_do_not_fit_are_refused_in_one_line(given, says):
    with pytest.raises(ConfigError, match=says) as error:
        deepvis.visualize(two(), "out", 0, inputs=given, **PLAIN)
    assert "\n" not in str(error.value)


def test_numbers_that_an_integer_input_cannot_hold_are_refused():
    for value in (3.5, 2**40):
        with pytest.raises(ConfigError, match="got numbers that are no int32"):
            deepvis.visualize(two((5,), "int32"), "out", 0, inputs={"other": value}, **PLAIN)


def test_numbers_that_a_small_type_cannot_hold_are_refused():
    with pytest.raises(ConfigError, match="got numbers too large for float16"):
        deepvis.visualize(two(dtype="float16"), "out", 0, inputs={"other": [1, 2, 70000, 4]}, **PLAIN)


def test_a_shared_layer_that_reads_the_held_image_first_says_so():
    keras.utils.set_random_seed(0)
    left, right = keras.Input((16, 16, 3), name="left"), keras.Input((16, 16, 3), name="right")
    tower = keras.Sequential([keras.Input((16, 16, 3)), of.Conv2D(4, 3, name="c")], name="tower")
    model = keras.Model([left, right], of.Subtract(name="out")([tower(left), tower(right)]))
    given = {"inputs": {"left": np.ones((16, 16, 3))}, "optimize": "right"}
    seen = deepvis.visualize(model, "out", 0, **given, **PLAIN)
    pixels = seen.centred + 127.5
    wanted = np.asarray(model([np.ones_like(pixels), pixels]))[..., 0].mean()
    np.testing.assert_allclose(seen.history["score"][-1], wanted, rtol=1e-4)
    with pytest.raises(
        ConfigError, match="tower/c: where it is called first it does not read the image, right"
    ):
        deepvis.visualize(model, "tower/c", 0, **given, **PLAIN)


def test_what_a_named_network_would_not_read_is_refused():
    for given in ({"inputs": {"a": 1}}, {"optimize": "image"}, {"preprocess": "tf"}):
        with pytest.raises(ConfigError, match=f"model: no option {next(iter(given))}"):
            deepvis.visualize("tiny", "block2_conv2", 0, **(PLAIN | {"preprocess": "auto"} | given))


# --- names --------------------------------------------------------------------------------------------------

NAMES = ["_conv1", " a b ", "q\"u'ote", "a=$x", "<b>&", "ünï 日本", "b\\s", "x" * 300, "a\nb", "target"]


@pytest.mark.parametrize("name", NAMES)
def test_layers_may_have_any_name(name):
    """By bare or full name, or by the layer in hand, also inside a model of that name."""
    keras.utils.set_random_seed(0)
    inner = keras.Sequential([keras.Input((16, 16, 3)), of.Conv2D(2, 3, name=name)], name=name)
    model = keras.Sequential([keras.Input((16, 16, 3)), inner, of.Conv2D(2, 1)], name=name)
    layer = inner.layers[0]
    found = [deepvis.visualize(model, by, 1, **PLAIN) for by in (name, f"{name}/{name}", layer)]
    wanted = np.asarray(inner(found[0].centred + 127.5))[..., 1].mean()
    for each in found:
        np.testing.assert_allclose(each.history["score"][-1], wanted, rtol=1e-4)
    assert layer.name == inner.name == model.name == name


@pytest.mark.parametrize("name", ["my-input", "a b", "class", "target", "_x_", "1"])
def test_inputs_may_have_any_name(name):
    model = two(name=name)
    shows(model, [1.0, 20.0, -3.0, 400.0], name=name)


def test_a_layer_of_another_model_is_refused():
    layer = keras.Sequential([keras.Input((16, 16, 3)), of.Conv2D(2, 3, name="c")]).layers[0]
    with pytest.raises(ConfigError, match="no layer of two"):
        deepvis.visualize(two(), layer, 0, inputs={"other": 1}, **PLAIN)


def test_settings_by_names_of_the_users_come_back_as_they_were():
    for value in ({"class": 1}, {"target": [1, 2]}, {"_target_": "f", "a": {"b c": None}}, {"": 0}):
        assert schema.plain(schema.freeze(value)) == value
        hash(schema.freeze(value))


# --- how many filters ---------------------------------------------------------------------------------------


def test_the_default_is_the_first_16_or_all_there_are(tmp_path):
    model = keras.Sequential(
        [keras.Input((16, 16, 3)), of.Conv2D(20, 1, name="many"), of.Conv2D(4, 1, name="few"),
         of.Conv2D(1, 1, name="one")]
    )  # fmt: skip
    model.save(tmp_path / "m.keras")
    for layer, wanted, spelled in (("many", 16, "0-15"), ("few", 4, "0-3"), ("one", 1, "0-0")):
        typed = ("model=file", f"model.path={tmp_path}/m.keras", f"layer.name={layer}", "size=16")
        job = jobs.make(schema.resolve(plain_of(*typed)), [], tmp_path)
        assert job.filters == tuple(range(wanted)) and job.cfg.layer.filters == spelled
        assert jobs.make(job.cfg, [], tmp_path).key == job.key
    seen = deepvis.visualize(model, "few", **PLAIN)
    assert seen.filters == [0, 1, 2, 3] and seen.config["layer"]["filters"] == "0-3"
    with pytest.raises(ConfigError, match="0-15 is out of range; few has 4 filters"):
        deepvis.visualize(model, "few", "0-15", **PLAIN)
    assert names.filters("first 3", 8, "c") == [0, 1, 2]
    with pytest.raises(ConfigError, match="first 0"):
        names.filters("first 0", 8, "c")
