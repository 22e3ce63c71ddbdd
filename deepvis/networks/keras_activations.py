"""A Keras model -> `Activations`, cut at some layers; the model, and Keras' state, stay as they are."""

import contextlib
import hashlib
import random
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from deepvis.core import names
from deepvis.core.errors import ConfigError
from deepvis.networks import keras_graph, receptive_fields
from deepvis.networks.base import Activation, Activations, Layer, weight_tags
from deepvis.networks.preprocessing import Preprocess, read

POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}
EXACT = (keras.layers.Rescaling, keras.layers.Normalization)  # bfloat16 would round the pixels they read


def built(
    model: keras.Model, preprocess: Any, layers: Sequence[str], size: int, precision: str
) -> Activations:
    """A Keras model as deepvis sees networks; the model itself is not changed.

    Args:
      model: functional or sequential; one image in, layers of any kind.
      preprocess: `Preprocess`, or what `preprocessing.read` takes.
      layers: what none of them needs is cut away.
      size: px of the image, square.
      precision: ``float32``, or ``bfloat16`` for Keras' mixed policy. Activations come out as float32.

    Returns:
      The network. A layer with a nonlinearity gives what is before it and behind it, whether it is its own
      or the layer that alone reads it; one without gives its output twice.

    Raises:
      ConfigError: no such layer, not of that size, not a model that has a graph.
    """
    known = table(model)
    network = flat(model)
    for name in layers:
        if name not in known:
            raise ConfigError(f"{model.name} has no layer {name} with channels; {names.nearest(name, known)}")
        expected = known[name].exactly or max(size, known[name].smallest)
        if size != expected:
            raise ConfigError(f"size={size}: {name} of {model.name} expected {expected} px")
    if not isinstance(preprocess, Preprocess):
        preprocess = read(preprocess, model.input_shape[-1])
    pairs = {name: keras_graph.pair(network, name) for name in layers}
    needed = keras_graph.below(
        network, {slot for each in pairs.values() for slot in each if slot is not None}
    )
    split = {
        keras_graph.first(network, name).writes[0]: name for name, each in pairs.items() if each.pre is None
    }
    fused = {id(call.layer) for call in needed if call.writes[0] in split}
    with repeatable_draws():
        copies = {
            id(c.layer): _layer_copy(c.layer, POLICIES[precision], id(c.layer) in fused) for c in needed
        }

    def activations(image: tf.Tensor, names: Collection[str]) -> dict[str, Activation]:
        values, found = {0: prepared(image, preprocess)}, {}
        for call in needed:
            args, kwargs = call.arguments(values)
            kwargs |= dict.fromkeys({"training"} & kwargs.keys(), False)
            out = copies[id(call.layer)](*args, **kwargs)
            if id(call.layer) in fused:
                if call.writes[0] in split:
                    maps = tf.cast(out, tf.float32)
                    found[split[call.writes[0]]] = Activation(_map(maps), _map(call.layer.activation(maps)))
                out = call.layer.activation(out)
            values |= dict(zip(call.writes, tf.nest.flatten(out), strict=True))
        for name, (pre, post) in pairs.items():
            if pre is not None:
                found[name] = Activation(*(_map(tf.cast(values[slot], tf.float32)) for slot in (pre, post)))
        return {name: found[name] for name in names}

    tags = weight_tags("in hand", digest(model), verified=False)
    return Activations(model.name, preprocess.centre, activations, tags, bitwise_any_batch=False)


def table(model: keras.Model) -> dict[str, Layer]:
    """The layers of a model that can be visualized.

    Raises:
      ConfigError: it has no graph, or takes more than one image.
    """
    return receptive_fields.table(flat(model), tuple(model.input_shape))


@contextlib.contextmanager
def repeatable_draws() -> Iterator[None]:
    """Keras seeds initializers by Python's random numbers: here they repeat, outside nothing is drawn."""
    kept = random.getstate()
    random.seed(0)
    try:
        yield
    finally:
        random.setstate(kept)


def flat(model: keras.Model) -> keras_graph.Flat:
    """A model's calls, refused where it has none to look at or does not take one image."""
    if keras.config.backend() != "tensorflow":
        raise ConfigError(f"Keras runs on {keras.config.backend()} here: set KERAS_BACKEND=tensorflow")
    if keras_graph.graph(model) is None:
        state = "not built yet" if isinstance(model, keras.Sequential) else "only code (subclassed)"
        raise ConfigError(
            f"{model.name} is {state}, so it has no graph; expected a functional or sequential model"
        )
    if len(model.inputs) != 1 or len(model.inputs[0].shape) != 4 or model.inputs[0].shape[-1] is None:
        shapes = ", ".join(str(tuple(each.shape)) for each in model.inputs)
        raise ConfigError(f"{model.name} takes {shapes}; expected one image, (None, H, W, C)")
    return keras_graph.flat(model)


def _layer_copy(layer: Any, policy: str, linear: bool) -> Any:
    """A layer of our own with the same weights, without its activation if that is taken apart."""
    if not isinstance(layer, keras.layers.Layer):
        return layer  # an operation holds nothing
    if isinstance(layer, keras.layers.Lambda):  # its function is here, so it need not be read from a config
        return keras.layers.Lambda(layer.function, arguments=layer.arguments, dtype=policy, name=layer.name)
    try:
        config = layer.get_config() | {"dtype": "float32" if isinstance(layer, EXACT) else policy}
        copy = type(layer).from_config(config)
        if layer.weights:
            copy.build_from_config(layer.get_build_config())
            copy.set_weights(layer.get_weights())
        if isinstance(copy, keras.layers.Normalization):
            copy.finalize_state()
    except Exception as err:  # a user's layer may do anything
        raise ConfigError(
            f"layer {layer.name} cannot be copied: {err!r}; it needs a whole get_config"
        ) from err
    if linear:
        copy.activation = keras.activations.linear
    return copy


def prepared(image: tf.Tensor, pixels: Preprocess) -> tf.Tensor:
    """Centred pixels as the network wants them."""
    centre, mean, scale = (np.array(each, np.float32) for each in (pixels.centre, pixels.mean, pixels.scale))
    x: Any = (image + (centre - mean)) / scale
    if pixels.order == tuple(range(len(pixels.order))):
        return x
    return tf.concat([x[..., k : k + 1] for k in pixels.order], axis=-1)


def _map(values: tf.Tensor) -> tf.Tensor:
    """[B, C] -> [B, 1, 1, C]."""
    return values if values.shape.rank == 4 else values[:, None, None, :]


def digest(model: keras.Model) -> str:
    """12 hex digits of the SHA-256 over the SHA-256 of each array."""
    digest = hashlib.sha256()
    for array in model.get_weights():
        digest.update(hashlib.sha256(np.ascontiguousarray(array).data).hexdigest().encode())
    return digest.hexdigest()[:12]
