"""The range of pixels: ``preprocess=auto`` by what a model contains, and what batch normalization says."""

import logging

import keras
import numpy as np
import pytest
from helpers import digits
from helpers.configs import plain_of

from deepvis import networks
from deepvis.config import schema
from deepvis.networks import keras_models, keras_network, open_graph, pixel_range, preprocessing
from deepvis.sweeps import jobs

of = keras.layers
UNIT = {"mean": 0.0, "scale": 255.0}  # 0 to 1


def auto(model):
    """What ``auto`` is in the resolved config of a model in hand."""
    found = networks.resolved(networks.hold(model, "auto"))
    assert networks.resolved(found) == found  # resolved once is resolved
    return found["preprocess"]


def sequential(*layers, name=None, size=16):
    return keras.Sequential([keras.Input((size, size, 3)), *layers, of.Conv2D(4, 3, name="c")], name=name)


def adapted():
    layer = of.Normalization()
    layer.adapt(np.random.default_rng(0).uniform(0, 1, (9, 8, 8, 3)))
    return layer


def of_operations(function):
    image = keras.Input((16, 16, 3))
    return keras.Model(image, of.Conv2D(4, 3, name="c")(function(image)))


@pytest.mark.parametrize(
    ("layers", "wanted"),
    [
        (lambda: [of.Rescaling(1 / 127.5, -1)], "none"),
        (lambda: [of.Rescaling(2.0, -1)], UNIT),
        (lambda: [of.Rescaling(255.0), of.Rescaling(1 / 127.5, -1)], UNIT),
        (lambda: [of.Normalization(mean=[0.48] * 3, variance=[0.07] * 3)], UNIT),
        (lambda: [of.Normalization(mean=[120.0] * 3, variance=[4000.0] * 3)], "none"),
        (lambda: [adapted()], UNIT),
        (lambda: [of.Resizing(32, 32), of.Rescaling(2.0, -1)], UNIT),
        (lambda: [of.ZeroPadding2D(1), of.Rescaling(2.0, -1)], UNIT),
        (lambda: [of.RandomFlip(), of.RandomRotation(0.1), of.Rescaling(2.0, -1)], UNIT),
        (lambda: [keras.Sequential([of.RandomFlip(), of.Rescaling(2.0, -1)], name="augment")], UNIT),
        (lambda: [], "none"),
    ],
    ids=[
        "tf",
        "unit",
        "twice",
        "norm unit",
        "norm",
        "adapted",
        "resized",
        "padded",
        "augmented",
        "nested",
        "-",
    ],
)
def test_a_model_that_scales_its_pixels_itself_is_given_what_that_takes(layers, wanted):
    assert auto(sequential(*layers(), name="mobilenetv2_flowers")) == wanted


@pytest.mark.parametrize(
    ("function", "wanted"),
    [
        (lambda x: x * 2 - 1, UNIT),
        (lambda x: x / 255.0, "none"),
        (keras.applications.resnet.preprocess_input, "none"),
        (keras.applications.densenet.preprocess_input, "none"),
        (keras.applications.mobilenet_v2.preprocess_input, "none"),
    ],
    ids=["times", "over", "caffe", "torch", "tf"],
)
def test_so_is_one_that_does_so_by_operations(function, wanted):
    assert auto(of_operations(function)) == wanted


@pytest.mark.parametrize("name", ["vgg16", "xception", "mobilenetv2"])
def test_a_model_that_only_has_an_applications_name_is_none(name):
    assert auto(sequential(name=name)) == "none"


def test_an_application_whole_or_at_the_bottom_is_given_what_keras_gives_it(caplog):
    pixel_range.warn_once.cache_clear()
    whole = keras.applications.MobileNet(weights=None, input_shape=(32, 32, 3), alpha=0.25)
    base = keras.applications.MobileNet(
        weights=None, input_shape=(32, 32, 3), alpha=0.25, include_top=False, name="mobilenet_0.25_32"
    )
    assert auto(whole) == "tf"
    assert "model.preprocess=auto: tf, as keras.applications.MobileNet has it" in caplog.text
    assert auto(sequential_of(base)) == "tf"
    assert auto(sequential_of(of.Rescaling(1 / 127.5, -1), base)) == "none"
    known = networks.resolved(plain_of("model=keras", "model.name=ResNet50", "model.weights=null")["model"])
    assert known["preprocess"] == "caffe" and known["mean"] == [123.68, 116.779, 103.939]


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("MobileNetV3Small", "tf"),
        ("EfficientNetV2B0", "torch"),
        ("EfficientNetV2S", {"mean": 128.0, "scale": 128.0}),
    ],
)
def test_an_application_without_its_layers_of_scaling_is_given_what_these_give(name, wanted):
    """The rest of the network must be given what it is given in the whole one."""
    make = {"weights": None, "input_shape": (32, 32, 3), "include_top": False}
    found = auto(getattr(keras.applications, name)(include_preprocessing=False, **make))
    assert found == wanted
    whole = getattr(keras.applications, name)(**make)
    convolution = next(layer for layer in whole.layers if isinstance(layer, of.Conv2D))
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    given = preprocessing.in_range(pixels, preprocessing.read(found, 3))
    expected = keras.Model(whole.inputs, convolution.input)(pixels)
    np.testing.assert_allclose(np.asarray(expected)[:, :32, :32], given, atol=1e-4)
    assert auto(whole) == "none"


def sequential_of(*layers):
    head = [of.GlobalAveragePooling2D(), of.Dense(3)]
    return keras.Sequential([keras.Input((32, 32, 3)), *layers, *head], name="transfer")


@pytest.mark.parametrize("word", preprocessing.PREPROCESS)
def test_what_is_written_is_read_as_the_same(word):
    pixels = preprocessing.read(word, 3)
    assert preprocessing.written(pixels) == word
    own = preprocessing.read({"mean": [1, 2, 3], "scale": 4}, 3)
    assert preprocessing.read(preprocessing.written(own), 3) == own


# --- by the batch normalization -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return digits.make_digits(tmp_path_factory.mktemp("digits"))


def settled(model, pixels):
    """A model whose first batch normalization has learnt the variance of photographs in some range."""
    network = open_graph.opened(model)
    (norm,) = [each for each in model.layers if isinstance(each, of.BatchNormalization)]
    call = network.graph.first(norm.name)
    images = pixel_range._photographs((32, 32), 3)
    seen = pixel_range._values(network, call.inputs[0], preprocessing.in_range(images, pixels), (32, 32))
    norm.moving_mean.assign(seen.mean(axis=(0, 1, 2)))
    norm.moving_variance.assign(seen.var(axis=(0, 1, 2)))
    return network


RANGES = {"0 to 255": "none", "0 to 1": UNIT, "-1 to 1": "tf"}


@pytest.mark.parametrize("given", RANGES)
@pytest.mark.parametrize("right", RANGES)
def test_a_range_that_cannot_be_right_is_warned_of(right, given, caplog):
    """Of a network that learnt photographs of one range and is given another."""
    keras.utils.set_random_seed(0)
    image = keras.Input((32, 32, 3))
    model = keras.Model(image, of.BatchNormalization()(of.Conv2D(16, 3, use_bias=False)(image)))
    pixels = {name: preprocessing.read(said, 3) for name, said in RANGES.items()}
    network = settled(model, pixels[right])
    pixel_range.warn_once.cache_clear()
    with caplog.at_level(logging.WARNING):
        told = pixel_range.check(network, pixels[given], (32, 32), True)
    ratio = float(told.split(" is ")[1].split()[0])
    contrast = {"0 to 255": 1.0, "0 to 1": 1 / 255, "-1 to 1": 1 / 127.5}
    assert ratio == pytest.approx((contrast[given] / contrast[right]) ** 2, rel=0.02)
    impossible = ("0 to 255" in (right, given)) and right != given
    assert ("it was trained on pixels of another range" in caplog.text) == impossible
    assert (caplog.text == "") == (right == given)
    if right != given:
        best = preprocessing.written(pixels[right])
        assert f"; {best} would give 1" in caplog.text


def test_a_trained_network_of_digits_is_told_from_one_that_is_given_0_to_255(trained, caplog):
    """Its pictures are no photographs, so the right range is no more than not impossible."""
    network = open_graph.opened(trained[1])
    for said, is_warned in ((digits.PREPROCESS, False), ("tf", False), ("none", True)):
        caplog.clear()
        pixel_range.warn_once.cache_clear()
        pixel_range.check(network, preprocessing.read(said, 1), (8, 8), True)
        assert ("pixels of another range" in caplog.text) == is_warned


def test_where_the_range_cannot_be_checked_a_line_says_so(caplog):
    plain = keras.Sequential([keras.Input((8, 8, 3)), of.Conv2D(2, 3, name="c")], name="plain")
    untrained = keras.Sequential(
        [keras.Input((8, 8, 3)), of.Conv2D(2, 3, name="c"), of.BatchNormalization()], name="untrained"
    )
    for model, says in ((plain, "no batch normalization"), (untrained, "was not trained")):
        pixel_range.warn_once.cache_clear()
        caplog.clear()
        known = keras_models.in_hand(model.name, networks.hold(model, "none")["held"], "none", None)
        tags = known.build(["c"], (8, 8), "float32").tags
        assert says in tags["network.range"] and caplog.text.count(says) == 1
        assert f"{model.name}: the range of its pixels was not checked" in caplog.text
        known.build(["c"], (8, 8), "float32")
        assert caplog.text.count(says) == 1  # once in a process


def test_what_was_taken_of_a_file_stands_in_the_jobs_config_and_in_its_params(trained, tmp_path):
    model = sequential(of.Rescaling(2.0, -1))
    model.save(tmp_path / "unit.keras")
    typed = ("model=file", f"model.path={tmp_path}/unit.keras", "layer=named", "layer.name=c", "size=16")
    job = jobs.make(schema.resolve(plain_of(*typed)), [], tmp_path)
    assert schema.plain(job.cfg.model)["preprocess"] == UNIT
    found = {key: value for key, value in jobs.params(job).items() if key.startswith("model.preprocess")}
    assert found == {"model.preprocess.mean": 0.0, "model.preprocess.scale": 255.0}
    assert jobs.make(job.cfg, [], tmp_path).key == job.key
    keras_network._loaded.cache_clear()
