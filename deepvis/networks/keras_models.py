"""Keras loads: the config of a Keras network -> its layers, its weights, its `Model`.

What is built here is built in a thread of its own, where Keras counts its names from one and knows no dtype
policy of the caller's, and the caller's random numbers go on as if nothing had been drawn.
"""

import functools
import inspect
import itertools
import json
import re
import sys
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from deepvis.core import names
from deepvis.core.errors import ConfigError, WeightsError
from deepvis.networks import base, keras_network, receptive_fields
from deepvis.networks.base import Layer, Model, Preprocess


class Weighted(NamedTuple):
    """A model with its weights."""

    model: keras.Model
    source: str
    digest: str
    verified: bool


def built(model: Mapping[str, Any], layers: Sequence[str], size: int, precision: str) -> Model:
    """The network that a config describes; see `kerasnets.of`."""
    read = weighted(model)
    made = keras_network.of(read.model, base.preprocess(model), layers, size, precision)
    tags = {
        "weights.source": read.source,
        "weights.digest": read.digest,
        "weights.verified": "yes" if read.verified else "no",
    }
    return made._replace(name=base.named(model)["name"], tags=tags)


def layers(model: Mapping[str, Any]) -> dict[str, Layer]:
    """The layers of the network that a config describes; its weights are not read."""
    return _known(*_key(model))[0]


def layer_names(model: Mapping[str, Any]) -> frozenset[str]:
    """Of all of its layers, those without channels, too."""
    return _known(*_key(model))[1]


def channels(model: Mapping[str, Any]) -> int:
    """Of its image."""
    return _known(*_key(model))[2]


def side(model: Mapping[str, Any], name: str, size: int) -> int:
    """Positions along one side of a layer's map, of an image of so many px."""
    made = _made(*_key(model))
    return receptive_fields.side(keras_network.flat(made), tuple(made.input_shape), name, size)


_held: weakref.WeakValueDictionary[str, keras.Model] = weakref.WeakValueDictionary()
_numbers = itertools.count(1)


def hold(model: keras.Model, preprocess: Any) -> dict[str, Any]:
    """The config of a model in hand, as it is now: trained further it is another one.

    Args:
      model: functional or sequential.
      preprocess: what `networks.preprocess` takes.

    Raises:
      ConfigError: it is no Keras model.
    """
    if not isinstance(model, keras.Model):
        raise ConfigError(
            f"model: came {type(model).__name__}, wanted a Keras model or the name of a network in conf/"
        )
    # Numbered, for Python gives an address again once a model is gone, and what was compiled for it stays.
    known = (token.split()[0] for token, each in _held.items() if each is model)
    token = f"{next(known, None) or next(_numbers)} {keras_network.digest(model)}"
    _held[token] = model
    return {"_target_": "deepvis.networks.vgg.application", "name": model.name, "held": token,
            "preprocess": preprocess, "mean": None}  # fmt: skip


def weighted(model: Mapping[str, Any]) -> Weighted:
    """The network that a config describes, read once in this process.

    Raises:
      WeightsError: its weights cannot be had, or do not fit.
    """
    given = model.get("weights")
    at = base.fingerprint(_there("model.weights", given)) if given not in (None, "imagenet") else None
    return _weighted(*_key(model), given, at)


def inferred(name: str) -> Preprocess:
    """What an application's own ``preprocess_input`` does, found by giving it pixels.

    Args:
      name: of a network in keras.applications.
    """
    home = sys.modules[_named(name).__module__]
    black = home.preprocess_input(np.zeros((1, 1, 1, 3)))[0, 0, 0]
    white = home.preprocess_input(np.diag([255.0] * 3)[None, None])[0, 0] - black  # [image's, network's]
    order = tuple(int(k) for k in np.abs(white).argmax(axis=0))
    place = [order.index(k) for k in range(3)]
    scale = [255.0 / white[k, i] for k, i in enumerate(place)]
    mean = [round(float(-black[i] * s), 6) + 0.0 for i, s in zip(place, scale, strict=True)]
    read = base.read({"mean": mean, "scale": [round(float(each), 6) for each in scale]}, 3)
    return read._replace(order=order)


def matched(name: str) -> str | None:
    """The network of keras.applications whose name a model bears, as ``resnet50`` is ResNet50's."""
    bare = re.sub("[_-]", "", name).lower()
    fitting = [each for each in applications() if bare.startswith(each.lower())]
    return max(fitting, key=len, default=None)


def applications() -> dict[str, Callable[..., keras.Model]]:
    """Every network of keras.applications."""
    return {name: make for name, make in vars(keras.applications).items() if inspect.isfunction(make)}


def _named(name: str) -> Callable[..., keras.Model]:
    known = applications()
    if name not in known:
        near = names.nearest(name, known)
        raise ConfigError(f"model.name={name}: no network of keras.applications; {near}")
    return known[name]


def _key(model: Mapping[str, Any]) -> tuple[str, tuple[str, int] | None]:
    """What a model's graph follows from, for what is kept in memory."""
    if "held" in model:
        return json.dumps({"held": model["held"]}), None
    if "path" not in model:
        return json.dumps({"name": model["name"]}), None
    file = _there("model.path", model["path"])
    return json.dumps({"path": str(file), "allow_code": model["allow_code"]}), base.fingerprint(file)


def _there(key: str, path: Any) -> Path:
    file = Path(str(path)).expanduser()
    if not file.is_file():
        also = "; or imagenet, or null for random weights" if key == "model.weights" else ""
        raise ConfigError(f"{key}={path}: no such file{also}")
    return file


@functools.lru_cache(maxsize=8)
def _known(what: str, at: Any) -> tuple[dict[str, Layer], frozenset[str], int]:
    model = _made(what, at)
    return (
        keras_network.table(model),
        frozenset(call.name for call in keras_network.flat(model).calls),
        model.input_shape[-1],
    )


@functools.lru_cache(maxsize=2)
def _made(what: str, at: Any) -> keras.Model:
    """A file's model, or an application with random weights, the same each time."""
    told = json.loads(what)
    if "held" in told:
        return _held[told["held"]]
    return _alone(functools.partial(_load if at else _application, **told))


@functools.lru_cache(maxsize=2)
def _weighted(what: str, at: Any, given: str | None, given_at: Any) -> Weighted:
    told = json.loads(what)
    if "held" in told:
        return Weighted(model := _made(what, at), "in hand", keras_network.digest(model), False)
    if at:
        return Weighted(model := _made(what, at), "path", keras_network.digest(model), False)
    if given is None:
        return Weighted(model := _made(what, at), "seeded", keras_network.digest(model), True)
    model = _alone(functools.partial(_application, **told, weights=given))
    return Weighted(
        model, "keras imagenet" if given == "imagenet" else "path", keras_network.digest(model), False
    )


def _application(name: str, weights: str | None = None) -> keras.Model:
    make = _named(name)
    try:
        if weights in (None, "imagenet"):
            return make(weights=weights)
        model = make(weights=None)
        model.load_weights(Path(weights).expanduser())
    except Exception as err:  # Keras, h5py and the network each fail in their own way
        said = " ".join(str(err).split())[:300] or type(err).__name__
        advice = (
            "download it where there is a network and give model.weights=<file>; model.weights=null is random"
            if weights == "imagenet"
            else "wanted the file of a whole network, its top included"
        )
        raise WeightsError(f"model.weights={weights}: no weights of {name}: {said}; {advice}") from err
    return model


def _load(path: str, allow_code: bool) -> keras.Model:
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=not allow_code)
    except Exception as err:  # there is no limit to how a file can fail to be a model
        said = " ".join(str(err).split())
        if "safe_mode" in said or "unsafe" in said:
            raise ConfigError(
                f"model.path={path}: refused, it holds code that would run here (a Lambda layer); "
                "if you trust it, set model.allow_code=true"
            ) from err
        wanted = "wanted a model that Keras 3 saved (.keras, or .h5)"
        raise ConfigError(
            f"model.path={path}: not a model that Keras can load ({said[:200]}); {wanted}"
        ) from err
    keras_network.flat(model)
    return model


def _alone(build: Callable[[], keras.Model]) -> keras.Model:
    with keras_network.undrawn(), ThreadPoolExecutor(1) as room:
        return room.submit(build).result()
