"""Attribution of Keras networks: Grad-CAM beside tf-keras-vis, the rules at the ReLUs of Keras' layers."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from attribution.test_methods import METHODS, method, same, unit_of
from helpers import grad_cam_values

from deepvis import networks
from deepvis.attribution import activation_maps
from deepvis.attribution.unit import Unit
from deepvis.core.errors import ConfigError

of = keras.layers
AS_THEY_ARE = {"mean": 0, "scale": 1}  # pixels


def network_of(model):
    return networks.network(networks.hold(model, AS_THEY_ARE) | {"mean": 0})


@pytest.fixture(scope="module")
def recorded():
    model = grad_cam_values.network(keras)
    network = network_of(model)
    return model, network, network.build(["second", "logits"], (20, 24), "float32")


def test_grad_cam_is_that_of_tf_keras_vis(recorded):
    expected = np.load(grad_cam_values.FILE)["maps"]
    assert expected.shape == (3, 9, 11) and expected.max() > 0.01
    images = grad_cam_values.images()
    for image, index, theirs in zip(images, grad_cam_values.UNITS, expected, strict=True):
        found = method("grad_cam", unit_of(recorded[2], "logits", index), layer="second")(image[None])
        np.testing.assert_allclose(found.coarse[0], theirs, atol=1e-4 * expected.max())


def test_the_layer_below_is_the_last_with_a_map(recorded):
    assert activation_maps.layer_below(recorded[1], "logits", (20, 24)) == "third"
    assert activation_maps.layer_below(recorded[1], "third", (20, 24)) == "second"
    with pytest.raises(ConfigError, match="no layer with a map below first"):
        activation_maps.layer_below(recorded[1], "first", (20, 24))


def test_a_layer_of_another_branch_is_not_below():
    image = keras.Input((12, 12, 3))
    trunk = of.Conv2D(4, 3, activation="relu", name="trunk")(image)
    side = of.Conv2D(2, 1, name="side")(of.Conv2D(2, 3, name="first")(trunk))
    classes = of.Dense(3, name="classes")(of.GlobalAveragePooling2D(name="mean")(trunk))
    network = network_of(keras.Model(image, [side, classes]))
    before = list(network.layers())
    assert before.index("first") < before.index("classes")
    assert network.below("classes") == ["trunk", "mean"] and network.below("side") == ["trunk", "first"]
    assert activation_maps.layer_below(network, "classes", (12, 12)) == "trunk"
    unit = unit_of(network.build(["trunk", "classes"], (12, 12), "float32"), "classes", 1)
    found = method("grad_cam", unit, layer="trunk")(grad_cam_values.images()[:1, :12, :12])
    assert found.coarse.shape == (1, 10, 10)


def test_maps_behind_a_unit_and_those_of_tokens_are_not_below():
    image = keras.Input((12, 12, 3))
    x = of.Conv2D(4, 3, name="lower")(image)
    tokens = of.Reshape((100, 4), name="tokens")(of.ReLU(name="relu")(x))
    out = of.Dense(2, name="out")(of.GlobalAveragePooling1D(name="mean")(of.Dense(4, name="mlp")(tokens)))
    network = network_of(keras.Model(image, out))
    assert network.below("relu") == []  # lower's map behind its nonlinearity is the unit's own
    assert network.below("mlp") == ["lower", "relu"] and network.below("out") == ["lower", "relu", "mean"]
    assert activation_maps.layer_below(network, "out", (12, 12)) == "relu"
    unit = unit_of(network.build(["tokens", "out"], (12, 12), "float32"), "out", 1)
    with pytest.raises(ConfigError, match=r"attribution.layer=tokens: .*of tokens they are copies"):
        method("grad_cam", unit, layer="tokens")(grad_cam_values.images()[:1, :12, :12])


@pytest.mark.parametrize("name", METHODS)
def test_an_image_is_the_same_alone_and_in_any_batch(name, recorded):
    images = np.concatenate([grad_cam_values.images(), -grad_cam_values.images()])[:5]
    unit, changes = unit_of(recorded[2], "logits", 2), {"layer": "second"} if name.endswith("cam") else {}
    together = method(name, unit, **changes)(images)
    few = Unit(unit.compiled, unit.numbers, batch=2)
    for k in (0, 4):
        same(method(name, few, **changes)(images[k : k + 1]), together, k)


def by_hand(convolutions, bounds, rule, image, index):
    """The gradient of a logit by a rule, its ReLUs written out; convolutions are called by TensorFlow."""

    def bounded(bound):
        @tf.custom_gradient
        def relu(x):
            passed = (x > 0) & (x < bound) if rule != "deconvnet" else tf.ones_like(x, bool)

            def backward(gradient):
                passes = passed & (gradient > 0) if rule != "plain" else passed
                return tf.where(passes, gradient, 0)

            return tf.clip_by_value(x, 0, bound), backward

        return relu

    x = tf.constant(image[None])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = x
        for convolution, bound in zip(convolutions, bounds, strict=True):
            y = bounded(bound)(tf.nn.conv2d(y, convolution.kernel.value, 1, "VALID") + convolution.bias.value)
        score = tf.reduce_mean(y[..., index])
    return tape.gradient(score, x)[0].numpy()


@pytest.mark.parametrize("name, rule", [
    ("saliency", "plain"), ("deconvnet", "deconvnet"), ("guided_backprop", "guided")
])  # fmt: skip
def test_the_rules_act_in_keras_layers_and_at_both_gates_of_relu6(name, rule):
    keras.utils.set_random_seed(5)
    parts = [
        of.Conv2D(6, 3, activation="relu"),
        of.Conv2D(6, 3, activation="relu6"),
        of.Conv2D(6, 3),
        of.Conv2D(4, 3),
    ]
    model = keras.Sequential([
        keras.Input((14, 14, 3)), *parts[:3], of.ReLU(6.0), parts[3], of.Activation("relu", name="top")
    ])  # fmt: skip
    model.set_weights([4 * each for each in model.get_weights()])  # so that the upper gate shuts
    image = np.random.default_rng(6).normal(0, 2, (14, 14, 3)).astype(np.float32)
    built = network_of(model).build(["top"], (14, 14), "float32")
    for index in range(4):
        found = method(name, unit_of(built, "top", index))(image[None])
        expected = by_hand(parts, [np.inf, 6, 6, np.inf], rule, image, index)
        np.testing.assert_allclose(
            found.gradients[0], expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max()
        )


def test_networks_without_relus_alone_are_refused_by_name():
    for layers, text in [
        ([of.Conv2D(4, 3, activation="silu")], r"sequential.* has no ReLU .* got Sigmoid"),
        (
            [of.Conv2D(4, 3, activation="relu"), of.Conv2D(4, 3, activation="tanh")],
            r"got Tanh beside the ReLUs",
        ),
    ]:
        model = keras.Sequential([keras.Input((14, 14, 3)), *layers, of.Conv2D(3, 3, name="top")])
        built = network_of(model).build(["top"], (14, 14), "float32")
        image = np.random.default_rng(7).normal(size=(1, 14, 14, 3)).astype(np.float32)
        with pytest.raises(ConfigError, match=text):
            method("guided_backprop", unit_of(built, "top", 0))(image)
        assert method("saliency", unit_of(built, "top", 0))(image).maps.any()
