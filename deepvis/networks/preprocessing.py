"""Preprocessing: what a network expects its pixels to be: (word or numbers, channels) -> `Preprocess`."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from deepvis.core.errors import ConfigError

if TYPE_CHECKING:
    import tensorflow as tf

GREY = 127.5  # what 0 stands for where the network's pixels have no mean
PREPROCESS = {  # (order of the network's channels in RGB, mean, scale); input = (pixel - mean) / scale
    "caffe": ((2, 1, 0), (123.68, 116.779, 103.939), 1.0),
    "torch": ((0, 1, 2), (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    "tf": (None, GREY, GREY),
    "none": (None, 0.0, 1.0),
}
EXPECTED = "expected caffe, torch, tf, none or {mean: ..., scale: ...}, each a number or one per channel"


@dataclass(frozen=True)
class Preprocess:
    r"""Centred pixels -> the network's input.

    .. math:: x \mapsto (x + centre - mean) / scale

    Every field has one entry per channel of the image.
    """

    centre: tuple[float, ...]  # grey levels of 255 that 0 stands for
    order: tuple[int, ...]  # which channel of the image each of the network's is
    mean: tuple[float, ...]  # grey levels
    scale: tuple[float, ...]  # grey levels


def read(value: Any, channels: int) -> Preprocess:
    """What a word or a pair of numbers says of a network's pixels.

    Args:
      value: ``caffe``, ``torch``, ``tf``, ``none``, or ``{mean: ..., scale: ...}`` in grey levels.
      channels: of the image.

    Raises:
      ConfigError: neither, or for another number of channels.

    Example:
      >>> read({"mean": 0, "scale": 255}, 1)
      Preprocess(centre=(127.5,), order=(0,), mean=(0.0,), scale=(255.0,))
    """
    if isinstance(value, Mapping) and value.keys() == {"mean", "scale"}:
        order, mean, scale = None, value["mean"], value["scale"]
    elif isinstance(value, str) and value in PREPROCESS:
        order, mean, scale = PREPROCESS[value]
        if value in ("caffe", "torch") and channels != 3:
            raise ConfigError(f"model.preprocess={value}: is for 3 channels, this network has {channels}")
    else:
        raise ConfigError(f"model.preprocess={value}: {EXPECTED}")
    mean = per_channel("model.preprocess.mean", mean, channels)
    scale = per_channel("model.preprocess.scale", scale, channels)
    if not all(scale):
        raise ConfigError("model.preprocess.scale=0: expected a number that can be divided by")
    centre = tuple(level if level > 0 else GREY for level in mean)
    return Preprocess(centre, order or tuple(range(channels)), mean, scale)


def written(pixels: Preprocess) -> Any:
    """What `read` reads as this: a word where there is one, else ``{mean: ..., scale: ...}``.

    Example:
      >>> written(read("tf", 3)), written(read({"mean": 0, "scale": 255}, 1))
      ('tf', {'mean': 0.0, 'scale': 255.0})
    """
    channels = len(pixels.mean)
    for word in PREPROCESS if channels == 3 else ("tf", "none"):
        known = read(word, channels)
        if (known.order, known.mean, known.scale) == (pixels.order, pixels.mean, pixels.scale):
            return word
    mean, scale = (list(each) if len(set(each)) > 1 else each[0] for each in (pixels.mean, pixels.scale))
    return {"mean": mean, "scale": scale}


def per_channel(key: str, value: Any, channels: int) -> tuple[float, ...]:
    """One finite number per channel.

    Args:
      key: what was typed, for the message.
      value: a number for all channels, or a list of them.
      channels: of the image.

    Raises:
      ConfigError: not a number, or not as many as channels.
    """
    several = isinstance(value, Sequence) and not isinstance(value, str)
    numbers: list[Any] = list(value) if several else [value] * channels
    if len(numbers) != channels or not all(
        isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in numbers
    ):
        raise ConfigError(f"{key}={value}: expected a number or {channels}, one per channel")
    return tuple(map(float, numbers))


def prepared(image: "tf.Tensor", pixels: Preprocess) -> "tf.Tensor":
    """Centred pixels as the network wants them."""
    import tensorflow as tf

    centre, mean, scale = (np.array(each, np.float32) for each in (pixels.centre, pixels.mean, pixels.scale))
    x: Any = (image + (centre - mean)) / scale
    if pixels.order == tuple(range(len(pixels.order))):
        return x
    return tf.concat([x[..., k : k + 1] for k in pixels.order], axis=-1)


def in_range(image: "tf.Tensor", pixels: Preprocess) -> "tf.Tensor":
    """Pixels of 0 to 255 as the network wants them."""
    return prepared(image - np.array(pixels.centre, np.float32), pixels)
