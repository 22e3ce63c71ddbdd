"""What range of pixels a network expects: by the layers that scale them, and by its batch normalization."""

import logging
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from deepvis.networks import keras_graph, keras_probe, keras_taps
from deepvis.networks.base import Size
from deepvis.networks.keras_graph import UncallableLayerError
from deepvis.networks.open_graph import OpenGraph
from deepvis.networks.preprocessing import Preprocess, in_range

LOG = logging.getLogger(__name__)
RATIO = (0.4, 2.5)  # of variances, between which a range is right: 0.9 to 1.4 was seen of right ones
SCALING = {"Rescaling", "Normalization", "Resizing", "CenterCrop", "Subtract", "Add", "Multiply", "Divide",
           "TrueDivide", "GetItem", "Cast", "Flip", "Concatenate", "Stack", "Split", "Take"}  # fmt: skip
PHOTOGRAPHS = 5


def scaled_inside(network: OpenGraph) -> Any:
    """What ``preprocess`` must be where the first layers of a network scale its pixels; None: they do not."""
    tensor, scale, scales = network.graph.inputs[network.image], 1.0, False
    while True:
        readers = network.graph.readers(tensor)
        names = {type(call.layer).__name__ for call in readers}
        if not readers or not names <= SCALING:
            break
        layer = readers[0].layer
        if isinstance(layer, keras.layers.Rescaling):
            scale *= float(np.max(np.abs(layer.scale)))
        scales = scales or not names <= {"Resizing", "CenterCrop", "GetItem", "Cast", "Split", "Take"}
        tensor = readers[0].outputs[0]
    if not scales:
        return None
    return {"mean": 0, "scale": 255} if scale > 1 else "none"  # of pixels 0 to 1, or 0 to 255


def check(network: OpenGraph, pixels: Preprocess, size: Size) -> str:
    r"""Whether natural images reach the first batch normalization with the variance that it has learnt.

    .. math:: r = \mathrm{median}_c \frac{\mathrm{var}(x_c)}{\sigma^2_c}

    Args:
      network: with its weights.
      pixels: what it is given.
      size: of the image.

    Returns:
      What was found, in words; a warning is logged where r is far from 1.
    """
    norms = [c for c in network.graph.calls if isinstance(c.layer, keras.layers.BatchNormalization)]
    if not norms:
        return "not checked: the network has no batch normalization"
    layer = norms[0].layer
    variance = np.asarray(layer.moving_variance)
    if np.all(variance == 1) or not np.all(np.isfinite(variance)):
        return "not checked: its batch normalization was not trained"
    try:
        part = keras_graph.resized(network.graph, norms[0].inputs[:1], network.shapes(size))
    except UncallableLayerError:
        return "not checked: the first batch normalization does not take this size"
    draws = np.random.default_rng(0)
    images = [keras_probe.photograph(*size, int(network.shape[-1] or 0), draws) for _ in range(PHOTOGRAPHS)]
    image = tf.constant(np.stack(images), tf.float32)
    inputs = network.feed(in_range(image, pixels))
    with keras_taps.computing_in(part, "float32"):
        (values,) = keras.tree.flatten(part([inputs[name] for name in network.graph.inputs], training=False))
    seen = np.asarray(values).reshape(-1, variance.shape[0]).var(axis=0)
    ratio = float(np.median(seen / np.maximum(variance, 1e-12)))
    told = f"variance at {norms[0].name} is {ratio:.3g} of what it learnt"
    if not RATIO[0] <= ratio <= RATIO[1]:
        LOG.warning(
            "model.preprocess: %s: with natural-looking images the %s (expected about 1), so the network was "
            "probably trained on pixels of another range; set preprocess", network.graph.name, told,
        )  # fmt: skip
    return told
