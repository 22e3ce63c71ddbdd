"""Laws of Vision Transformers whose patches are made in code: their blocks are maps, or refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import deepvis
from deepvis import networks
from deepvis.core.errors import ConfigError

L, ops = keras.layers, keras.ops
SIDE = 4  # px of a patch


@pytest.fixture(autouse=True)
def _same_weights():
    keras.utils.set_random_seed(1)


class Patches(L.Layer):
    """As in https://keras.io/examples/vision/image_classification_with_vision_transformer."""

    def __init__(self, order="rows"):
        super().__init__(name="patches")
        self.order = order

    def call(self, images):
        batch, height, width, channels = ops.shape(images)
        if self.order == "unknown count":  # of the example for Keras 2
            cut = [1, SIDE, SIDE, 1]
            found = tf.image.extract_patches(images, cut, cut, [1, 1, 1, 1], "VALID")
            return tf.reshape(found, [tf.shape(images)[0], -1, found.shape[-1]])
        found = ops.image.extract_patches(images, SIDE)
        if self.order == "columns":
            found = ops.transpose(found, (0, 2, 1, 3))
        if self.order == "mixed":
            found = found - ops.mean(found, axis=(1, 2), keepdims=True)
        count = (height // SIDE) * (width // SIDE)
        return ops.reshape(found, (batch, count, SIDE * SIDE * channels))


class PatchEncoder(L.Layer):
    """With a class token of its own before or behind the others, or none."""

    def __init__(self, count, token):
        super().__init__(name="encoder")
        self.token, self.count = token, count + (token is not None)
        self.project, self.position = L.Dense(12), L.Embedding(self.count, 12)

    def build(self, shape):
        self.extra = self.add_weight(shape=(1, 1, 12), initializer="random_normal")
        super().build(shape)

    def call(self, patches):
        tokens = self.project(patches)
        extra = ops.repeat(self.extra, ops.shape(patches)[0], axis=0)
        both = {"first": [extra, tokens], "last": [tokens, extra], None: [tokens]}[self.token]
        return ops.concatenate(both, axis=1) + self.position(ops.expand_dims(ops.arange(self.count), 0))


def transformer(order="rows", token=None, size=(16, 16)):
    image = keras.Input((*size, 3))
    cut = Patches(order)(L.Rescaling(1 / 255)(image))
    x = PatchEncoder(size[0] // SIDE * (size[1] // SIDE), token)(cut)
    normal = L.LayerNormalization()(x)
    x = L.Add(name="attended")([L.MultiHeadAttention(2, 6, name="attention")(normal, normal), x])
    hidden = L.Dense(24, activation="gelu", name="hidden")(L.LayerNormalization()(x))
    x = L.Add(name="block")([L.Dense(12, name="mlp")(hidden), x])
    return keras.Model(image, L.Dense(5, name="logits")(L.Flatten()(x)))


def visualized(model, layer, row, column):
    objective = {"preset": "neuron", "row": row, "column": column, "pre_activation": False}
    return deepvis.visualize(model, layer, "0-2", size=model.input_shape[1:3], steps=1, reg="none",
                             precision="float32", preprocess="none", objective=objective)  # fmt: skip


@pytest.mark.parametrize(("order", "token", "size"), [
    ("rows", None, (16, 16)), ("rows", "first", (12, 20)), ("unknown count", "first", (16, 16)),
])  # fmt: skip
def test_the_maps_of_blocks_are_the_tokens_of_patches(order, token, size):
    model = transformer(order, token, size)
    network = networks.network(networks.hold(model, "none"))
    names = ["encoder", "attention", "attended", "hidden", "mlp", "block"]
    images = np.random.default_rng(0).uniform(0, 255, (2, *size, 3)).astype(np.float32)
    found = network.build(names, size, "float32").activations(tf.constant(images - 127.5), names)
    reference = keras.Model(model.input, [model.get_layer(name).output for name in names])
    for name, tokens in zip(names, reference(images, training=False), strict=True):
        places = np.asarray(tokens)[:, token is not None :]
        maps = places.reshape(2, size[0] // SIDE, size[1] // SIDE, -1)
        np.testing.assert_allclose(found[name].post, maps, atol=1e-5)
        assert network.layer(name).stride == (SIDE, SIDE)
        assert network.map_size(name, size) == maps.shape[1:3]


def test_a_layer_of_patches_alone_is_a_map():
    model = transformer()
    seen = visualized(model, "patches", 3, 1)
    cut = ops.image.extract_patches((seen.centred + np.float32(127.5)) / 255, SIDE)
    expected = [float(cut[k, 3, 1, k]) for k in range(3)]
    np.testing.assert_allclose(seen.history["score"][-1], expected, atol=1e-6)


@pytest.mark.parametrize(("order", "token", "of"), [
    ("columns", None, "patches"), ("mixed", "first", "patches"), ("rows", "last", "encoder"),
])  # fmt: skip
def test_tokens_that_are_not_places_by_rows_are_refused_and_the_classes_are_right(order, token, of):
    model = transformer(order, token)
    with pytest.raises(
        ConfigError, match=f"^layer block: the tokens of {of} cannot be told to be 4 x 4"
    ) as err:
        visualized(model, "block", 1, 2)
    assert "\n" not in str(err.value)
    seen = visualized(model, "logits", 0, 0)
    expected = np.asarray(model(seen.centred + np.float32(127.5), training=False))
    np.testing.assert_allclose(seen.history["score"][-1], expected[range(3), range(3)], atol=1e-5)


def test_patches_that_do_not_fit_the_image_are_no_map():
    model = transformer(size=(18, 18))  # 4 x 4 patches, and 2 px that no patch has
    with pytest.raises(ConfigError, match="is no map of the image"):
        visualized(model, "block", 1, 2)


def test_a_map_that_keras_lays_out_otherwise_is_no_tokens():
    image = keras.Input((16, 16, 3))
    mixed = L.Reshape((16, 48), name="mixed")(image)  # as many as 4 x 4 patches, each a row of pixels
    model = keras.Model(image, L.Dense(4, name="block")(mixed))
    with pytest.raises(ConfigError, match="is no map of the image"):
        visualized(model, "block", 1, 2)
