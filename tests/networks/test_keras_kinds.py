"""Laws of models in hand: pictures and scores are those of the user's model as Keras computes it, or refused.

Each kind of model is one that gave a wrong picture, or a raw error, at some time.
"""

import functools
import logging
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import deepvis
from deepvis.core.errors import ConfigError

L, ops = keras.layers, keras.ops
OCTAVES = {"preset": "octaves", "octaves": 2}


@pytest.fixture(autouse=True)
def _same_weights():
    keras.utils.set_random_seed(1)


def image(*shape):
    given = keras.Input(shape or (16, 16, 3))
    return given, L.Rescaling(1 / 255)(given)


def visualized(model, layer, pre=True, **options):
    told = {"size": 16, "steps": 1, "precision": "float32", "reg": "none", "preprocess": "none"} | options
    told.setdefault("objective", {"preset": "channel", "pre_activation": pre})
    return deepvis.visualize(model, layer, "0-2", **told)


def same(model, layer, expected, pre=True, **options):
    """The last score is the mean of the maps that Keras gives of the picture."""
    seen = visualized(model, layer, pre, **options)
    maps = np.asarray(expected(tf.constant(seen.centred + np.float32(127.5))), np.float64)
    means = maps.mean(axis=tuple(range(1, maps.ndim - 1)))
    scores = means[np.arange(len(means)), list(seen.filters)]
    np.testing.assert_allclose(seen.history["score"][-1], scores, atol=2e-4 * np.abs(means).max())


def refused(model, layer, says, pre=True, **options):
    with pytest.raises(ConfigError, match=says) as error:
        visualized(model, layer, pre, **options)
    assert "\n" not in str(error.value) and "\x1b" not in str(error.value)


def keras_own(model, layer):
    """What Keras gives at a layer, by the means of Keras alone."""
    return keras.Model(model.inputs[0], model.get_layer(layer).output)


# --- a model that changes ---


def test_each_call_sees_the_model_as_it_is_then():
    model = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            L.Rescaling(1 / 255),
            L.GlobalAveragePooling2D(),
            L.Dense(4, "softmax", name="d"),
        ]
    )
    same(model, "d", model, pre=False)
    model.get_layer("d").activation = keras.activations.linear
    same(model, "d", model, pre=False)
    model.layers[0].scale = 1 / 100
    same(model, "d", model)
    model.get_layer("d").enable_lora(2)
    model.get_layer("d").lora_kernel_b.assign(model.get_layer("d").lora_kernel_b + 1)
    same(model, "d", model)


class Stateful(L.Layer):
    """What it does follows from an attribute, a variable, or chance."""

    def __init__(self, does, **more):
        super().__init__(**more)
        self.does = does
        self.seeds = keras.random.SeedGenerator(3)

    def build(self, shape):
        self.count = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, x):
        self.count.assign(self.count + 1)
        return self.does(self, x)


def test_an_attribute_that_no_config_knows_is_followed_and_variables_are_left_alone():
    given, x = image()
    layer = Stateful(lambda self, x: x * self.alpha, name="fade")
    layer.alpha = 1.0
    model = keras.Model(given, L.Conv2D(3, 3, name="c")(layer(x)))
    layer.alpha = 0.1
    same(model, "c", model)
    before = float(layer.count.numpy())
    visualized(model, "c")
    assert float(layer.count.numpy()) == before


@pytest.mark.parametrize(
    "does",
    [
        lambda self, x: x + keras.random.normal((1, 1, 1, 3), seed=self.seeds),
        lambda self, x: x + tf.random.normal(tf.shape(x)),
        lambda self, x: x * self.count,
    ],
    ids=["seeded", "chance", "state"],
)
def test_a_layer_that_does_not_repeat_is_refused(does):
    given, x = image()
    model = keras.Model(given, L.Conv2D(3, 3, name="c")(Stateful(does, name="noisy")(x)))
    refused(model, "c", "^layer noisy: draws random numbers or keeps a state")


# --- which values are before the nonlinearity ---


def doubled_relu(x):
    return ops.relu(x) * 2


@pytest.mark.parametrize(
    "activation",
    [
        L.ReLU, lambda: L.PReLU(shared_axes=[1, 2]), lambda: doubled_relu, lambda: "softmax",
        lambda: functools.partial(ops.leaky_relu, negative_slope=0.3),
    ],
    ids=["layer", "prelu", "function", "name", "partial"],
)  # fmt: skip
def test_before_an_activation_is_the_convolutions_own_map(activation):
    given, x = image()
    model = keras.Model(given, L.Conv2D(4, 3, activation=activation(), name="c")(x))
    layer = model.get_layer("c")
    layer.bias.assign(np.full(4, -5.0))
    same(model, "c", lambda x: tf.nn.conv2d(x / 255, layer.kernel, 1, "VALID") + layer.bias)
    same(model, "c", model, pre=False)


def test_a_function_called_linear_that_is_not_is_no_linear_one():
    def linear(x):
        return ops.relu(x)

    given, x = image()
    model = keras.Model(given, L.Conv2D(4, 3, activation=linear, name="c")(x))
    layer = model.get_layer("c")
    same(model, "c", lambda x: tf.nn.conv2d(x / 255, layer.kernel, 1, "VALID") + layer.bias)


class More(L.Conv2D):
    """A convolution whose call does more."""

    def call(self, x):
        return super().call(x) * 2 + 1


@pytest.mark.parametrize(
    "layer",
    [
        lambda: More(4, 3, activation="relu", name="c"),
        lambda: L.TimeDistributed(L.Dense(4, activation="relu"), name="c"),
        lambda: L.TimeDistributed(L.ReLU(), name="c"),
        lambda: keras.Sequential([L.Reshape((16, 48)), L.Bidirectional(L.LSTM(4), name="c")], name="s"),
    ],
    ids=["subclass", "wrapper", "wrapped activation", "recurrent"],
)
def test_where_values_before_the_nonlinearity_cannot_be_had_they_are_refused_and_those_behind_are_right(
    layer,
):
    given, x = image()
    model = keras.Model(given, layer()(x))
    name = model.layers[-1].name.replace("s", "s/c")
    refused(model, name, r"pre_activation=true: .*\bc\b.*cannot be had.*false")
    same(model, name, model, pre=False)


def test_an_activation_that_halves_the_channels_is_refused():
    given, x = image()
    refused(
        keras.Model(given, L.Conv2D(4, 3, activation="glu", name="c")(x)),
        "c",
        "^layer c: gives .*, 2.*told .*4",
    )


# --- how layers are called ---


def test_a_layer_called_twice_is_looked_at_where_keras_has_its_output():
    shared = L.Dense(4, activation="tanh", name="shared")
    given, x = image()
    first = shared(L.Conv2D(4, 1)(x))
    second = shared(L.Conv2D(4, 1)(L.Conv2D(4, 1)(x)))
    model = keras.Model(given, L.Subtract()([second, first]))
    same(model, "shared", keras_own(model, "shared"), pre=False)
    same(model, "shared", lambda x: np.arctanh(keras_own(model, "shared")(x)))


@pytest.mark.parametrize("how", ["dict", "list by name", "one twice"])
def test_inner_models_are_taken_apart_however_they_are_called(how):
    one, other = keras.Input((16, 16, 3), name="z"), keras.Input((16, 16, 3), name="a")
    difference = L.Subtract()([L.Conv2D(4, 1, name="k")(one), L.Conv2D(4, 1)(other)])
    given, x = image()
    moved = L.Conv2D(3, 1)(x)
    if how == "dict":
        inner = keras.Model({"z": one, "a": other}, {"y": difference, "x": one}, name="inner")
        out = inner({"a": x, "z": moved})["y"]
    elif how == "list by name":
        inner = keras.Model([one, other], difference, name="inner")
        out = inner(inputs=[moved, x], training=True)
    else:
        inner = keras.Model(one, L.Conv2D(3, 1, activation="relu", name="k")(one), name="inner")
        out = inner(inner(x))
    model = keras.Model(given, L.Conv2D(3, 1, name="k")(out))  # a nested layer has this name, too
    same(model, "k", model)
    assert "inner/k" in [layer.name for layer in deepvis.layers(model)]


class Own(keras.Model):
    """A functional model with code of its own."""

    def __init__(self):
        given = keras.Input((16, 16, 3))
        super().__init__(given, L.Conv2D(4, 3, name="c")(given))

    def call(self, x, training=None, mask=None):
        return super().call(x / 255.0) * 2


def test_a_model_with_code_of_its_own_is_a_layer_of_another_and_refused_alone():
    given = keras.Input((16, 16, 3))
    inner = Own()
    model = keras.Model(given, L.Conv2D(3, 3, name="e")(inner(given)))
    same(model, "e", model)
    same(model, inner.name, inner, pre=False)
    refused(inner, "c", "only code")


# --- what one image is ---


def test_statistics_over_the_batch_are_refused_above_and_do_not_matter_below():
    given, x = image()
    low = L.Conv2D(8, 3, name="low")(x)
    centred = low - ops.mean(low, axis=0, keepdims=True)
    model = keras.Model(given, L.Conv2D(3, 1, name="high")(centred))
    same(model, "low", keras_own(model, "low"))
    refused(model, "high", "depend on the other images of its batch")
    (name,) = [layer.name for layer in deepvis.layers(model) if layer.kind == "subtract"]
    refused(model, name, f"^layer {name}: .*depend on the other images")


@pytest.mark.parametrize(
    "code",
    [lambda x: ops.cumsum(x, axis=0), lambda x: x - 0.5 * x[:1], lambda x: x - 0.5 * x[-1:],
     lambda x: ops.roll(x, 1, axis=0)],
    ids=["sum", "first", "last", "neighbour"],
)  # fmt: skip
def test_values_that_depend_on_the_place_in_the_batch_are_refused(code):
    given, x = image()
    low = L.Conv2D(4, 3, name="low")(x)
    model = keras.Model(given, L.Conv2D(3, 1, name="high")(L.Lambda(code, name="code")(low)))
    same(model, "low", keras_own(model, "low"))
    refused(model, "high", "^layer code: an image's values depend on the other images of its batch")


@pytest.mark.parametrize(
    "code",
    [
        lambda x: x / tf.cast(tf.shape(x)[0], tf.float32),
        lambda x: x * (2.0 if tf.executing_eagerly() else 3.0),
    ],
    ids=["batch", "compiled"],
)
def test_values_that_depend_on_the_size_of_the_batch_or_on_being_compiled_are_refused(code):
    given, x = image()
    model = keras.Model(given, L.Lambda(code, name="code")(L.Conv2D(4, 3)(x)))
    says = "^layer code: its values of one image alone, in a compiled graph, differ by"
    refused(model, "code", says, pre=False)


def test_a_layer_that_gives_a_dict_is_refused_and_what_reads_it_is_right():
    class Two(L.Layer):
        def call(self, x):
            return {"b": x * 2, "a": x[..., :1]}

    given, x = image()
    model = keras.Model(given, L.Conv2D(3, 1, name="c")(Two(name="two")(x)["b"]))
    same(model, "c", model)
    refused(model, "two", "it gives a dict of b, a, expected one map")


def test_a_first_axis_that_is_not_the_batch_is_refused():
    given, x = image()
    windows = ops.reshape(L.Conv2D(8, 3, padding="same")(x), (-1, 4, 16, 8))
    name = [layer.name for layer in deepvis.layers(keras.Model(given, windows))][-1]
    refused(keras.Model(given, windows), name, r"first axis is not the batch")


def test_tokens_are_the_places_of_the_map_they_come_of():
    given, x = image()
    tokens = L.Reshape((16, 16))(L.Conv2D(16, 4, 4)(x))
    token = ops.mean(tokens, axis=1, keepdims=True) * 0 + 1.0
    both = L.Concatenate(axis=1, name="last")([tokens, token])  # a class token behind the patches
    mixed = L.Permute((2, 1), name="turned")(tokens)  # as many channels as places
    model = keras.Model(given, [both, mixed])
    same(model, "last", lambda x: keras_own(model, "last")(x)[:, :16])
    refused(model, "turned", "is no map of the image")


class ClassToken(L.Layer):
    def __init__(self, first, **more):
        super().__init__(**more)
        self.first = first

    def build(self, shape):
        self.token = self.add_weight(shape=(1, 1, shape[-1]), initializer="normal")

    def call(self, x):
        token = ops.broadcast_to(self.token, (ops.shape(x)[0], 1, x.shape[-1]))
        return ops.concatenate([token, x] if self.first else [x, token], axis=1)


def test_a_class_token_of_unknown_code_is_first_or_refused():
    given, x = image()
    tokens = L.Reshape((16, 8))(L.Conv2D(8, 4, 4)(x))
    model = keras.Model(given, L.Dense(8, name="d")(ClassToken(True)(tokens)))
    same(model, "d", lambda x: model(x)[:, 1:])
    refused(keras.Model(given, L.Dense(8, name="d")(ClassToken(False)(tokens))), "d", "cannot be told")


# --- gradients, types, sizes ---


@pytest.mark.parametrize(
    "step", [ops.round, lambda x: ops.cast(x > 0.0, "float32")], ids=["round", "comparison"]
)
def test_a_layer_above_one_without_a_gradient_is_refused(step):
    given, x = image()
    model = keras.Model(given, L.Conv2D(3, 1, name="c")(step(L.Conv2D(4, 3)(x))))
    refused(model, "c", "^layer c: no gradient reaches the image")


def test_python_code_is_refused_as_it_has_no_gradient():
    def doubled(function):
        def code(x):
            return tf.ensure_shape(function(lambda a: a * 2, [x], tf.float32), (None, 16, 16, 3))

        return L.Lambda(code, output_shape=(16, 16, 3), name="code")

    given, x = image()
    model = keras.Model(given, L.Conv2D(3, 3, name="c")(doubled(tf.py_function)(x)))
    refused(model, "c", "^layer c: TensorFlow cannot compute its gradient by the image")
    given, x = image()
    model = keras.Model(given, L.Conv2D(3, 3, name="c")(doubled(tf.numpy_function)(x)))
    refused(model, "c", "^layer c: no gradient reaches the image")


def test_an_image_of_integers_is_refused():
    given = keras.Input((16, 16, 3), dtype="uint8", name="pixels")
    model = keras.Model(given, L.Conv2D(3, 3, name="c")(L.Rescaling(1 / 255)(given)))
    refused(model, "c", "its image pixels is of type uint8, which has no gradient; expected float32")


def test_a_gradient_of_zero_is_told(caplog):
    given, x = image()
    model = keras.Model(given, L.Conv2D(3, 1, name="c")(ops.sign(L.Conv2D(4, 3)(x))))
    with caplog.at_level(logging.WARNING):
        visualized(model, "c")
    assert "layer c: its gradient by the image is zero" in caplog.text


@pytest.mark.parametrize("policy", ["float64", "float16", "mixed_float16"])
def test_variables_keep_their_type(policy):
    given = keras.Input((16, 16, 3))
    model = keras.Model(given, L.Conv2D(3, 3, name="c", dtype=policy)(L.Rescaling(1 / 255)(given)))
    kernel, bias = (np.asarray(each, np.float32) for each in model.get_layer("c").get_weights())
    same(model, "c", lambda x: tf.nn.conv2d(x / 255, kernel, 1, "VALID") + bias)
    assert model.get_layer("c").dtype_policy.name == policy


@pytest.mark.parametrize(
    "code",
    [lambda x: x - tf.constant([0.1, 0.2, 0.3]), lambda x: (x + 3000.0) - 3000.0],
    ids=["constant", "range"],
)
def test_code_that_bfloat16_breaks_computes_in_float32_and_says_so(code, caplog):
    given, x = image()
    model = keras.Model(given, L.Conv2D(3, 3, name="c")(L.Lambda(code)(x)))
    with caplog.at_level(logging.WARNING):
        same(model, "c", model, precision="bfloat16")
    assert "computes in float32" in caplog.text


def test_what_takes_some_sizes_only_is_refused_at_others():
    given, x = image(None, None, 3)
    skip = L.Conv2D(4, 3, padding="same")(x)
    up = L.UpSampling2D()(L.MaxPooling2D()(skip))
    net = keras.Model(given, L.Conv2D(4, 3, padding="same", name="c")(L.Concatenate()([skip, up])))
    same(net, "c", net)
    refused(net, "c", "^size=17: .*do not fit; expected 16 or 18$", size=17)
    given, x = image()
    net = keras.Model(given, L.PReLU(name="p")(L.Conv2D(4, 3, name="c")(x)))
    for options in ({"size": 24}, {"param": OCTAVES, "steps": 2}, {"transform": {"pad": 2}}):
        refused(net, "p", r"size=(24|11|20): p of functional.*\(PReLU\): .*; expected 16$", **options)
    refused(keras.Sequential([keras.Input((3, 16, 16)), L.Permute((2, 3, 1))]), "permute", "channels first")


@pytest.mark.parametrize("layer", [
    lambda: L.LayerNormalization(axis=(1, 2, 3), name="n"),
    lambda: L.RMSNormalization(axis=(1, 2, 3), name="n"),
    lambda: L.Normalization(axis=(1, 2), mean=np.arange(256).reshape(16, 16), variance=np.ones((16, 16)),
                            name="n"),
    lambda: L.PReLU(shared_axes=[1], name="n"),
])  # fmt: skip
def test_weights_for_each_place_take_images_of_one_size(layer):
    given, x = image()
    net = keras.Model(given, L.Conv2D(4, 3, name="d")(layer()(L.Conv2D(4, 3, padding="same")(x))))
    same(net, "d", net)
    for options in ({"size": 24}, {"param": OCTAVES, "steps": 2}, {"transform": {"pad": 2}}):
        refused(net, "d", r"size=(24|11|20): d of functional.*; expected 16$", **options)


@pytest.mark.parametrize("how", ["octaves", "pad", "size"])
def test_sizes_are_checked_before_the_start_for_all_layers_of_an_objective(how, monkeypatch, tmp_path):
    """Of a network of any size with a part that takes multiples of 4; the job's own layer is below it."""
    given, x = image(None, None, 3)
    first = L.Conv2D(4, 3, padding="same", name="first")(x)
    small = L.MaxPooling2D(4)(first)
    both = L.Concatenate(name="both")([first, L.UpSampling2D(4)(small)])
    net = keras.Model(given, L.Conv2D(4, 3, name="c")(both))
    options = {"octaves": {"param": OCTAVES}, "pad": {"transform": {"pad": 1}}, "size": {"size": 18}}[how]
    told = {"octaves": "11: .*; expected 8 or 12", "pad": "18: .*; expected 16 or 20",
            "size": "18: .*; expected 16 or 20"}[how]  # fmt: skip
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(tmp_path / "style.png")
    style = {"preset": "style", "style_layers": ["first", "c"], "content_layers": ["first"],
             "pictures": {"style": str(tmp_path / "style.png"), "content": None}}  # fmt: skip
    monkeypatch.setattr("deepvis.ascent.optimize.optimize", lambda *_: pytest.fail("it was started"))
    for objective in ({"preset": "sum", "terms": "channel + layer of c"}, style):
        refused(net, "first", f"size={told}$", objective=objective, **options)


def test_a_resizing_inside_gives_one_map_whatever_the_image():
    given = keras.Input((None, None, 3))
    x = L.Conv2D(4, 3, name="c")(L.Rescaling(1 / 255)(L.Resizing(20, 20)(given)))
    model = keras.Model(given, L.Dense(3, name="d")(L.Flatten()(x)))
    same(model, "d", model, size=33)
    unit = {"preset": "neuron", "row": 18, "column": 0}
    refused(model, "c", "outside of the map; c has 18 x 18 positions", objective=unit, size=33)


def test_operations_of_unknown_shapes_are_followed_at_any_size():
    given = keras.Input((None, None, 3))
    x = L.Lambda(lambda x: tf.nn.depth_to_space(x, 2))(L.Conv2D(8, 3, padding="same")(given / 255.0))
    x = ops.concatenate([x[..., :1], ops.mean(x, axis=-1, keepdims=True)], axis=-1)
    model = keras.Model(given, L.Conv2D(3, 3, name="_c")(x))
    same(model, model.get_layer("_c"), model, size=20)


# --- what is left behind ---


class Interrupted(L.Layer):
    left = 0

    def call(self, x):
        if not isinstance(x, keras.KerasTensor):
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
        return x

    def compute_output_shape(self, shape):
        return shape


@pytest.mark.parametrize("after", [1, 4, 6])
def test_an_interruption_leaves_the_model_as_it_was(after):
    given, x = image()
    layer = Interrupted(name="stop")
    model = keras.Model(given, layer(L.Conv2D(4, 3, activation="relu", name="c")(x)))
    layer.left = after
    before = [dict(vars(each)) for each in model.layers]
    with pytest.raises(KeyboardInterrupt):
        visualized(model, "stop", pre=False, precision="bfloat16")
    for each, kept in zip(model.layers, before, strict=True):
        assert vars(each).keys() == kept.keys()
        assert all(vars(each)[key] is kept[key] for key in ("activation", "_dtype_policy") if key in kept)


def test_threads_share_a_model():
    given, x = image()
    model = keras.Model(given, L.Dense(3, "tanh", name="d")(L.Conv2D(4, 3, activation="relu", name="c")(x)))
    config, failed = model.to_json(), []

    def check(layer):
        try:
            same(model, layer, keras_own(model, layer), pre=False)
        except BaseException as err:
            failed.append(err)

    threads = [threading.Thread(target=check, args=(layer,)) for layer in ("c", "d")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(thread.is_alive() for thread in threads), "a thread hangs"
    assert not failed and model.to_json() == config
