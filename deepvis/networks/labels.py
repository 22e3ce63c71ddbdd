"""Class names: ``model.labels`` -> what the channels of a network's last layer are called.

    of_layer(model group, network, layer) -> a label for each channel, or ()

A label has one name or several, separated by commas; the first is shown.
"""

import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deepvis.core.errors import ConfigError
from deepvis.networks.base import Layer, Network

# In the order of Keras and of the ILSVRC: WordNet's synonyms, and in brackets what tells equal names apart.
IMAGENET = Path(__file__).with_name("imagenet_classes.txt")
CLASSES = 1000
EXPECTED = "expected imagenet, a list of names, or a file: a name on each line, or a JSON list"
# Layers that keep the meaning of each channel, so what is before them has the classes of what is behind them.
BY_CHANNEL = {
    "activation", "softmax", "reshape", "flatten", "dropout", "global average pooling", "global max pooling",
    "average pooling", "max pooling", "relu", "batch normalization", "identity", "rescaling",
}  # fmt: skip


def of_layer(model: Mapping[str, Any], network: Network, layer: Layer) -> tuple[str, ...]:
    """The labels of a layer's channels; none where its channels are not the network's classes.

    Args:
      model: the group of a config, resolved.
      network: the same.
      layer: of it.

    Raises:
      ConfigError: the labels cannot be read, or there are not as many as classes.
    """
    value = model.get("labels")
    if value is None:
        return ()
    labels = _read(value if isinstance(value, str) else tuple(value), _stamp(value))
    classes = _class_layers(network)
    if len(labels) != classes[0].channels:
        raise ConfigError(
            f"model.labels={_typed(value)}: got {len(labels)} names, expected {classes[0].channels}, one for "
            f"each channel of {classes[0].name}, the last layer of {network.name}"
        )
    return labels if layer in classes else ()


def resolved(model: Mapping[str, Any]) -> dict[str, Any]:
    """The same group without ``labels: auto``, which is ImageNet's for weights that were trained on it."""
    if model.get("labels") != "auto":
        return dict(model)
    return dict(model) | {"labels": "imagenet" if model.get("weights") == "imagenet" else None}


def _class_layers(network: Network) -> list[Layer]:
    """The last layer, and those before it whose channels mean the same."""
    layers = list(network.layers().values())[::-1]
    found = layers[:1]
    for layer in layers[1:]:
        if found[-1].kind not in BY_CHANNEL or layer.channels != found[0].channels:
            break
        found.append(layer)
    return found


@functools.lru_cache(maxsize=8)
def _read(value: str | Sequence[str], stamp: object) -> tuple[str, ...]:
    del stamp  # a file that was written anew is read anew
    if value == "imagenet":
        return tuple(IMAGENET.read_text("utf-8").splitlines())
    found: Any = value
    if isinstance(value, str):
        try:
            text = Path(value).expanduser().read_text("utf-8-sig").strip()
            found = json.loads(text) if text.startswith(("[", "{")) else text.splitlines()
        except (OSError, ValueError) as err:
            raise ConfigError(f"model.labels={value}: cannot be read ({err}); {EXPECTED}") from err
    if not isinstance(found, list | tuple) or not all(isinstance(each, str) for each in found):
        raise ConfigError(f"model.labels={_typed(value)}: got {type(found).__name__}; {EXPECTED}")
    labels = tuple(each.strip() for each in found)
    empty = [i for i, each in enumerate(labels) if not each or not each.isprintable()]
    if empty or len(set(labels)) < len(labels):
        again = next((each for i, each in enumerate(labels) if each in labels[:i]), "")
        what = f"the name of channel {empty[0]} is empty or no text" if empty else f"{again!r} is there twice"
        raise ConfigError(f"model.labels={_typed(value)}: {what}; {EXPECTED}, each once")
    return labels


def _stamp(value: Any) -> object:
    file = Path(value).expanduser() if isinstance(value, str) else None
    return file.stat().st_mtime_ns if file is not None and file.is_file() else None


def _typed(value: Any) -> str:
    """The value as a message shows it."""
    return value if isinstance(value, str) else f"[{', '.join(map(str, value))[:60]}]"
