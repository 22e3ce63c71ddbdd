"""Laws of Keras networks: their activations are Keras' own; the model is left as it was."""

import random

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import digits
from helpers.configs import plain_of

from deepvis import networks
from deepvis.ascent import validation
from deepvis.config import schema
from deepvis.core.errors import ConfigError, WeightsError
from deepvis.networks import (
    keras_activations,
    keras_models,
    keras_network,
    model_files,
    open_graph,
    preprocessing,
    receptive_fields,
)
from deepvis.networks.base import Layer
from deepvis.sweeps import jobs

of = keras.layers
SAME = {"mean": 0, "scale": 1}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return digits.make_digits(tmp_path_factory.mktemp("digits"))


def mobile_net(weights=None):
    return keras_models.application("MobileNet", weights, "auto", None)


def built(model, how, layers, size, precision="float32"):
    network = open_graph.opened(model)
    pixels = how if isinstance(how, preprocessing.Preprocess) else preprocessing.read(how, network.shape[-1])
    return keras_activations.built(network, pixels, layers, (size, size), precision)


def table(model):
    return receptive_fields.table((network := open_graph.opened(model)).graph, network.image)


def centred(pixels, how):
    return tf.constant(pixels - np.float32(how.centre))


def theirs(model, pixels, *names):
    """Outputs of layers as Keras computes them: an inference of its own sub-model."""
    sub = keras.Model(model.inputs, [model.get_layer(name).output for name in names])
    return [np.asarray(each) for each in sub(pixels, training=False)]


def close(ours, wanted):
    wanted = np.asarray(wanted)
    wanted = wanted if wanted.ndim == 4 else wanted[:, None, None]
    assert np.shape(ours) == wanted.shape and ours.dtype == tf.float32
    np.testing.assert_allclose(ours, wanted, rtol=1e-5, atol=1e-5 * np.abs(wanted).max())


def seen_in(model, name, pixels, precision="float32"):
    """A layer's activation for inputs as they are."""
    network = built(model, SAME, [name], pixels.shape[1], precision)
    return network.activations(tf.constant(pixels - np.float32(127.5)), [name])[name]


# --- activations --------------------------------------------------------------------------------------------


def test_activations_of_a_trained_network_are_keras_own(trained):
    _, model = trained
    how = preprocessing.read(digits.PREPROCESS, 1)
    pixels = digits.pictures()[0][:7]
    layers = ["stem", "stem_bn", "a", "a_relu", "b", "add", "out", "down", "top", "logits"]
    ours = built(model, how, layers, 8, "float32").activations(centred(pixels, how), layers)
    assert list(ours) == layers
    seen = dict(zip(layers, theirs(model, (pixels - 80) / 95, *layers), strict=True))
    behind = {"a": "a_relu", "add": "out"}  # what each is before the nonlinearity that alone reads it
    for name in layers:
        close(ours[name].post, seen[behind.get(name, name)])
    for before, after in behind.items():
        for name in (before, after):
            close(ours[name].pre, seen[before])
            assert (np.minimum(ours[name].pre, 0) < 0).any()
    for name in ("stem_bn", "b", "down"):  # read by two, by a sum, by a convolution: no nonlinearity
        close(ours[name].pre, seen[name])
    for name, fed in (("stem", (pixels - 80) / 95), ("top", seen["down"])):
        kernel, bias = model.get_layer(name).get_weights()
        padding = model.get_layer(name).padding.upper()
        close(ours[name].pre, tf.nn.conv2d(fed, kernel, 1, padding) + bias)


def test_the_pre_activation_of_a_softmax_is_the_logit(trained):
    _, model = trained
    how = preprocessing.read(digits.PREPROCESS, 1)
    pixels, target = digits.pictures()
    network = built(model, how, ["logits"], 8, "float32")
    pre, post = network.activations(centred(pixels[:300], how), ["logits"])["logits"]
    kernel, bias = model.get_layer("logits").get_weights()
    flat = theirs(model, (pixels[:300] - 80) / 95, "flat", "top")[0]
    close(pre, flat @ kernel + bias)
    close(post, model((pixels[:300] - 80) / 95))
    assert (np.argmax(pre[:, 0, 0], axis=1) == target[:300]).mean() > 0.9


def test_a_network_is_cut_and_never_computes_what_lies_above():
    image = keras.Input((8, 8, 1))
    x = of.Conv2D(4, 3, name="low")(image)
    x = of.Flatten()(of.Conv2D(4, 3, strides=8, name="high")(x))
    model = keras.Model(image, of.Dense(2)(x))
    network = built(model, SAME, ["low"], 3, "float32")
    assert network.activations(tf.zeros([1, 3, 3, 1]), ["low"])["low"].pre.shape == (1, 1, 1, 4)


def test_any_size_takes_the_same_weights():
    model = keras.Sequential([keras.Input((16, 16, 3)), of.Conv2D(5, 3, activation="tanh", name="c")])
    pixels = np.random.default_rng(0).normal(size=(2, 23, 23, 3)).astype(np.float32)
    kernel, bias = model.get_layer("c").get_weights()
    seen = built(model, SAME, ["c"], 23, "float32").activations(tf.constant(pixels - 127.5), ["c"])["c"]
    wanted = tf.nn.conv2d(pixels, kernel, 1, "VALID") + bias
    np.testing.assert_allclose(seen.pre, wanted, atol=1e-4)
    np.testing.assert_allclose(seen.post, np.tanh(wanted), atol=1e-4)


def test_nested_models_shared_layers_and_operations_are_followed():
    inner_image = keras.Input((None, None, 3))
    inner = keras.Model(inner_image, of.Conv2D(4, 3, activation="relu", name="c")(inner_image), name="inner")
    image = keras.Input((9, 9, 3))
    shared = of.Conv2D(4, 1, name="shared")
    x = inner(image, training=False)
    x = keras.ops.relu(shared(x) + shared(2 * x))
    head = keras.Sequential([of.GlobalAveragePooling2D(name="gap"), of.Dense(3, name="d")], name="head")
    model = keras.Model(image, head(x))
    assert {"inner/c", "shared", "head/gap", "head/d"} <= table(model).keys()
    pixels = np.random.default_rng(1).uniform(0, 255, (2, 9, 9, 3)).astype(np.float32)
    names = ["inner/c", "shared", "head/d"]
    ours = built(model, SAME, names, 9, "float32").activations(tf.constant(pixels - 127.5), names)
    close(ours["head/d"].pre, model(pixels))
    close(ours["inner/c"].post, inner(pixels))
    close(ours["shared"].pre, shared(inner(pixels)))  # where it is called first
    (relu,) = [n for n, layer in table(model).items() if layer.kind == "relu"]
    both = built(model, SAME, [relu], 9, "float32").activations(tf.constant(pixels - 127.5), [relu])[relu]
    close(both.pre, shared(inner(pixels)) + shared(2 * inner(pixels)))


def test_dropout_is_off_and_batch_norm_uses_what_it_has_learnt():
    image = keras.Input((4, 4, 2))
    x = of.BatchNormalization(name="bn")(of.Dropout(0.9, name="drop")(image), training=True)
    model = keras.Model(image, x)
    model.get_layer("bn").set_weights(
        [np.array([2.0, 3]), np.array([1.0, 0]), np.array([5.0, 0]), np.array([4.0, 1])]
    )
    pixels = np.random.default_rng(2).normal(size=(3, 4, 4, 2)).astype(np.float32)
    seen = built(model, SAME, ["bn"], 4, "float32").activations(tf.constant(pixels - 127.5), ["bn"])["bn"]
    wanted = np.array([2.0, 3]) * (pixels - [5, 0]) / np.sqrt(np.array([4.0, 1]) + 1e-3) + [1, 0]
    np.testing.assert_allclose(seen.pre, wanted, atol=1e-3)


def test_bfloat16_comes_near_and_comes_out_as_float32(trained):
    _, model = trained
    how = preprocessing.read(digits.PREPROCESS, 1)
    image = centred(digits.pictures()[0][:5], how)
    exact, rough = (
        built(model, how, ["logits"], 8, p).activations(image, ["logits"])["logits"].pre
        for p in ("float32", "bfloat16")
    )
    assert rough.dtype == tf.float32
    off = np.abs(rough - exact).max() / np.abs(exact).max()
    assert 1e-6 < off < 0.03


def test_pixels_are_scaled_before_they_are_rounded():
    """A Rescaling inside the network stays exact: bfloat16 has no 129.25."""
    image = keras.Input((2, 2, 1))
    model = keras.Model(image, of.Rescaling(1.0, offset=-129.0, name="r")(image))
    seen = built(model, SAME, ["r"], 2, "bfloat16").activations(tf.fill([1, 2, 2, 1], 1.75), ["r"])["r"]
    assert float(seen.pre[0, 0, 0, 0]) == 0.25


# --- nothing is changed -------------------------------------------------------------------------------------


def test_a_model_in_hand_and_the_callers_keras_are_left_as_they_were(trained):
    _, model = trained
    before = model.get_weights()
    config, outputs = model.get_config(), [layer.output for layer in model.layers]
    activations = [getattr(layer, "activation", None) for layer in model.layers]
    keras.config.set_dtype_policy("mixed_float16")
    random.seed(5)
    try:
        wanted = random.Random(5).random()
        network = built(model, digits.PREPROCESS, ["stem", "logits"], 8, "bfloat16")
        network.activations(tf.zeros([2, 8, 8, 1]), ["stem"])
        keras_network._graph.cache_clear()
        mobile_net().layers()
        assert keras.config.dtype_policy().name == "mixed_float16" and random.random() == wanted
    finally:
        keras.config.set_dtype_policy("float32")
    assert model.get_config() == config
    assert all(layer.output is out for layer, out in zip(model.layers, outputs, strict=True))
    assert [getattr(layer, "activation", None) for layer in model.layers] == activations
    for ours, theirs_ in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs_)


def test_random_weights_repeat_and_so_do_names():
    digests, names = set(), set()
    for _ in range(2):
        keras_network._graph.cache_clear()
        keras_network._loaded.cache_clear()
        read = keras_network.loaded(mobile_net().source)
        digests.add(read.digest)
        names.add(tuple(mobile_net().layers()))
        of.Conv2D(1, 1)  # counts on, as a user's own layers do
        random.random()
    assert len(digests) == len(names) == 1


# --- the table ----------------------------------------------------------------------------------------------


def zoo():
    """Networks with every kind of geometry, their image free in size."""
    image = keras.Input((None, None, 2))
    x = of.Conv2D(3, 5, strides=2, padding="same", name="a")(image)
    x = of.ZeroPadding2D(((1, 2), (2, 1)), name="pad")(x)
    x = of.DepthwiseConv2D(3, strides=2, name="b")(x)
    y = of.SeparableConv2D(4, (1, 3), padding="same", dilation_rate=2, name="c")(x)
    z = of.Conv2D(4, 1, name="d")(x)
    x = of.Concatenate(name="cat")([y, z, of.Add(name="sum")([y, z])])
    x = of.MaxPooling2D(3, 2, name="pool")(x)
    yield keras.Model(image, of.AveragePooling2D(2, 1, padding="same", name="avg")(x))
    x = of.Conv2DTranspose(3, 4, strides=2, padding="same", name="up")(
        of.Conv2D(4, 2, strides=2, name="a")(image)
    )
    x = of.Conv2DTranspose(3, 3, strides=2, name="up2")(x)
    x = of.UpSampling2D((2, 3), name="up3")(of.Cropping2D(1, name="crop")(x))
    yield keras.Model(image, of.Conv2DTranspose(2, 3, strides=2, output_padding=1, name="up4")(x))
    gate = of.Reshape((1, 1, 2))(of.Dense(2)(of.GlobalAveragePooling2D(name="gap")(image)))
    yield keras.Model(image, of.Conv2D(3, 3, name="last")(of.Multiply(name="gated")([image, gate])))


@pytest.mark.parametrize("model", zoo(), ids=lambda model: model.layers[-1].name)
def test_smallest_images_are_those_that_keras_takes(model):
    """By asking Keras at each size: the smallest is where it first gives every map below a pixel."""
    network = open_graph.opened(model)
    known = receptive_fields.table(network.graph, network.image)
    for name in known:
        for size in range(1, 40):
            fits = size >= known[name].smallest
            try:
                open_graph.map_size(network, name, (size, size))
                taken = True
            except ConfigError:
                taken = False
            assert taken == fits, (name, size)


def merged():
    """Networks with free sizes that put maps together, or take them apart, in ways that change their size."""
    image = keras.Input((None, None, 2))
    small, large = of.MaxPooling2D(2)(image), of.Conv2D(3, 3, strides=2, padding="same")(image)
    both = of.Concatenate(name="cat")([small, large])  # refuses 1 x 1 px beside 2 x 2 px, which a sum takes
    yield keras.Model(image, of.Conv2D(3, 2, name="behind_channels")(both))
    tall = of.Concatenate(axis=1, name="cat")([image, image])
    wide = keras.ops.concatenate([tall, tall], axis=2)
    yield keras.Model(image, of.Conv2D(3, 5, strides=2, name="behind_rows")(wide))
    x = of.Conv2D(3, 1, name="before")(image)[:, ::2, ::2]
    yield keras.Model(image, of.Conv2D(3, 3, name="behind_slices")(x))
    x = keras.ops.pad(image, [[0, 0], [2, 2], [2, 2], [0, 0]])
    yield keras.Model(image, of.Conv2D(3, 7, name="behind_padding")(keras.ops.relu(x) + x))


@pytest.mark.parametrize("model", merged(), ids=lambda model: model.layers[-1].name)
def test_sizes_and_strides_behind_merged_maps_are_those_of_keras(model):
    network, name = open_graph.opened(model), model.layers[-1].name
    told = receptive_fields.table(network.graph, network.image)[name]

    def sides(size):
        try:
            return open_graph.map_size(network, name, (size, size))
        except ConfigError:
            return None

    assert told.smallest == next(size for size in range(1, 40) if sides(size))
    steps = [(b - a) / 64 for a, b in zip(sides(64), sides(128), strict=True)]
    assert told.stride == (tuple(int(1 / each) for each in steps) if max(steps) <= 1 else None)


def test_receptive_fields_are_as_wide_as_gradients_reach():
    """All weights positive, so no two paths cancel; in the middle, so no border cuts."""
    image = keras.Input((None, None, 1))
    x = y = of.Conv2D(2, 3, strides=2, name="a")(image)
    x = of.Conv2D(2, 3, padding="same", dilation_rate=2, name="b")(x)
    x = of.Add(name="sum")([x, of.Conv2D(2, 1, name="short")(y)])
    x = of.AveragePooling2D(2, name="pool")(x)
    x = of.DepthwiseConv2D((1, 5), padding="same", name="wide")(x)
    x = of.Conv2DTranspose(2, 4, strides=2, padding="same", name="up")(x)
    model = keras.Model(image, of.UpSampling2D(2, name="near")(x))
    for layer in model.layers:
        layer.set_weights([np.ones_like(w) for w in layer.get_weights()])
    known = table(model)
    assert list(known) == ["a", "b", "short", "sum", "pool", "wide", "up", "near"]
    network = built(model, SAME, list(known), 96, "float32")
    for name, layer in known.items():
        reached = []
        for place in (20, 21, 22, 23):  # an upsampled unit's neighbours may see less
            x = tf.zeros([1, 96, 96, 1])
            with tf.GradientTape() as tape:
                tape.watch(x)
                maps = network.activations(x, [name])[name].pre
                unit = tf.reduce_sum(maps[:, place * maps.shape[1] // 48, maps.shape[2] * place // 48])
            grad = tape.gradient(unit, x)[0, ..., 0].numpy() != 0
            reached += [np.ptp(np.flatnonzero(grad.any(axis=axis))) + 1 for axis in (0, 1)]
        assert max(reached) == layer.field, name


def test_what_lies_behind_a_flattening_takes_one_size(trained):
    known = table(trained[1])
    assert (known["top"].exactly, known["top"].smallest) == (None, 6)
    assert (known["logits"].exactly, known["logits"].smallest, known["logits"].field) == ((8, 8), 8, None)
    pooled = keras.Sequential(
        [keras.Input((8, 8, 1)), of.Conv2D(4, 3), of.GlobalMaxPooling2D(), of.Dense(3, name="d")]
    )
    assert table(pooled)["d"] == Layer("d", "dense", 3, None, None, 3, None)


# --- configs ------------------------------------------------------------------------------------------------


def of_file(path, *overrides):
    typed = ("model=file", f"model.path={path}", "layer=named", "precision=float32", *overrides)
    return plain_of(*typed)


def test_a_file_becomes_a_job_and_a_network(trained, tmp_path):
    path, model = trained
    preprocess = "model.preprocess={mean: 80, scale: 95}"
    cfg = of_file(path, "layer.name=logits", "layer.filters=all", "size=8", preprocess)
    checked = schema.resolve(cfg)
    validation.check(checked)
    job = jobs.make(checked, [], tmp_path)
    assert (job.cfg.model.name, list(job.cfg.model.mean), job.filters) == ("digits", [80.0], tuple(range(10)))
    assert jobs.make(job.cfg, [], tmp_path).key == job.key  # resolved once is resolved
    plain = schema.plain(job.cfg.model) | {"preprocess": digits.PREPROCESS}
    known = networks.network(plain)
    network = known.build(["logits"], (8, 8), "float32")
    assert network.mean == (80.0,) and network.tags["weights.source"] == "path"
    assert network.tags["weights.digest"] == known.digest("logits") == keras_activations.digest(model)
    pixels = digits.pictures()[0][:5]
    seen = network.activations(tf.constant(pixels - 80), ["logits"])["logits"].post
    np.testing.assert_allclose(seen[:, 0, 0], model((pixels - 80) / 95), atol=1e-5)


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["layer.name=logits", "size=8", "layer.filters=10"], "logits has 10 units"),
        (["layer.name=logits", "size=16"], "size=16: logits of digits cannot take it: .*; expected 8$"),
        (["layer.name=top", "size=5"], "size=5: top of digits cannot take it: .*negative.*; expected 8$"),
        (["layer.name=tpo", "size=8"], "has no such layer; did you mean top"),
        (["layer.name=block5_conv1", "size=8"], "choose one with layer.name"),
        (["layer.name=top", "size=8", "model.preprocess=torch"], "3 channels, this network has 1"),
        (["layer.name=top", "size=8", "model.mean=[1,2]"], "model.mean="),
    ],
    ids=lambda each: each[0] if isinstance(each, list) else "",
)
def test_mistakes_with_a_file_are_named_in_one_line(trained, overrides, says):
    cfg = of_file(trained[0], "layer.filters=0", *overrides)
    with pytest.raises(ConfigError, match=says) as error:
        validation.check(schema.resolve(cfg))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_a_file_with_code_is_loaded_only_if_it_is_allowed(suffix, tmp_path, trained):
    image = keras.Input((4, 4, 3))
    model = keras.Model(image, of.Lambda(lambda x: 2 * x, name="twice")(of.Conv2D(2, 1, name="c")(image)))
    path = tmp_path / f"code.{suffix}"
    model.save(path)
    cfg = of_file(path, "layer.name=twice", "layer.filters=0", "size=4")
    with pytest.raises(ConfigError, match=r"model\.allow_code=true") as error:
        validation.check(schema.resolve(cfg))
    assert "\n" not in str(error.value)
    keras.config.enable_unsafe_deserialization()  # what the caller allows himself is not allowed here
    try:
        with pytest.raises(ConfigError, match=r"model\.allow_code=true"):
            model_files.saved_file(None, path, False, "none", None).layers()
    finally:
        keras.src.backend.common.global_state.set_global_attribute("safe_mode_saving", None)
    allowed = model_files.saved_file(None, path, True, "none", None)
    pixels = np.random.default_rng(0).uniform(0, 255, (1, 4, 4, 3)).astype(np.float32)
    seen = allowed.build(["twice"], (4, 4), "float32").activations(tf.constant(pixels - 127.5), ["twice"])
    assert seen["twice"].pre is None  # its code may hold a nonlinearity
    close(seen["twice"].post, 2 * model.get_layer("c")(pixels))


def test_files_that_are_no_model_are_refused_in_one_line(tmp_path):
    (tmp_path / "text.keras").write_text("hello")
    (tmp_path / "text.h5").write_text("hello")
    (tmp_path / "text.txt").write_text("hello")
    for name, says in (("text.keras", "no .keras inside"), ("text.h5", "no .h5 inside"),
                       ("text.txt", "no .txt inside"),
                       ("none.keras", "no such file"), ("", "got a folder")):  # fmt: skip
        with pytest.raises(ConfigError, match=says) as error:
            validation.check(schema.resolve(of_file(tmp_path / name, "layer.name=x", "layer.filters=0")))
        assert "\n" not in str(error.value) and str(error.value).startswith("model.path=")


def test_models_without_a_graph_or_with_two_images_are_refused():
    class Code(keras.Model):
        def call(self, x):
            return x

    one = keras.Input((4, 4, 3))
    for model, says in (
        (Code(), "only code"),
        (keras.Sequential([of.Conv2D(1, 1)]), "not built yet"),
        (keras.Model([one, keras.Input((4, 4, 3), name="two")], of.Conv2D(1, 1)(one)), "expected one image"),
        (keras.Sequential([keras.Input((3,)), of.Dense(1)]), "expected one image"),
    ):
        with pytest.raises(ConfigError, match=says):
            table(model)


def test_a_layer_without_channels_is_named_as_such(tmp_path):
    image = keras.Input((4, 4, 3))
    model = keras.Model(image, of.Dense(2)(of.Flatten()(of.Reshape((6, 8), name="rows")(image))))
    model.save(tmp_path / "rows.keras")
    with pytest.raises(ConfigError, match=r"rows: .*no map of the image"):
        cfg = of_file(tmp_path / "rows.keras", "layer.name=rows", "layer.filters=0", "size=4")
        validation.check(schema.resolve(cfg))


def test_weights_of_an_application_come_from_a_file_or_are_refused(tmp_path):
    model = keras_network.loaded(mobile_net().source).model
    own = keras.models.clone_model(model)
    own.set_weights([np.full_like(w, k) for k, w in enumerate(model.get_weights())])
    own.save_weights(tmp_path / "w.weights.h5")
    source = mobile_net(str(tmp_path / "w.weights.h5")).source
    read = keras_network.loaded(source)
    assert (read.digest, *source.origin) == (keras_activations.digest(own), "path", False)
    assert read.digest != keras_activations.digest(model)
    with pytest.raises(WeightsError, match=r"no weights of MobileNetV2: .*whole network") as error:
        keras_models.Application("MobileNetV2", str(tmp_path / "w.weights.h5")).model()
    assert "\n" not in str(error.value)
