"""What networks see in finished images: the means of a layer's maps, and the classes of another network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image

from deepvis import networks
from deepvis.config import groups
from deepvis.core.errors import ConfigError, WeightsError
from deepvis.networks import Network
from deepvis.networks.backend import tf
from deepvis.trust.natural_values import BATCH

JUDGED = 224  # px, to which pictures are scaled for a network that judges them

Means = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
Judge = Callable[[np.ndarray], np.ndarray]  # uint8 [n, H, W, 3] -> logits [n, classes]


def layer_means(network: Network, layer: str, size: tuple[int, int]) -> Means:
    """What returns the means of a layer's maps: centred ``[n, H, W, C]`` -> before and behind, ``[n, K]``.

    Args:
      network: in float32.
      layer: before and behind whose nonlinearity the means are taken.
      size: of the images, px.
    """
    built = network.build([layer], size, "float32")

    @tf.function(autograph=False)
    def compute(images: Any) -> Any:
        found = built.activations(images, [layer])[layer]
        return [
            tf.reduce_mean(tf.reshape(maps, [BATCH, -1, maps.shape[-1]]), axis=1)
            for maps in (found.post if found.pre is None else found.pre, found.post)
        ]

    def means(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        parts = []
        for first in range(0, len(images), BATCH):
            part = images[first : first + BATCH]
            filled = np.resize(part, (BATCH, *images.shape[1:])).astype(np.float32)
            parts.append([each.numpy()[: len(part)] for each in compute(tf.constant(filled))])
        before, behind = zip(*parts, strict=True)
        return np.concatenate(before), np.concatenate(behind)

    return means


def judge(name: str, classes: Sequence[str]) -> Judge:
    """A network that says which class a picture shows, at `JUDGED` px.

    Args:
      name: a file of conf/model.
      classes: that it must have, in this order.

    Raises:
      ConfigError: it has other classes, or none.
      WeightsError: its weights are not here.
    """
    choice = groups.composed({"model": name})["model"]
    network = networks.network(choice)
    for layer in reversed(list(network.layers().values())):
        if (labels := networks.class_names(choice, layer)) and list(labels) == list(classes):
            break
    else:
        raise ConfigError(f"judges={name}: its classes are not those of the layer")
    means = layer_means(network, layer.name, (JUDGED, JUDGED))
    centre = np.asarray(network.centre, np.float32)

    def logits(pictures: np.ndarray) -> np.ndarray:
        side = (JUDGED, JUDGED)
        scaled = [Image.fromarray(each).resize(side, Image.Resampling.BICUBIC) for each in pictures]
        return means(np.stack([np.asarray(each, np.float32) for each in scaled]) - centre)[0]

    return logits


def judges(names: Sequence[str], classes: Sequence[str]) -> tuple[dict[str, Judge], list[str]]:
    """The networks that judge, by name, and what is said of those whose weights are not here."""
    found: dict[str, Judge] = {}
    missing = []
    for name in names:
        try:
            found[name] = judge(name, classes)
        except WeightsError as err:
            missing.append(f"judge     {name} is left out: {err}")
    return found, missing
