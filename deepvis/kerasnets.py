"""Keras networks: the one door to Keras: a model, or the config of one -> `Model`.

What is built here is built in a thread of its own, where Keras counts its names from one and knows no dtype
policy of the caller's, and the caller's random numbers go on as if nothing had been drawn.
"""

import contextlib
import functools
import hashlib
import inspect
import json
import random
import sys
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from deepvis import calls, fields, networks, units
from deepvis.models import Model
from deepvis.networks import Layer, Preprocess
from deepvis.objectives import Activation
from deepvis.units import ConfigError
from deepvis.weights import WeightsError

POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}
EXACT = (keras.layers.Rescaling, keras.layers.Normalization)  # bfloat16 would round the pixels they read


class Weighted(NamedTuple):
    """A model with its weights."""

    model: keras.Model
    source: str
    digest: str
    verified: bool


def of(model: keras.Model, preprocess: Any, layers: Sequence[str], size: int, precision: str) -> Model:
    """A Keras model as deepvis sees networks; the model itself is not changed.

    Args:
      model: functional or sequential; one image in, layers of any kind.
      preprocess: `networks.Preprocess`, or what `networks.read` takes.
      layers: wanted; all that none of them needs is cut away.
      size: px of the image, square.
      precision: ``float32``, or ``bfloat16`` for Keras' mixed policy. Activations come out as float32.

    Returns:
      The network. A layer with a nonlinearity gives what is before it and behind it, whether it is its own
      or the layer that alone reads it; one without gives its output twice.

    Raises:
      ConfigError: no such layer, not of that size, not a model that has a graph.
    """
    known = table(model)
    network = _flat(model)
    for name in layers:
        if name not in known:
            raise ConfigError(f"{model.name} has no layer {name} with channels; {units.nearest(name, known)}")
        wanted = known[name].exactly or max(size, known[name].smallest)
        if size != wanted:
            raise ConfigError(f"size={size}: {name} of {model.name} wants {wanted} px")
    if not isinstance(preprocess, Preprocess):
        preprocess = networks.read(preprocess, model.input_shape[-1])
    pairs = {name: calls.pair(network, name) for name in layers}
    needed = calls.below(network, {slot for each in pairs.values() for slot in each if slot is not None})
    split = {calls.first(network, name).writes[0]: name for name, each in pairs.items() if each.pre is None}
    fused = {id(call.layer) for call in needed if call.writes[0] in split}
    with _undrawn():
        twins = {id(c.layer): _twin(c.layer, POLICIES[precision], id(c.layer) in fused) for c in needed}

    def activations(image, wanted):
        values, found = {0: _prepared(image, preprocess)}, {}
        for call in needed:
            args, kwargs = call.node.arguments.fill_in(
                {key: values[slot] for key, slot in call.reads.items()}
            )
            out = twins[id(call.layer)](
                *args, **kwargs | ({"training": False} if "training" in kwargs else {})
            )
            if id(call.layer) in fused:
                if call.writes[0] in split:
                    maps = tf.cast(out, tf.float32)
                    found[split[call.writes[0]]] = Activation(_map(maps), _map(call.layer.activation(maps)))
                out = call.layer.activation(out)
            values |= dict(zip(call.writes, tf.nest.flatten(out), strict=True))
        for name, (pre, post) in pairs.items():
            if pre is not None:
                found[name] = Activation(*(_map(tf.cast(values[slot], tf.float32)) for slot in (pre, post)))
        return {name: found[name] for name in wanted}

    tags = {"weights.source": "in hand", "weights.digest": _digest(model), "weights.verified": "no"}
    return Model(model.name, preprocess.centre, activations, tags)


def built(model: Mapping[str, Any], layers: Sequence[str], size: int, precision: str) -> Model:
    """The network that a config describes; see `of`."""
    read = weighted(model)
    made = of(read.model, networks.preprocess(model), layers, size, precision)
    tags = {
        "weights.source": read.source,
        "weights.digest": read.digest,
        "weights.verified": "yes" if read.verified else "no",
    }
    return made._replace(name=networks.titled(model)["name"], tags=tags)


def table(model: keras.Model) -> dict[str, Layer]:
    """The layers of a model that can be visualized.

    Raises:
      ConfigError: it has no graph, or wants more than one image.
    """
    return fields.table(_flat(model), tuple(model.input_shape))


def layers(model: Mapping[str, Any]) -> dict[str, Layer]:
    """The layers of the network that a config describes; its weights are not read."""
    return _known(*_key(model))[0]


def names(model: Mapping[str, Any]) -> frozenset[str]:
    """Of all of its layers, those without channels, too."""
    return _known(*_key(model))[1]


def channels(model: Mapping[str, Any]) -> int:
    """Of its image."""
    return _known(*_key(model))[2]


def side(model: Mapping[str, Any], name: str, size: int) -> int:
    """Positions along one side of a layer's map, of an image of so many px."""
    made = _made(*_key(model))
    return fields.side(_flat(made), tuple(made.input_shape), name, size)


def held(model: keras.Model, preprocess: Any) -> dict[str, Any]:
    """The config of a model in hand, as it is now; what is trained on later is another one.

    Args:
      model: functional or sequential.
      preprocess: what `networks.read` takes.
    """
    token = f"{id(model)} {_digest(model)}"
    _HELD[token] = model
    return {"_target_": "deepvis.models.application", "name": model.name, "held": token,
            "preprocess": preprocess, "mean": None}  # fmt: skip


_HELD: weakref.WeakValueDictionary[str, keras.Model] = weakref.WeakValueDictionary()


def weighted(model: Mapping[str, Any]) -> Weighted:
    """The network that a config describes, read once in this process.

    Raises:
      WeightsError: its weights cannot be had, or do not fit.
    """
    given = model.get("weights")
    at = networks.stamp(_there("model.weights", given)) if given not in (None, "imagenet") else None
    return _weighted(*_key(model), given, at)


def probed(name: str) -> Preprocess:
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
    read = networks.read({"mean": mean, "scale": [round(float(each), 6) for each in scale]}, 3)
    return read._replace(order=order)


def applications() -> dict[str, Callable[..., keras.Model]]:
    """Every network of keras.applications."""
    return {name: make for name, make in vars(keras.applications).items() if inspect.isfunction(make)}


def _named(name: str) -> Callable[..., keras.Model]:
    known = applications()
    if name not in known:
        near = units.nearest(name, known)
        raise ConfigError(f"model.name={name}: no network of keras.applications; {near}")
    return known[name]


def _key(model: Mapping[str, Any]) -> tuple[str, tuple[str, int] | None]:
    """What a model's graph follows from, for what is kept in memory."""
    if "held" in model:
        return json.dumps({"held": model["held"]}), None
    if "path" not in model:
        return json.dumps({"name": model["name"]}), None
    file = _there("model.path", model["path"])
    return json.dumps({"path": str(file), "allow_code": model["allow_code"]}), networks.stamp(file)


def _there(key: str, path: Any) -> Path:
    file = Path(str(path)).expanduser()
    if not file.is_file():
        also = "; or imagenet, or null for random weights" if key == "model.weights" else ""
        raise ConfigError(f"{key}={path}: no such file{also}")
    return file


@functools.lru_cache(maxsize=8)
def _known(what: str, at: Any) -> tuple[dict[str, Layer], frozenset[str], int]:
    model = _made(what, at)
    return table(model), frozenset(call.name for call in _flat(model).calls), model.input_shape[-1]


@functools.lru_cache(maxsize=2)
def _made(what: str, at: Any) -> keras.Model:
    """A file's model, or an application with random weights, the same each time."""
    told = json.loads(what)
    return (
        _HELD[told["held"]]
        if "held" in told
        else _alone(functools.partial(_load if at else _application, **told))
    )


@functools.lru_cache(maxsize=2)
def _weighted(what: str, at: Any, given: str | None, given_at: Any) -> Weighted:
    told = json.loads(what)
    if "held" in told:
        return Weighted(model := _made(what, at), "in hand", _digest(model), False)
    if at:
        return Weighted(model := _made(what, at), "path", _digest(model), False)
    if given is None:
        return Weighted(model := _made(what, at), "seeded", _digest(model), True)
    model = _alone(functools.partial(_application, **told, weights=given))
    return Weighted(model, "keras imagenet" if given == "imagenet" else "path", _digest(model), False)


def _application(name: str, weights: str | None = None) -> keras.Model:
    make = _named(name)
    try:
        if weights in (None, "imagenet"):
            return make(weights=weights)
        model = make(weights=None)
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "Skipping nested")  # a file that has not all of the layers
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
    _flat(model)
    return model


def _alone(build: Callable[[], keras.Model]) -> keras.Model:
    with _undrawn(), ThreadPoolExecutor(1) as room:
        return room.submit(build).result()


@contextlib.contextmanager
def _undrawn() -> Iterator[None]:
    """Keras seeds initializers by Python's random numbers: here they repeat, outside nothing is drawn."""
    kept = random.getstate()
    random.seed(0)
    try:
        yield
    finally:
        random.setstate(kept)


def _flat(model: keras.Model) -> calls.Flat:
    """A model's calls, refused where it has none to look at or does not take one image."""
    if keras.config.backend() != "tensorflow":
        raise ConfigError(f"Keras runs on {keras.config.backend()} here: set KERAS_BACKEND=tensorflow")
    if calls.graph(model) is None:
        state = "not built yet" if isinstance(model, keras.Sequential) else "only code (subclassed)"
        raise ConfigError(
            f"{model.name} is {state}, so it has no graph; wanted a functional or sequential model"
        )
    if len(model.inputs) != 1 or len(model.inputs[0].shape) != 4 or model.inputs[0].shape[-1] is None:
        shapes = ", ".join(str(tuple(each.shape)) for each in model.inputs)
        raise ConfigError(f"{model.name} takes {shapes}; wanted one image, (None, H, W, C)")
    return calls.flat(model)


def _twin(layer: Any, policy: str, linear: bool) -> Any:
    """A layer of our own with the same weights, without its activation if that is taken apart."""
    if not isinstance(layer, keras.layers.Layer):
        return layer  # an operation holds nothing
    if isinstance(layer, keras.layers.Lambda):  # its function is here, so it need not be read from a config
        return keras.layers.Lambda(layer.function, arguments=layer.arguments, dtype=policy, name=layer.name)
    try:
        told = layer.get_config() | {"dtype": "float32" if isinstance(layer, EXACT) else policy}
        twin = type(layer).from_config(told)
        if layer.weights:
            twin.build_from_config(layer.get_build_config())
            twin.set_weights(layer.get_weights())
        if isinstance(twin, keras.layers.Normalization):
            twin.finalize_state()
    except Exception as err:  # a user's layer may do anything
        raise ConfigError(
            f"layer {layer.name} cannot be copied: {err!r}; it needs a whole get_config"
        ) from err
    if linear:
        twin.activation = keras.activations.linear
    return twin


def _prepared(image: tf.Tensor, how: Preprocess) -> tf.Tensor:
    x = (image + (np.float32(how.centre) - np.float32(how.mean))) / np.float32(how.scale)
    if how.order == tuple(range(len(how.order))):
        return x
    return tf.concat([x[..., k : k + 1] for k in how.order], axis=-1)


def _map(values: tf.Tensor) -> tf.Tensor:
    """[B, C] -> [B, 1, 1, C]."""
    return values if values.shape.rank == 4 else values[:, None, None, :]


def _digest(model: keras.Model) -> str:
    """12 hex digits of the SHA-256 over the SHA-256 of each array."""
    digest = hashlib.sha256()
    for array in model.get_weights():
        digest.update(hashlib.sha256(np.ascontiguousarray(array)).hexdigest().encode())
    return digest.hexdigest()[:12]
