"""What range of pixels a network expects: by the layers that scale them, and by its batch normalization."""

import contextlib
import functools
import logging
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from deepvis.networks import keras_graph, keras_probe, keras_taps
from deepvis.networks.base import Size
from deepvis.networks.keras_graph import UncallableLayerError
from deepvis.networks.open_graph import OpenGraph
from deepvis.networks.preprocessing import PREPROCESS, Preprocess, in_range, read, written

LOG = logging.getLogger(__name__)
RIGHT = (0.4, 2.5)  # of variances: seen of networks that were trained on photographs, see `check`
POSSIBLE = (0.01, 100.0)  # outside of it is no right range, whatever a network was trained on
PASSING = {"Resizing", "CenterCrop", "GetItem", "Cast", "Split", "Take", "Identity", "Dropout",
           "GaussianNoise", "Pipeline", "Concatenate", "Stack", "Flip", "Squeeze", "ExpandDims",
           "ZeroPadding2D", "Cropping2D"}  # fmt: skip
SCALING = {"Rescaling", "Normalization", "Subtract", "Add", "Multiply", "Divide", "TrueDivide"}
PHOTOGRAPHS = 5
SIDE = 64  # px of the images that are tried where the network takes any
GAIN = 1.5  # of layers that scale: from more on they expect 0 to 1, since 0 to 255 would come out larger


def scaled_inside(network: OpenGraph) -> Any:
    """What ``preprocess`` must be where the first layers of a network scale its pixels; None: they do not."""
    if (tensor := _scaled(network)) is None:
        return None
    size = _size(network)
    image = _photographs(size, int(network.shape[-1] or 0))
    scaled = _values(network, tensor, image, size)
    # A constant of another network may be anything, so the gain is measured, not read.
    return {"mean": 0, "scale": 255} if scaled.std() > GAIN * np.std(image) else "none"


def scaling(network: OpenGraph) -> Callable[[np.ndarray], np.ndarray] | None:
    """What the first layers of a network make of pixels [B, 1, 1, C], if they scale them."""
    if (tensor := _scaled(network)) is None:
        return None
    size = _size(network)
    return lambda pixels: _values(network, tensor, np.tile(pixels, (1, *size, 1)), size)[:, :1, :1]


def _size(network: OpenGraph) -> Size:
    height, width = (side or SIDE for side in network.shape[:2])
    return height, width


def _scaled(network: OpenGraph) -> Any:
    """The pixels behind the first layers, if these scale them."""
    tensor, scales = network.graph.inputs[network.image], False
    while True:
        readers = network.graph.readers(tensor)
        kinds = {type(call.layer).__name__ for call in readers}
        if not readers or not all(kind in SCALING | PASSING or _augments(kind) for kind in kinds):
            break
        if kinds & SCALING and any(len(call.inputs) > 1 for call in readers):
            break  # a sum or product of two maps: no scaling by a constant
        scales = scales or bool(kinds & SCALING)
        tensor = readers[0].outputs[0]
    return tensor if scales else None


def _augments(kind: str) -> bool:
    return kind.startswith(("Random", "Auto", "Aug", "CutMix", "MixUp", "Equalization", "Solarization"))


def check(network: OpenGraph, pixels: Preprocess, size: Size, users: bool) -> str:
    r"""Whether natural images reach the first batch normalization with the variance that it has learnt.

    .. math:: r = \mathrm{median}_c \frac{\mathrm{var}(x_c)}{\sigma^2_c}

    Of five photograph-like images. A right range gave 0.71 (EfficientNet-Lite0; 1.4 on two photographs) and
    1.6 (fer's reader of emotions), but 0.04 for a network of digits, whose pictures are no photographs and
    whose moving variance had not settled. 0 to 255 given for -1 to 1, or what the digits take, gave 12,000
    (Lite0), 27,000 (fer) and 600 (digits); the other way round it is the inverse. 0 to 1 given for -1 to 1
    gave 0.18 (Lite0) and 0.41 (fer): not to be told from other pictures, so that is a hint and no more.

    Args:
      network: with its weights.
      pixels: what it is given.
      size: of the image.
      users: it is the user's, so that its range is not known.

    Returns:
      What was found, in words; it is logged as a warning where r is far from 1, or could not be had.
    """
    told, ratio = _ratio(network, pixels, size)
    of = f"model.preprocess={written(pixels)}: {network.graph.name}"
    if ratio is None:
        if users:
            warn_once(f"{of}: the range of its pixels was {told}")
    elif not POSSIBLE[0] <= ratio <= POSSIBLE[1]:
        warn_once(
            f"{of}: with photograph-like images the {told}, expected about 1: it was trained on pixels of "
            f"another range; set preprocess{_better(network, pixels, size)}"
        )
    elif users and not RIGHT[0] <= ratio <= RIGHT[1]:
        warn_once(
            f"{of}: with photograph-like images the {told}, expected about 1 if the range is right and it "
            f"was trained on photographs{_better(network, pixels, size)}"
        )
    return told


@functools.lru_cache(maxsize=256)
def warn_once(message: str) -> None:
    """Log a warning, once in a process: a network is built for each of its layers."""
    LOG.warning(message)


def _better(network: OpenGraph, pixels: Preprocess, size: Size) -> str:
    """The word that fits best, if it fits."""
    channels = len(pixels.mean)
    others = [read(word, channels) for word in PREPROCESS if channels == 3 or word in ("tf", "none")]
    others.append(read({"mean": 0, "scale": 255}, channels))
    ratios = {str(written(each)): _ratio(network, each, size)[1] or np.inf for each in others}
    best = min(ratios, key=lambda word: abs(np.log(ratios[word])))
    return f"; {best} would give {ratios[best]:.2g}" if RIGHT[0] <= ratios[best] <= RIGHT[1] else ""


def _ratio(network: OpenGraph, pixels: Preprocess, size: Size) -> tuple[str, float | None]:
    """Of the variances, in words and as a number; None where it cannot be had."""
    norms = [c for c in network.graph.calls if isinstance(c.layer, keras.layers.BatchNormalization)]
    if not norms:
        return "not checked: the network has no batch normalization", None
    variance = np.asarray(norms[0].layer.moving_variance)
    if np.all(variance == 1) or not np.all(np.isfinite(variance)):
        return "not checked: its batch normalization was not trained", None
    for at in dict.fromkeys([size, (network.shape[0] or size[0], network.shape[1] or size[1])]):
        image = in_range(tf.constant(_photographs(at, len(pixels.mean)), tf.float32), pixels)
        with contextlib.suppress(UncallableLayerError):
            seen = _values(network, norms[0].inputs[0], image, at)
            channels = np.moveaxis(seen, norms[0].layer.axis, -1).reshape(-1, len(variance))
            ratio = float(np.median(channels.var(axis=0) / np.maximum(variance, 1e-12)))
            return f"variance at {norms[0].name} is {ratio:.3g} of what it learnt", ratio
    return "not checked: the first batch normalization does not take this size", None


def _photographs(size: Size, channels: int) -> np.ndarray:
    draws = np.random.default_rng(0)
    return np.stack([keras_probe.photograph(*size, channels, draws) for _ in range(PHOTOGRAPHS)])


def _values(network: OpenGraph, tensor: Any, image: Any, size: Size) -> np.ndarray:
    """What a tensor of the network is for some images."""
    part = keras_graph.resized(network.graph, [tensor], network.shapes(size))
    inputs = network.feed(tf.cast(image, tf.float32))
    with keras_taps.computing_in(part, "float32"):
        (values,) = keras.tree.flatten(part(inputs, training=False))
    return np.asarray(values)
