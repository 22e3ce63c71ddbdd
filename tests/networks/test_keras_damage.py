"""Laws of deepvis.networks.keras_damage: what a damaged weight does not touch is as if it were sound."""

import logging

import keras
import numpy as np
import pytest

import deepvis
from deepvis.core.errors import ConfigError

L = keras.layers
SEEN = {"size": 16, "steps": 2, "start": {"low": -50.0, "high": 50.0}}


def model():
    keras.utils.set_random_seed(1)
    x = image = L.Input((16, 16, 3))
    x = L.Conv2D(6, 3, activation="relu", name="first")(x)
    x = L.Conv2D(6, 3, use_bias=False, name="second")(x)
    x = L.ReLU(name="relu")(L.BatchNormalization(name="norm")(x))
    x = L.DepthwiseConv2D(3, name="depthwise")(x)
    x = L.Conv2D(6, 3, name="third")(x)
    x = L.Flatten(name="flat")(x)
    return keras.Model(image, L.Dense(6, activation="softmax", name="classes")(x), name="net")


def damaged(layer, value, which=0):
    made = model()
    arrays = made.get_layer(layer).get_weights()
    if layer == "depthwise":
        arrays[which][0, 0, 2] = value
    else:
        arrays[which][..., 2] = value
    made.get_layer(layer).set_weights(arrays)
    return made


@pytest.mark.parametrize(("layer", "seen", "value"), [
    ("first", "first", np.nan), ("second", "relu", np.nan), ("depthwise", "depthwise", np.inf),
    ("classes", "classes", np.nan),
])  # fmt: skip
def test_images_of_other_channels_are_those_of_the_sound_network(layer, seen, value, caplog):
    with caplog.at_level(logging.WARNING):
        found = deepvis.visualize(damaged(layer, value), seen, "0-4", **SEEN)
    expected = deepvis.visualize(model(), seen, "0-4", **SEEN)
    assert [end == "diverged" for end in found.ends] == [False, False, True, False, False]
    others = [0, 1, 3, 4]
    np.testing.assert_array_equal(found.centred[others], expected.centred[others])
    np.testing.assert_array_equal(found.history["score"][:, others], expected.history["score"][:, others])
    assert np.isnan(found.history["score"][:, 2]).all()
    (line,) = [record.getMessage() for record in caplog.records if "NaN or infinite" in record.getMessage()]
    assert line.startswith(f"{seen} of net: weights of {layer}/") and "channel 2" in line


@pytest.mark.parametrize("which", [0, 3])
def test_a_damaged_statistic_of_a_normalization_touches_its_channel_alone(which):
    found = deepvis.visualize(damaged("norm", np.nan, which), "norm", "1-2", **SEEN)
    assert found.ends[1] == "diverged" and found.ends[0] != "diverged"


@pytest.mark.parametrize(("layer", "seen"), [("first", "second"), ("third", "classes")])
def test_above_a_damaged_channel_every_channel_is_refused_in_one_line(layer, seen):
    says = f"^{seen} of net: every channel is NaN, because weights of {layer}/kernel are NaN[^\n]*$"
    with pytest.raises(ConfigError, match=says):
        deepvis.visualize(damaged(layer, np.nan), seen, 0, **SEEN)


def test_a_layer_below_the_damage_and_an_infinite_bias_are_left_as_they_are(caplog):
    with caplog.at_level(logging.WARNING):
        found = deepvis.visualize(damaged("second", np.nan), "first", "0-4", **SEEN)
        shut = deepvis.visualize(damaged("first", -np.inf, 1), "third", 0, **SEEN)
    np.testing.assert_array_equal(found.centred, deepvis.visualize(model(), "first", "0-4", **SEEN).centred)
    assert "diverged" not in [*found.ends, *shut.ends] and not caplog.records


def test_the_users_model_is_not_changed():
    own = damaged("second", np.nan)
    before = own.get_weights()
    deepvis.visualize(own, "second", 0, **SEEN)
    for one, other in zip(before, own.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
