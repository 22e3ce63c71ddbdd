"""A Keras model -> `Activations`, cut at some layers; the layers are the user's own, and stay as they are."""

import contextlib
import hashlib
import logging
import random
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from deepvis.core import names
from deepvis.core.errors import ConfigError
from deepvis.networks import keras_graph, keras_probe, keras_taps, receptive_fields
from deepvis.networks.base import Activation, Activations, Layer, Size, weight_tags
from deepvis.networks.keras_graph import Graph, Shape, UncallableLayerError
from deepvis.networks.keras_taps import Tap
from deepvis.networks.preprocessing import Preprocess

LOG = logging.getLogger(__name__)
NEAR = 32  # px around a size that does not fit, among which one that fits is looked for


@dataclass(frozen=True, eq=False)
class OpenGraph:
    """A model's graph with one input that is the image; the others are held."""

    model: keras.Model
    graph: Graph
    image: str  # name of the input
    held: Mapping[str, np.ndarray] = field(default_factory=dict)  # of the other inputs, without a batch

    @property
    def shape(self) -> Shape:
        """Of the image, (H, W, C); None where a side is free."""
        return tuple(self.graph.inputs[self.image].shape[1:])

    def shapes(self, size: Size) -> dict[str, Shape]:
        """Of the inputs by name, for an image of this size."""
        image = {self.image: (*size, self.shape[-1])}
        return {name: image.get(name) or self.held[name].shape for name in self.graph.inputs}

    def feed(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        """The inputs by name, of a batch of images."""
        count = tf.shape(image)[0]
        inputs = {self.image: image}
        for name, value in self.held.items():
            inputs[name] = tf.repeat(tf.constant(value)[None], count, axis=0)
        return inputs


def opened(
    model: keras.Model,
    graph: Graph | None = None,
    image: str | None = None,
    held: Mapping[str, Any] | None = None,
) -> OpenGraph:
    """A model whose layers can be looked at.

    Args:
      model: functional or sequential.
      graph: of it, where it is known.
      image: the input that is optimized; None: the only one.
      held: values of the other inputs, without a batch or with one of 1, or one number for all.

    Raises:
      ConfigError: it has no graph, takes no image, or is channels first.
    """
    graph = graph or keras_graph.graph(model)
    given = dict(held or {})
    takes = ", ".join(f"{name} {tuple(each.shape)}" for name, each in graph.inputs.items())
    for name in [*given, *([image] if image else [])]:
        if name not in graph.inputs:
            raise ConfigError(f"{model.name} has no input {name}: it takes {takes}")
    free = [name for name in graph.inputs if name not in given]
    chosen = image or (free[0] if len(free) == 1 else None)
    others = [name for name in free if name != chosen]
    if chosen is None or others:
        raise ConfigError(
            f"{model.name} takes {takes}: expected one image; say which is optimized with model.optimize=NAME "
            "and give the others values, model.inputs={NAME: number or file.npy}"
        )
    shape = tuple(graph.inputs[chosen].shape)
    if len(shape) != 4 or shape[-1] is None:
        raise ConfigError(f"{model.name} takes {takes}; expected one image, (None, H, W, C)")
    for call in graph.calls:
        if getattr(call.layer, "data_format", None) == "channels_first" and len(call.output_shape) == 4:
            raise ConfigError(
                f"{model.name}: layer {call.name} has data_format=channels_first; deepvis needs channels last"
            )
    return OpenGraph(model, graph, chosen, {k: _held(k, v, graph.inputs[k]) for k, v in given.items()})


def _held(name: str, value: Any, tensor: Any) -> np.ndarray:
    shape, dtype = tuple(tensor.shape[1:]), np.dtype(tensor.dtype)
    array = np.asarray(value)
    if array.ndim == 0 and None not in shape:
        array = np.full(shape, array)
    if array.ndim == len(shape) + 1 and array.shape[0] == 1:
        array = array[0]
    if array.ndim != len(shape) or any(b not in (None, a) for a, b in zip(array.shape, shape, strict=True)):
        raise ConfigError(f"model.inputs.{name}: got shape {array.shape}, expected {shape}")
    return array.astype(dtype)


def built(
    network: OpenGraph, pixels: Preprocess, layers: Sequence[str], size: Size, precision: str
) -> Activations:
    """A Keras model as deepvis sees networks; the model itself is not changed.

    Args:
      network: see `opened`.
      pixels: what it expects of them.
      layers: what none of them needs is cut away.
      size: (height, width) of the image, px.
      precision: ``float32``, or ``bfloat16`` for Keras' mixed policy; float32 where the network's code cannot
        do that. Activations come out as float32.

    Returns:
      The network. A layer with a nonlinearity gives what is before it and behind it, whether it is its own
      or the layer that alone reads it; one without gives its output twice.

    Raises:
      ConfigError: no such layer, not of that size, or not what the model computes (see `keras_probe`).
    """
    graph = network.graph
    known = table(network)
    for name in layers:
        if name not in known:
            raise ConfigError(f"{graph.name} has no layer {name} with channels; {names.nearest(name, known)}")
    taps = {name: keras_taps.tap(graph, name) for name in layers}
    for name in layers:
        map_size(network, name, size)
    tensors = _tensors(taps.values())
    place = {id(tensor): k for k, tensor in enumerate(tensors)}
    parts: dict[Size, keras.Model] = {}  # octaves and crops show the network other sizes

    def computed(image: tf.Tensor, kind: str) -> dict[str, Activation]:
        before: dict[int, Any] = {}
        inputs = network.feed(prepared(image, pixels))
        activated = [tap.activated for tap in taps.values() if tap.activated is not None]

        def note(layer: Any, argument: Any, _: Any) -> None:
            before.setdefault(id(layer), argument)

        at = (int(image.shape[1]), int(image.shape[2]))
        if at not in parts:
            parts[at] = keras_graph.resized(graph, tensors, network.shapes(at))
        part = parts[at]
        with keras_taps.computing_in(part, kind), keras_taps.observed(activated, "activation", note):
            outputs = keras.tree.flatten(part([inputs[name] for name in graph.inputs], training=False))
        found = {}
        for name, tap in taps.items():
            grid = None if tap.grid is None else tuple(outputs[place[id(tap.grid)]].shape[1:3])
            post = _map(outputs[place[id(tap.post)]], grid)
            pre = before.get(id(tap.activated)) if tap.pre is None else outputs[place[id(tap.pre)]]
            found[name] = Activation(None if pre is None else _map(pre, grid), post)
        return found

    checked = keras_probe.check(
        network.model, graph, list(taps.values()),
        lambda image: network.feed(prepared(image - tf.constant(pixels.centre, tf.float32), pixels)),
        network.shapes(size), network.image,
    )  # fmt: skip
    if precision != "float32":
        precision = _possible(computed, (1, *size, network.shape[-1]), precision, graph.name)

    def activations(image: tf.Tensor, names: Collection[str]) -> dict[str, Activation]:
        found = computed(image, precision)
        return {name: found[name] for name in names}

    tags = weight_tags("in hand", digest(network.model), verified=False)
    tags |= {"network.probe": checked, "network.precision": precision}
    return Activations(graph.name, pixels.centre, activations, tags, bitwise_any_batch=False)


def _possible(computed: Any, shape: Shape, precision: str, name: str) -> str:
    try:
        computed(tf.zeros(shape), precision)
    except Exception as err:  # constants of a user's code are float32, and TensorFlow does not mix
        reason = " ".join(str(err).split())[:200]
        LOG.warning("precision=%s: %s computes in float32, since its code cannot (%s)", precision, name, reason)
        return "float32"
    return precision


def _tensors(taps: Collection[Tap]) -> list[Any]:
    found = [each for tap in taps for each in (tap.pre, tap.post, tap.grid) if each is not None]
    return list({id(each): each for each in found}.values())


def map_size(network: OpenGraph, name: str, size: Size) -> Size:
    """Height and width of a layer's map, as Keras has them for an image of this size; (1, 1) of a vector.

    Raises:
      ConfigError: the layer cannot take it; the message names the nearest sizes that work.
    """
    try:
        return _map_size(network, name, size)
    except UncallableLayerError as err:
        near = " or ".join(_written(each) for each in _fitting(network, name, size))
        advice = f"expected {near}" if near else "no size near it works"
        raise ConfigError(f"size={_written(size)}: {name} of {network.graph.name} cannot take it: {err}; {advice}") from err


def _map_size(network: OpenGraph, name: str, size: Size) -> Size:
    tap = keras_taps.tap(network.graph, name)
    part = keras_graph.resized(network.graph, _tensors([tap]), network.shapes(size))
    found = dict(zip(map(id, _tensors([tap])), part.outputs, strict=True))
    shape = tuple(found[id(tap.post)].shape)
    if len(shape) == 3:
        grid = tuple(found[id(tap.grid)].shape[1:3]) if tap.grid is not None else None
        if grid is None or not 0 <= shape[1] - grid[0] * grid[1] <= keras_taps.MOST_EXTRA_TOKENS:
            raise UncallableLayerError(f"{name}: {shape[1]} tokens are no map of the image")
        return grid
    return (shape[1], shape[2]) if len(shape) == 4 else (1, 1)


def _fitting(network: OpenGraph, name: str, size: Size) -> list[Size]:
    """The nearest sizes that a layer takes, smaller and larger, and the one the network was made for."""
    made_for = network.shape[:2]
    if None not in made_for:
        steps: list[list[Size]] = [[made_for]]
    else:
        ways = [[-d for d in range(1, NEAR + 1)], [*range(1, NEAR + 1), *(s * 2**k for k in range(3) for s in size)]]
        steps = [[(size[0] + d, size[1] + d) for d in way if min(size) + d > 0] for way in ways]
    found = []
    for way in steps:
        for each in way:
            with contextlib.suppress(UncallableLayerError):
                _map_size(network, name, each)
                found.append(each)
                break
    return found


def _written(size: Size) -> str:
    return str(size[0]) if size[0] == size[1] else f"[{size[0]},{size[1]}]"


def table(network: OpenGraph) -> dict[str, Layer]:
    """The layers of a model that can be visualized."""
    return receptive_fields.table(network.graph, network.image)


@contextlib.contextmanager
def repeatable_draws() -> Iterator[None]:
    """Keras seeds initializers by Python's random numbers: here they repeat, outside nothing is drawn."""
    kept = random.getstate()
    random.seed(0)
    try:
        yield
    finally:
        random.setstate(kept)


def prepared(image: tf.Tensor, pixels: Preprocess) -> tf.Tensor:
    """Centred pixels as the network wants them."""
    centre, mean, scale = (np.array(each, np.float32) for each in (pixels.centre, pixels.mean, pixels.scale))
    x: Any = (image + (centre - mean)) / scale
    if pixels.order == tuple(range(len(pixels.order))):
        return x
    return tf.concat([x[..., k : k + 1] for k in pixels.order], axis=-1)


def _map(values: tf.Tensor, grid: Any) -> tf.Tensor:
    """[B, C] -> [B, 1, 1, C]; tokens [B, k + h w, C] -> [B, h, w, C]; float32."""
    values = tf.cast(values, tf.float32)
    if values.shape.rank == 2:
        return values[:, None, None, :]
    if grid is None:
        return values
    places = values[:, values.shape[1] - grid[0] * grid[1] :]
    return tf.reshape(places, [-1, *grid, values.shape[-1]])


def digest(model: keras.Model) -> str:
    """12 hex digits of the SHA-256 over the SHA-256 of each array."""
    digest = hashlib.sha256()
    for array in model.get_weights():
        digest.update(hashlib.sha256(np.ascontiguousarray(array).data).hexdigest().encode())
    return digest.hexdigest()[:12]
