"""Copies of Keras networks: (network) -> another model with the same weights, compared with the original."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from deepvis.core.errors import ConfigError, first_line
from deepvis.networks import keras_models
from deepvis.networks.base import Network, Size
from deepvis.networks.keras_network import KerasNetwork, loaded
from deepvis.networks.lookup import network

PROBE = 1e-4  # by which a copy may differ from its original, of the largest value


def copied(known: Network, layer: str, size: Size) -> tuple[keras.Model, dict[str, Any]]:
    """A copy of a network's model, and the config of the network that it is.

    Args:
      known: the network.
      layer: whose maps are compared.
      size: of the image that they are compared for, px.

    Raises:
      ConfigError: it is no Keras network, its layers cannot be made again, or the copy computes otherwise.
    """
    original = loaded(_of_keras(known).source).model
    try:
        copy = keras.models.clone_model(original)
        copy.set_weights(original.get_weights())
    except Exception as err:  # a user's layer may do anything
        raise ConfigError(
            f"model={known.name}: no copy of it can be made ({first_line(err)}); leave randomized away"
        ) from err
    held = config(known, copy)
    pixels = np.random.default_rng(0).uniform(-50, 50, (2, *size, known.channels)).astype("float32")
    image: Any = keras.ops.convert_to_tensor(pixels)  # beside held inputs Keras takes no array
    one, other = (
        np.asarray(each.build([layer], size, "float32").activations(image, [layer])[layer].post)
        for each in (known, network(held))
    )
    if not np.allclose(one, other, rtol=0, atol=PROBE * np.abs(one).max()):
        raise ConfigError(
            f"model={known.name}: a copy of it computes otherwise (by {np.abs(one - other).max():.3g} in "
            f"{layer}); leave randomized away"
        )
    return copy, held


def config(known: Network, copy: keras.Model) -> dict[str, Any]:
    """The config of a copy of a Keras network, as its weights are now."""
    original, resolved = _of_keras(known), known.resolved()
    held = keras_models.hold(copy, resolved["preprocess"], original.inputs, original.optimize)
    return held | {"name": known.name, "mean": resolved["mean"], "labels": None}


def layers(known: Network) -> Mapping[str, Any]:
    """The layers of a Keras network by name, from the image upwards.

    Raises:
      ConfigError: it is none.
    """
    return {call.name: call.layer for call in _of_keras(known).graph().graph.calls}


def _of_keras(known: Network) -> KerasNetwork:
    if not isinstance(known, KerasNetwork):
        raise ConfigError(
            f"model={known.name}: its weights cannot be drawn; expected a VGG or a Keras network"
        )
    return known
