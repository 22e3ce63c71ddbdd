"""Random weights: a network's config and some of its layers -> the same network, those drawn anew.

What is drawn has the spread that it had: a kernel is drawn from a normal distribution of mean 0 and its own
standard deviation, the values of a vector (a bias, what a normalization has learnt) are shuffled. Each layer
draws by its name, so its weights are the same whichever others are drawn. The user's network stays as it is.

Source: Adebayo et al. 2018, "Sanity Checks for Saliency Maps" (arXiv:1810.03292), section 4.
"""

import json
import pkgutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepvis.networks.base import Size
from deepvis.networks.lookup import network
from deepvis.networks.vgg import Vgg
from deepvis.networks.weights import Shapes, Weights


@dataclass(frozen=True, eq=False)
class Randomized:
    """A network with random weights."""

    model: Mapping[str, Any]  # its config, plain
    owner: Any  # of the weights: the config is good as long as this is held


def weighted_layers(model: Mapping[str, Any], layer: str) -> list[str]:
    """The layers with weights from the image up to a layer, itself included.

    Args:
      model: the group of a config, plain.
      layer: of the network.

    Raises:
      ConfigError: the weights of such a network cannot be drawn.
    """
    known = network(model)
    if isinstance(known, Vgg):
        return list(known.kernel_shapes(known.layer(layer).name))
    from deepvis.networks import keras_copies

    found = keras_copies.layers(known)
    names = list(found)
    below = names[: names.index(known.layer(layer).name) + 1]
    return [name for name in below if getattr(found[name], "weights", ())]


def randomized(
    model: Mapping[str, Any], layers: Collection[str], layer: str, size: Size, seed: int = 0
) -> Randomized:
    """The network of a config, the weights of some layers drawn anew.

    Args:
      model: the group of a config, plain.
      layers: names of `weighted_layers`, or of other layers with weights.
      layer: that is looked at: a copy of a network is compared with it there, before its weights are drawn.
      size: of the images, px.
      seed: of the draws.

    Raises:
      ConfigError: no copy of it can be made.
    """
    known = network(model)
    if isinstance(known, Vgg):
        options = {"_target_": f"{__name__}.weights", "of": json.dumps(dict(known.weights)),
                   "layers": ",".join(layers), "seed": seed}  # fmt: skip
        return Randomized({**model, "weights": options}, None)
    from deepvis.networks import keras_copies

    copy, held = keras_copies.copied(known, known.layer(layer).name, size)
    by_name = keras_copies.layers(network(held))
    for name in layers:
        for number, weight in enumerate(by_name[name].weights):
            weight.assign(drawn(np.asarray(weight), name, number, seed))
    return Randomized(keras_copies.config(known, copy), copy)


def drawn(values: np.ndarray, layer: str, number: int, seed: int) -> np.ndarray:
    """Random values in the place of an array of weights.

    Args:
      values: the array.
      layer: that it belongs to.
      number: of the array in its layer.
      seed: of the draws.
    """
    rng = np.random.default_rng([seed, number, *layer.encode()])
    if values.dtype.kind != "f":  # counters, tables of indices
        return values
    if values.ndim < 2:
        return rng.permutation(values)
    return rng.normal(0, float(values.std()), values.shape).astype(values.dtype)


def weights(shapes: Shapes, of: str, layers: str, seed: int) -> Weights:
    """A VGG's weights, some layers drawn; see `weights.load`.

    Args:
      shapes: of the layers to read.
      of: how the others are read, as JSON.
      layers: that are drawn, by commas.
      seed: of the draws.
    """
    options = json.loads(of)
    read: Weights = pkgutil.resolve_name(options.pop("_target_"))(shapes=shapes, **options)
    chosen = set(layers.split(","))
    found = {
        name: (drawn(pair[0], name, 0, seed), drawn(pair[1], name, 1, seed)) if name in chosen else pair
        for name, pair in read.layers.items()
    }
    return Weights(found, f"random {layers}", f"{read.digest} {seed}", False)
