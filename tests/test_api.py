"""Laws of `deepvis.visualize`: what a job would be, from Python; a mistake is one line."""

import gc
import os
import subprocess
import sys

import numpy as np
import pytest
from helpers.configs import job_of
from PIL import Image

import deepvis
from deepvis.ascent import specs
from deepvis.config import schema
from deepvis.core import images
from deepvis.core.errors import ConfigError
from deepvis.results import result_folder
from deepvis.sweeps import runner
from deepvis.tracking.none import NoTracker

TINY = {"size": 16, "steps": 3, "precision": "float32", "optimizer": {"learning_rate": 3}}
LAYER = "block2_conv2"


def seen(filters=(0, 5), **changed):
    return deepvis.visualize("tiny", LAYER, filters, **(TINY | changed))


def network(activation="relu"):
    import keras

    keras.utils.set_random_seed(0)
    layers = [keras.Input((16, 16, 3)), keras.layers.Conv2D(4, 3, activation=activation, name="c")]
    return keras.Sequential(layers, name="own")


def test_neither_mlflow_nor_what_draws_a_report_is_imported_and_nothing_of_tensorflows_is_printed():
    code = (
        "import sys, deepvis\n"
        f"deepvis.visualize('tiny', {LAYER!r}, 0, size=8, reg='combined', transform={{'jitter': 1}})\n"
        "found = {'mlflow', 'matplotlib', 'pandas', 'jinja2'} & sys.modules.keys()\n"
        "sys.exit(f'loaded {sorted(found)}' if found else 0)"
    )
    env = {key: value for key, value in os.environ.items() if not key.startswith("TF_")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, timeout=120)
    assert done.returncode == 0, done.stderr
    said = done.stderr.splitlines()
    assert done.stdout == "" and [line.partition(":")[0:2] for line in said] == [("deepvis", ":")]
    assert said[0].startswith("deepvis: advice: "), "which is deepvis' own"


@pytest.mark.parametrize(
    ("said", "typed"),
    [
        ({}, []),
        ({"reg": "combined", "transform": {"jitter": 2}}, ["reg=combined", "transform.jitter=2"]),
        ({"objective": {"preset": "neuron", "row": 1}, "seed": 4},
         ["objective=neuron", "objective.row=1", "seed=4"]),
        ({"param": "fourier", "optimizer": {"preset": "adam", "learning_rate": 0.1}, "start": "gaussian"},
         ["param=fourier", "optimizer=adam", "optimizer.learning_rate=0.1", "start=gaussian"]),
    ],
    ids=["default", "combined", "neuron", "fourier"],
)  # fmt: skip
def test_it_is_what_the_same_job_leaves_bitwise(said, typed, tmp_path):
    rate = [] if "optimizer=adam" in typed else ["optimizer.learning_rate=3"]
    job = job_of(tmp_path, "size=16", "steps=3", "layer.filters=0-4", "robustness=false", "animation=true",
                 "snapshot_every=1", *rate, *typed)  # fmt: skip
    assert runner.run([job], NoTracker(), "sweep") == {}
    left = result_folder.read(tmp_path / "result")
    found = seen("0-4", batch_size=2, **said)  # whose last batch is short
    assert found.filters == list(job.filters) and list(found.ends) == list(left.ends)
    assert found.history.keys() == left.history.keys()
    for name, values in left.history.items():
        assert found.history[name].tobytes() == values.tobytes(), name
    for index, image, best in zip(job.filters, found.images, found.best, strict=True):
        shown = images.displayed(best, specs.display(job.cfg), job.cfg.model.mean)
        for folder, own in (("filters", image), ("best", shown)):
            with Image.open(tmp_path / "result" / folder / f"{result_folder.label(index)}.png") as file:
                np.testing.assert_array_equal(own, np.asarray(file))
    for step, pictures in found.progress.items():
        for index, own in zip(job.filters, pictures, strict=True):
            name = f"step_{step:05d}/{result_folder.label(index)}.png"
            with Image.open(tmp_path / "result/progress" / name) as file:
                np.testing.assert_array_equal(own, np.asarray(file))
    assert list(found.progress) == [1, 2, 3]
    with Image.open(tmp_path / "result/animation.webp") as file:
        assert file.n_frames == 4  # the start, too
    mine = {
        key: found.config[key] for key in ("reg", "objective", "param", "transform", "optimizer", "start")
    }
    assert mine == {key: schema.plain(job.cfg)[key] for key in mine}


@pytest.mark.parametrize("filters", [3, "3", [3], (3,), np.array([3]), np.int64(3), range(3, 4)], ids=repr)
def test_filters_are_said_in_many_ways(filters):
    assert seen(filters).filters == [3]


def test_a_name_is_the_mapping_of_its_preset(tmp_path):
    plain, other = seen(reg="decay"), seen(reg={"decay": 0.8})
    assert plain.centred.tobytes() == other.centred.tobytes() != seen().centred.tobytes()
    assert seen(reg={"preset": "decay"}).centred.tobytes() == plain.centred.tobytes()
    assert seen(reg={"weights": {"blur": 2}}).config["reg"]["weights"]["decay"] == 1.0


def test_a_path_may_be_a_path(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(
        tmp_path / "p.png"
    )
    one, other = (
        seen(start={"preset": "picture", "path": form(tmp_path / "p.png")},
             param={"preset": "maco", "spectrum": form(tmp_path), "standardize": False},
             optimizer={"learning_rate": 0.1})
        for form in (str, lambda path: path)
    )  # fmt: skip
    assert one.centred.tobytes() == other.centred.tobytes()


def test_a_picture_of_16_bits_is_a_start_and_a_target_like_one_of_8_and_a_wrong_one_is_refused(tmp_path):
    levels = np.tile(np.linspace(0, 255, 16).astype(np.uint8), (16, 1))
    for name, pixels in (("8", levels), ("16", levels.astype(np.uint16) * 257)):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    Image.fromarray(levels.astype(np.float32)).save(tmp_path / "floats.tif")

    def from_picture(name):
        path = str(tmp_path / name)
        target = {"preset": "inversion", "pictures": {"picture": path}}
        return seen(
            0, start={"preset": "picture", "path": path}, objective=target, optimizer={"learning_rate": 1e-4}
        )

    one, other = from_picture("8.png"), from_picture("16.png")
    grey = (other.centred[0] + np.float32([123.68, 116.779, 103.939]))[8, :, 0]
    np.testing.assert_allclose(grey, levels[8], atol=0.1)
    np.testing.assert_allclose(other.centred, one.centred, atol=1e-2)
    np.testing.assert_allclose(other.history["score"], one.history["score"], atol=1e-4)
    with pytest.raises(ConfigError, match=r"^start\.path=.*floats\.tif: got floats from 0 to 255; expected"):
        seen(0, start={"preset": "picture", "path": str(tmp_path / "floats.tif")})


def test_a_model_trained_further_gives_other_pictures():
    model = network()
    common = {"size": 16, "steps": 2, "precision": "float32"}
    before = deepvis.visualize(model, "c", 0, **common)
    again = deepvis.visualize(model, "c", 0, **common)
    kernel, bias = model.get_layer("c").get_weights()
    model.get_layer("c").set_weights([kernel[::-1], bias])
    after = deepvis.visualize(model, "c", 0, **common)
    assert before.centred.tobytes() == again.centred.tobytes() != after.centred.tobytes()


def test_a_model_at_a_dead_ones_address_is_another():
    from deepvis.networks import keras_models

    def tokens(activation):
        gc.collect()  # or addresses would be free too late
        return keras_models.hold(network(activation), "none")["held"]

    assert len({tokens(each) for each in ["relu", "tanh", "elu"] * 4}) == 12
    model = network()  # what was made for it is not used again: not all of its state can be seen
    assert keras_models.hold(model, "none") != keras_models.hold(model, "none")


MISTAKES = [
    ({"reg": {"decai": 0.9}}, "reg: no option decai; did you mean decay?"),
    ({"reg": {"weights": {"blurr": 1}}}, "reg.weights: no option blurr; did you mean blur?"),
    ({"reg": "combind"}, "reg=combind: no such choice; did you mean combined?"),
    ({"objective": {"preset": "nuron"}}, "objective=nuron: no such choice; did you mean neuron?"),
    ({"reg": 3}, "reg=3: expected the name of a choice"),
    ({"objective": "direction"}, "objective.vectors is not given"),
    ({"start": "picture"}, "start.path is not given"),
    ({"layer": "block2_conv9"}, "layer.name=block2_conv9: tiny has no such layer; did you mean block2_conv"),
    ({"filters": [0, 16]}, "layer.filters=[0, 16]: 16 is out of range; block2_conv2 has 16 filters, 0 to 15"),
    ({"filters": 1.5}, "layer.filters=[1.5]: expected 0-15, 0,3,7 or all; '1.5' is none of them"),
    ({"objective": {"preset": "neuron", "row": 8}}, "objective.row=8: outside of the map"),
    ({"size": 1}, "size=1: too small for block2_conv2"),
    ({"steps": 0}, "steps=0: expected a whole number in [1, 1e+06]"),
    ({"precision": "float16"}, "precision=float16: did you mean bfloat16? (auto, float32, bfloat16)"),
    ({"model": "vgg61"}, "model=vgg61: no such network; the nearest of "),
    ({"model": 7}, "model: got int, expected a Keras model or the name of a network"),
    ({"model": None}, "model: got NoneType, expected a Keras model"),
]


@pytest.mark.parametrize(("changed", "says"), MISTAKES, ids=[says[:40] for _, says in MISTAKES])
def test_a_mistake_is_one_line(changed, says):
    said = {"model": "tiny", "layer": LAYER, "filters": [0], "size": 16, "steps": 1} | changed
    with pytest.raises(ConfigError) as error:
        deepvis.visualize(**said)
    assert str(error.value).startswith(says) and "\n" not in str(error.value)


def test_models_without_a_graph_are_refused_in_one_line():
    import keras

    class Coded(keras.Model):
        def call(self, x):
            return x

    for model in (Coded(), keras.Sequential([keras.layers.Conv2D(2, 3)])):
        with pytest.raises(ConfigError, match="expected a functional or sequential model") as error:
            deepvis.visualize(model, "c")
        assert "\n" not in str(error.value)


def test_a_network_that_is_no_vgg_is_optimized_by_a_recipe_unless_told_otherwise(caplog):
    import keras

    image = keras.Input((8, 8, 3))
    model = keras.Model(image, keras.layers.Conv2D(2, 3, name="c")(image))
    with caplog.at_level("WARNING"):
        found = deepvis.visualize(model, "c", 0, size=8, steps=1)
    assert found.config["param"]["_target_"].endswith(".fourier") and found.config["steps"] == 1
    assert "recipe: experiment=distill_2017" in caplog.text
    caplog.clear()
    told = deepvis.visualize(model, "c", 0, size=8, steps=1, reg="none")
    vgg = deepvis.visualize("tiny", "block2_conv2", 0, size=8, steps=1)
    for each in (told, vgg):
        assert each.config["param"]["_target_"].endswith(".pixel")
    assert "recipe" not in caplog.text


def test_vgg16_of_keras_is_a_vgg_and_what_only_has_its_name_is_none(caplog):
    import keras

    vgg = keras.applications.VGG16(weights=None, include_top=False)
    found = deepvis.visualize(vgg, "block1_conv1", 0, size=32, steps=1)
    assert found.config["param"]["_target_"].endswith(".pixel") and "recipe" not in caplog.text
    image = keras.Input((8, 8, 3))
    other = keras.Model(image, keras.layers.Conv2D(2, 3, name="c")(image), name="vgg16")
    found = deepvis.visualize(other, "c", 0, size=8, steps=1)
    assert found.config["param"]["_target_"].endswith(".fourier")


def test_a_file_is_a_model_by_its_path(tmp_path):
    import keras

    image = keras.Input((8, 8, 3))
    model = keras.Model(image, keras.layers.Conv2D(2, 3, name="c")(image))
    model.save(tmp_path / "my.keras")
    options = {"size": 8, "steps": 1, "reg": "none", "precision": "float32"}
    expected = deepvis.visualize(model, "c", 0, **options)
    for path in (tmp_path / "my.keras", str(tmp_path / "my.keras")):
        found = deepvis.visualize(path, "c", 0, **options)
        assert np.array_equal(found.centred, expected.centred)
        assert [each.name for each in deepvis.layers(path)] == ["c"]
    for name, says in {"no.keras": "no such file", "my.onnx": "no such", "net.pth": "no such file",
                       "resnet50": "no such network; the nearest .*ResNet50"}.items():  # fmt: skip
        with pytest.raises(ConfigError, match=f"^model.*{name}: {says}") as error:
            deepvis.visualize(name, "c")
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(("given", "natural"), [
    ({"param": "fourier"}, True), ({"param": "maco"}, True), ({}, False),
    ({"param": "fourier", "start": {"preset": "pink", "display": "contrast"}}, False),
])  # fmt: skip
def test_colours_of_images_that_stay_in_range_are_natural(given, natural):
    found = deepvis.visualize("tiny", "block2_conv2", 0, size=16, steps=2, **given)
    expected = np.clip(found.centred[0] + np.float32(found.config["model"]["mean"]), 0, 255)
    assert (np.abs(found.images[0] - expected).max() <= 1) == natural
