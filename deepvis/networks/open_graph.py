"""A model whose layers can be looked at: `Graph`, and which input is the image -> sizes, layers, inputs."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from deepvis.core.errors import ConfigError
from deepvis.networks import keras_graph, keras_taps
from deepvis.networks.base import Size
from deepvis.networks.keras_graph import Graph, Shape, UncallableLayerError

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

    def feed(self, image: tf.Tensor) -> list[tf.Tensor]:
        """The inputs in the model's order, of a batch of images."""
        count = tf.shape(image)[0]
        held = {n: tf.repeat(tf.constant(v)[None], count, axis=0) for n, v in self.held.items()}
        return [image if name == self.image else held[name] for name in self.graph.inputs]


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
            f"{model.name} takes {takes}: expected one image; say which is optimized with "
            "model.optimize=NAME and give the others values, model.inputs={NAME: number or file.npy}"
        )
    shape = tuple(graph.inputs[chosen].shape)
    if len(shape) != 4 or shape[-1] is None:
        raise ConfigError(f"{model.name} takes {takes}; expected one image, (None, H, W, C)")
    if not (dtype := str(graph.inputs[chosen].dtype)).startswith(("float", "bfloat")):
        raise ConfigError(
            f"{model.name}: its image {chosen} is of type {dtype}, which has no gradient; "
            f"expected float32: make the model again with keras.Input({shape[1:]}, dtype='float32')"
        )
    if shape[1] in (1, 3) and shape[2] == shape[3] and shape[3] > 4:
        raise ConfigError(f"{model.name} takes {takes}, channels first; deepvis needs channels last")
    for call in graph.calls:
        if getattr(call.layer, "data_format", None) == "channels_first" and len(call.output_shape) == 4:
            raise ConfigError(
                f"{model.name}: layer {call.name} has data_format=channels_first; deepvis needs channels last"
            )
    return OpenGraph(model, graph, chosen, {k: _held(k, v, graph.inputs[k]) for k, v in given.items()})


def _held(name: str, value: Any, tensor: Any) -> np.ndarray:
    shape, dtype = tuple(tensor.shape[1:]), np.dtype(tensor.dtype)
    array: np.ndarray = np.asarray(value)
    if array.ndim == 0 and None not in shape:
        array = np.full(shape, array)
    if array.ndim == len(shape) + 1 and len(array) == 1:
        array = array[0]
    if array.ndim != len(shape) or any(b not in (None, a) for a, b in zip(array.shape, shape, strict=True)):
        raise ConfigError(f"model.inputs.{name}: got shape {array.shape}, expected {shape}")
    with np.errstate(over="ignore"):
        cast = array.astype(dtype)
    if not np.all(np.isfinite(cast)):
        raise ConfigError(f"model.inputs.{name}: got numbers too large for {dtype}, expected smaller ones")
    if dtype.kind in "iub" and not np.array_equal(cast, array):
        raise ConfigError(f"model.inputs.{name}: got numbers that are no {dtype}, expected {dtype}")
    return cast


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
        raise ConfigError(
            f"size={_written(size)}: {name} of {network.graph.name} cannot take it: {err}; {advice}"
        ) from err


def _map_size(network: OpenGraph, name: str, size: Size) -> Size:
    tap = keras_taps.tap(network.graph, name)
    read = keras_taps.tensors([tap])
    part = keras_graph.resized(network.graph, read, network.shapes(size))
    found = dict(zip(map(id, read), part.outputs, strict=True))
    shape = tuple(found[id(tap.post)].shape)
    if len(shape) == 3:
        places = tap.places
        grid = None if places is None else places.grid(found[id(places.map)].shape)
        if places is None or grid is None or shape[1] is None or shape[1] < places.first + grid[0] * grid[1]:
            raise UncallableLayerError(f"{name}: {shape[1]} tokens are no map of the image")
        return grid
    if None in shape[1:]:
        raise UncallableLayerError(f"{name}: its map {shape} has no size of its own")
    return (shape[1], shape[2]) if len(shape) == 4 else (1, 1)


def _fitting(network: OpenGraph, name: str, size: Size) -> list[Size]:
    """The nearest sizes that a layer takes, smaller and larger, and the one the network was made for."""
    height, width = network.shape[:2]
    if height is not None and width is not None:
        ways: list[list[Size]] = [[(height, width)]]
    else:
        smaller, larger = (
            range(-1, -NEAR - 1, -1),
            [*range(1, NEAR + 1), *(max(size) * 2**k for k in range(4))],
        )
        ways = [[(size[0] + d, size[1] + d) for d in way if min(size) + d > 0] for way in (smaller, larger)]
    found = []
    for way in ways:
        for each in way:
            with contextlib.suppress(UncallableLayerError):
                _map_size(network, name, each)
                found.append(each)
                break
    return found


def _written(size: Size) -> str:
    return str(size[0]) if size[0] == size[1] else f"[{size[0]},{size[1]}]"
