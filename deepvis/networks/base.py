"""Networks: (a model's config) -> what is known of it without computing: its layers, its pixels, its digest.

A VGG has its shape in its config, so nothing heavy is imported for it; any other is asked through Keras.
"""

import math
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from deepvis.core import names
from deepvis.core.errors import ConfigError
from deepvis.networks import weights

if TYPE_CHECKING:
    import tensorflow as tf

GREY = 127.5  # what 0 stands for where the network's pixels have no mean
PREPROCESS = {  # (order of the network's channels in RGB, mean, scale); input = (pixel - mean) / scale
    "caffe": ((2, 1, 0), (123.68, 116.779, 103.939), 1.0),
    "torch": ((0, 1, 2), (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    "tf": (None, GREY, GREY),
    "none": (None, 0.0, 1.0),
}


class Activation(NamedTuple):
    """A layer's maps, each [B, h, w, C]: before and after its nonlinearity."""

    pre: "tf.Tensor"
    post: "tf.Tensor"

    def maps(self, pre_activation: bool) -> "tf.Tensor":
        """Those that an objective looks at."""
        return self.pre if pre_activation else self.post


class Model(NamedTuple):
    """A network, cut."""

    name: str
    mean: tuple[float, ...]  # grey levels that 0 stands for, one per channel of the image
    activations: Callable[["tf.Tensor", Collection[str]], Mapping[str, Activation]]
    tags: Mapping[str, str]  # what is known of its weights


class Layer(NamedTuple):
    """What can be said of a layer before anything is computed."""

    name: str
    kind: str  # conv, dense, add ...
    channels: int
    stride: int | None  # px of the image from one of its units to the next; None where it is not a map
    field: int | None  # px of the image that a unit sees, along one side; None: all
    smallest: int  # px of the smallest image whose map has a pixel
    exactly: int | None  # px of the only image that it takes; None: any from the smallest on


class Preprocess(NamedTuple):
    r"""Centred pixels -> the network's input.

    .. math:: x \mapsto (x + centre - mean) / scale

    Every member has one entry per channel of the image.
    """

    centre: tuple[float, ...]  # grey levels of 255 that 0 stands for
    order: tuple[int, ...]  # which channel of the image each of the network's is
    mean: tuple[float, ...]  # grey levels
    scale: tuple[float, ...]  # grey levels


def layers(model: Mapping[str, Any]) -> dict[str, Layer]:
    """The layers that can be visualized, from the image upwards.

    Args:
      model: its config, plain.

    Raises:
      ConfigError: there is no such network, or it has no graph to look into.

    Example:
      >>> layers({"blocks": [[8], [12, 16]]})["block2_conv1"]
      Layer(name='block2_conv1', kind='conv', channels=12, stride=2, field=8, smallest=2, exactly=None)
    """
    if "blocks" not in model:
        from deepvis.networks import keras_models

        return keras_models.layers(model)
    found, stride, field, blocks = {}, 1, 1, model["blocks"]
    if not (blocks and all(block and all(type(c) is int and c > 0 for c in block) for block in blocks)):
        raise ConfigError(
            f"model.blocks={blocks}: wanted the channels of each convolution, such as [[8],[12,16]]"
        )
    for b, block in enumerate(blocks):
        if b:
            field, stride = field + stride, 2 * stride
        for c, channels in enumerate(block, start=1):
            name, field = f"block{b + 1}_conv{c}", field + 2 * stride
            found[name] = Layer(name, "conv", int(channels), stride, field, stride, None)
    return found


def check(model: Mapping[str, Any], name: str, key: str = "layer.name") -> Layer:
    """The layer of that name.

    Args:
      model: its config, plain.
      name: of the layer.
      key: where it was typed, for the message.

    Raises:
      ConfigError: the network has none, or none that can be visualized.
    """
    known = layers(model)
    if name in known:
        return known[name]
    own = named(model)["name"]
    if "blocks" not in model:
        from deepvis.networks import keras_models

        if name in keras_models.layer_names(model):
            raise ConfigError(
                f"{key}={name}: a layer without channels, so nothing to choose from; "
                f"{names.nearest(name, known)}"
            )
        if name == "block5_conv1":  # nobody typed it: it is the default
            raise ConfigError(
                f"{key}={name}: {own} has no such layer; choose one with layer.name=..., "
                "`deepvis layers model=...` lists them"
            )
    raise ConfigError(f"{key}={name}: {own} has no such layer; {names.nearest(name, known)}")


def channels(model: Mapping[str, Any]) -> int:
    """Of its image."""
    if "blocks" in model:
        return 3
    from deepvis.networks import keras_models

    return keras_models.channels(model)


def side(model: Mapping[str, Any], name: str, size: int) -> int:
    """Positions along one side of a layer's map, of an image of so many px; 1 of a vector."""
    if "blocks" in model:
        return size // check(model, name).stride
    from deepvis.networks import keras_models

    return keras_models.side(model, name, size)


def resolved(model: Mapping[str, Any]) -> dict[str, Any]:
    """A model's config with what follows from it: its name, and the grey levels that 0 stands for.

    Args:
      model: its config, plain.

    Raises:
      ConfigError: ``preprocess`` says nothing that this network could take.
    """
    if "preprocess" not in model:
        _numbers("model.mean", model["mean"], 3)
        return dict(model)
    return named(model) | {"mean": list(preprocess(model).centre)}


def named(model: Mapping[str, Any]) -> dict[str, Any]:
    """The config with a name: a file's is its own."""
    return dict(model) | {"name": model.get("name") or Path(str(model.get("path"))).stem}


def preprocess(model: Mapping[str, Any]) -> Preprocess:
    """What a network wants its pixels to be.

    Args:
      model: its config, plain, with ``preprocess``; a ``mean`` that is given is what 0 stands for.

    Raises:
      ConfigError: see `read`.
    """
    from deepvis.networks import keras_models

    channels, said = keras_models.channels(model), model["preprocess"]
    if said == "auto":
        if "path" in model:
            raise ConfigError(f"model.preprocess=auto: only keras.applications tell; {WANTED}")
        like = keras_models.matched(model["name"]) if "held" in model and channels == 3 else model["name"]
        found = keras_models.inferred(like) if like and channels == 3 else read("none", channels)
    else:
        found = read(said, channels)
    if model["mean"] is not None:
        found = found._replace(centre=_numbers("model.mean", model["mean"], channels))
    return found


WANTED = "wanted caffe, torch, tf, none or {mean: ..., scale: ...}, each a number or one per channel"


def read(said: Any, channels: int) -> Preprocess:
    """What a word or a pair of numbers says of a network's pixels.

    Args:
      said: ``caffe``, ``torch``, ``tf``, ``none``, or ``{mean: ..., scale: ...}`` in grey levels.
      channels: of the image.

    Raises:
      ConfigError: neither, or for another number of channels.

    Example:
      >>> read({"mean": 0, "scale": 255}, 1)
      Preprocess(centre=(127.5,), order=(0,), mean=(0.0,), scale=(255.0,))
    """
    if isinstance(said, Mapping) and said.keys() == {"mean", "scale"}:
        order, mean, scale = None, said["mean"], said["scale"]
    elif isinstance(said, str) and said in PREPROCESS:
        order, mean, scale = PREPROCESS[said]
        if said in ("caffe", "torch") and channels != 3:
            raise ConfigError(f"model.preprocess={said}: is for 3 channels, this network has {channels}")
    else:
        raise ConfigError(f"model.preprocess={said}: {WANTED}")
    mean = _numbers("model.preprocess.mean", mean, channels)
    scale = _numbers("model.preprocess.scale", scale, channels)
    if not all(scale):
        raise ConfigError("model.preprocess.scale=0: wanted a number that can be divided by")
    centre = tuple(each if each > 0 else GREY for each in mean)
    return Preprocess(centre, order or tuple(range(channels)), mean, scale)


def digest(model: Mapping[str, Any], layer: str) -> str:
    """What the weights below a layer are, in 12 hex digits; reads them.

    Raises:
      WeightsError: they cannot be had.
    """
    if "blocks" in model:
        return weights.of(model, layer).digest
    from deepvis.networks import keras_models

    return keras_models.weighted(model).digest


def fingerprint(path: str | os.PathLike) -> tuple[str, int]:
    """A file as it is now, for what is kept of it in memory.

    Raises:
      FileNotFoundError: there is none.
    """
    file = Path(path).expanduser()
    return str(file), file.stat().st_mtime_ns


def _numbers(key: str, said: Any, channels: int) -> tuple[float, ...]:
    several = isinstance(said, Sequence) and not isinstance(said, str)
    found = list(said) if several else [said] * channels
    if len(found) != channels or not all(
        isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in found
    ):
        raise ConfigError(f"{key}={said}: wanted a number or {channels}, one per channel")
    return tuple(map(float, found))
