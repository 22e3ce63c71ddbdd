"""Laws of what is known of a network without computing, and of the errors that a person can make with one."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from helpers.configs import plain_of

from deepvis import networks
from deepvis.ascent import validation
from deepvis.config import schema
from deepvis.core.errors import ConfigError
from deepvis.networks import keras_activations, keras_models, keras_network, preprocessing
from deepvis.networks.vgg import Vgg

SEEDED = {"_target_": "deepvis.networks.weights.seeded"}
VGG = Vgg("v", [[3, 4], [5], [6, 7]], [0, 0, 0], SEEDED)
CHANNELS = {"block1_conv1": 3, "block1_conv2": 4, "block2_conv1": 5, "block3_conv1": 6, "block3_conv2": 7}


def seen_by_one_unit(maps_of, size):
    """Sides of the image that a unit in the middle of a map depends on: gradients of many images together."""
    image = tf.constant(np.random.default_rng(0).normal(0, 50, (32, size, size, 3)), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(image)
        maps = maps_of(image)
        middle = tf.reduce_sum(maps[:, maps.shape[1] // 2, maps.shape[2] // 2])
    reached = (tape.gradient(middle, image).numpy() != 0).any(axis=(0, 3))
    return [int(np.ptp(np.flatnonzero(reached.any(axis=axis)))) + 1 for axis in (1, 0)]


@pytest.mark.parametrize("name", CHANNELS)
def test_stride_field_and_smallest_image_of_a_vgg_are_those_of_its_maps(name):
    layer = VGG.layer(name)
    assert (layer.kind, layer.channels, layer.exactly) == ("conv", CHANNELS[name], None)
    network = VGG.build([name], (64, 64), "float32")

    def maps(image):
        return network.activations(image, [name])[name].pre

    assert maps(tf.zeros([1, 64, 64, 3])).shape[1] == 64 // layer.stride[0]
    assert maps(tf.zeros([1, layer.smallest, layer.smallest, 3])).shape[1] == 1
    assert seen_by_one_unit(maps, 64) == [layer.field] * 2


def test_the_layers_of_a_vgg_are_those_of_its_blocks():
    assert {name: layer.channels for name, layer in VGG.layers().items()} == CHANNELS
    assert list(VGG.layers()) == list(CHANNELS)
    assert VGG.kernel_shapes("block2_conv1") == {
        "block1_conv1": (3, 3, 3, 3),
        "block1_conv2": (3, 3, 3, 4),
        "block2_conv1": (3, 3, 4, 5),
    }


@pytest.mark.parametrize("blocks", [[], [[]], [[8], []], [[0]], ["a"], [[1.5]]], ids=str)
def test_blocks_that_are_no_network_are_refused(blocks):
    with pytest.raises(ConfigError, match=r"model\.blocks="):
        Vgg("v", blocks, [0, 0, 0], SEEDED).layers()


def test_a_vggs_config_is_resolved_already():
    plain = plain_of()["model"]
    assert networks.resolved(plain) == plain


@pytest.mark.parametrize(
    ("said", "channels", "pixel", "input_"),
    [
        ("none", 1, [7.0], [7.0]),
        ("tf", 2, [0.0, 255.0], [-1.0, 1.0]),
        ("caffe", 3, [1.0, 2.0, 3.0], [3 - 103.939, 2 - 116.779, 1 - 123.68]),
        ("torch", 3, [255.0, 0.0, 51.0], [(1 - 0.485) / 0.229, -0.456 / 0.224, (0.2 - 0.406) / 0.225]),
        ({"mean": 80, "scale": 95}, 1, [99.0], [0.2]),
        ({"mean": [1, 0], "scale": [2, 4]}, 2, [5.0, 5.0], [2.0, 1.25]),
    ],
    ids=str,
)
def test_a_pixel_becomes_the_input_that_its_words_say(said, channels, pixel, input_):
    how = preprocessing.read(said, channels)
    image = tf.constant(np.array(pixel) - np.array(how.centre), tf.float32)[None, None, None]
    np.testing.assert_allclose(keras_activations.prepared(image, how)[0, 0, 0], input_, rtol=1e-5, atol=1e-5)
    assert all(
        centre == (mean if mean > 0 else 127.5) for centre, mean in zip(how.centre, how.mean, strict=True)
    )


@pytest.mark.parametrize(
    "said",
    ["auto", "tensorflow", 3, None, {"mean": 1}, {"mean": 1, "scale": 0}, {"mean": [1, 2], "scale": 1},
     {"mean": "x", "scale": 1}, {"mean": float("nan"), "scale": 1}, {"mean": 1, "scale": 1, "std": 1}],
    ids=str,
)  # fmt: skip
def test_a_preprocessing_that_means_nothing_is_refused(said):
    with pytest.raises(ConfigError, match=r"model\.preprocess"):
        preprocessing.read(said, 3)


def test_words_for_three_channels_are_refused_for_one():
    for said in ("caffe", "torch"):
        with pytest.raises(ConfigError, match="3 channels, this network has 1"):
            preprocessing.read(said, 1)


@pytest.mark.parametrize(
    "name", ["VGG16", "ResNet50", "ResNet50V2", "EfficientNetB0", "DenseNet121", "Xception"]
)
def test_what_probing_finds_is_what_keras_does(name):
    """On pixels that were not inferred with."""
    import keras

    home = next(
        m for m in vars(keras.applications).values() if hasattr(m, name) and hasattr(m, "preprocess_input")
    )
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 3, 4, 3)).astype(np.float32)
    how = keras_models.application_pixels(name)
    ours = keras_activations.prepared(tf.constant(pixels - np.float32(how.centre)), how)
    np.testing.assert_allclose(ours, home.preprocess_input(pixels.copy()), rtol=1e-4, atol=1e-4)


def test_probing_agrees_with_the_words():
    for name, word in (
        ("VGG16", "caffe"),
        ("DenseNet121", "torch"),
        ("ResNet50V2", "tf"),
        ("EfficientNetB0", "none"),
    ):
        found, wanted = keras_models.application_pixels(name), preprocessing.read(word, 3)
        assert found.order == wanted.order
        np.testing.assert_allclose(found.mean, wanted.mean, atol=1e-5)
        np.testing.assert_allclose(found.scale, wanted.scale, rtol=1e-5)


def test_every_network_of_keras_applications_is_found_by_its_name():
    import keras

    known = keras_models.applications()
    assert sorted(networks.applications()) == sorted(known)
    assert len(known) >= 38 and {"ResNet50", "MobileNetV2", "EfficientNetB0", "VGG16"} <= known.keys()
    for name, make in known.items():
        assert make is getattr(keras.applications, name)
        assert len(keras_models.application_pixels(name).mean) == 3


def refused(*overrides):
    with pytest.raises(ConfigError) as error:
        validation.check(schema.resolve(plain_of(*overrides)))
    text = str(error.value)
    assert "\n" not in text and len(text) < 700
    return text


MOBILE = ("model=keras", "model.name=MobileNet", "model.weights=null")


def test_mistakes_with_an_application_are_named_in_one_line():
    assert "did you mean" not in refused("model=keras", "model.name=MobilNet", "layer=named", "layer.name=x")
    said = refused("model=keras", "model.name=MobilNet", "model.weights=null")
    assert said.startswith("model.name=MobilNet:") and "MobileNet," in said and "NASNetLarge" not in said
    assert said.count(",") < 6
    assert refused("model=keras").startswith("model.name is not given")
    assert "choose one with layer.name=" in refused(*MOBILE) and "deepvis layers" in refused(*MOBILE)
    said = refused(*MOBILE, "layer=named", "layer.name=conv_pw_31")
    assert "conv_pw_3" in said and said.count(",") < 6
    said = refused(*MOBILE, "layer=named", "layer.name=conv_pw_13", "layer.filters=1024")
    assert "conv_pw_13 has 1024 filters, 0 to 1023" in said
    said = refused(*MOBILE, "layer=named", "layer.name=conv_pw_13_bn", "layer.filters=1024")
    assert "1024 channels" in said
    assert "model.preprocess=rgb" in refused(
        *MOBILE, "layer=named", "layer.name=conv1", "model.preprocess=rgb"
    )
    with pytest.raises(ConfigError, match=r"model\.weights=/no/such\.h5: no such file"):
        keras_network.loaded(keras_models.Application("MobileNet", "/no/such.h5"))


def listed(*typed):
    command = [sys.executable, "-m", "deepvis.run", "layers", *typed]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_the_listing_says_what_the_table_says():
    rows = [line.split() for line in listed("model=tiny").stdout.splitlines()]
    assert rows[0] == ["layer", "kind", "channels", "stride", "receptive", "field", "smallest", "image"]
    assert rows[1:4] == [
        ["block1_conv1", "conv", "8", "1", "3", "1"],
        ["block2_conv1", "conv", "12", "2", "8", "2"],
        ["block2_conv2", "conv", "16", "2", "12", "2"],
    ]
    wrong = listed("model=keras")
    assert wrong.returncode == 1 and wrong.stderr.count("\n") == 1
    assert "model.name is not given" in wrong.stderr


def test_a_target_that_is_no_network_is_refused_in_one_line():
    for target in ("deepvis.networks.vgg.vgg", "no_such_package.network", "2.5"):
        with pytest.raises(ConfigError, match=r"^model\._target_=.*expected the path of a class") as error:
            networks.network({"_target_": target})
        assert "\n" not in str(error.value)


def test_mistakes_with_a_vgg_import_neither_keras_nor_tensorflow():
    code = (
        "import sys\nfrom deepvis import networks\nfrom deepvis.core.errors import ConfigError\n"
        f"model = {{'_target_': 'deepvis.networks.vgg.Vgg', 'name': 'v', 'blocks': [[3], [4]], "
        f"'mean': [0, 0, 0], 'weights': {SEEDED!r}}}\n"
        "network = networks.network(model)\n"
        "assert networks.resolved(model)['mean'] == [0, 0, 0]\n"
        "assert network.map_size('block2_conv1', (9, 9)) == (4, 4)\n"
        "network.digest('block2_conv1')\n"
        "bad = networks.network(model | {'mean': [1, 2], 'blocks': [[0]]})\n"
        "for wrong in (lambda: network.layer('block9'), lambda: bad.centre, lambda: bad.layers()):\n"
        "    try: wrong()\n    except ConfigError: continue\n    sys.exit('not refused')\n"
        "assert not {'keras', 'tensorflow'} & sys.modules.keys()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
