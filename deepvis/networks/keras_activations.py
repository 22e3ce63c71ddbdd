"""A Keras model -> `Activations`, cut at some layers; the layers are the user's own, and stay as they are."""

import contextlib
import hashlib
import logging
import random
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from deepvis.networks import keras_damage, keras_graph, keras_probe, keras_taps, open_graph
from deepvis.networks.base import Activation, Activations, Size, weight_tags
from deepvis.networks.keras_graph import Shape
from deepvis.networks.open_graph import OpenGraph
from deepvis.networks.preprocessing import Preprocess, in_range, prepared

LOG = logging.getLogger(__name__)


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
      ConfigError: a layer does not take that size, or gives not what the model computes (see `keras_probe`).
    """
    graph = network.graph
    for name in layers:
        open_graph.map_size(network, name, size)
    taps = {name: keras_taps.tap(graph, name) for name in layers}
    read = keras_taps.tensors(taps.values())
    place = {id(tensor): k for k, tensor in enumerate(read)}
    damage = keras_damage.damage(network.model)
    activated = [tap.activated for tap in taps.values() if tap.activated is not None]
    parts: dict[Size, keras.Model] = {}  # octaves and crops show the network other sizes

    def computed(image: tf.Tensor, kind: str, seed: int | None = None) -> dict[str, Activation]:
        before: dict[int, Any] = {}
        inputs = network.feed(prepared(image, pixels))

        def note(layer: Any, argument: Any, _: Any) -> None:
            before.setdefault(id(layer), argument)

        at = _size(image)
        if at not in parts:
            with tf.init_scope():  # inside a traced function TensorFlow takes few names of layers
                parts[at] = keras_graph.resized(graph, read, network.shapes(at))
        part = parts[at]
        with (
            keras_taps.computing_in(part, kind),
            keras_taps.observed(activated, "activation", note),
            keras_damage.without(damage, seed),
        ):
            outputs = keras.tree.flatten(part([inputs[name] for name in graph.inputs], training=False))
        found = {}
        for name, tap in taps.items():
            grid = None if tap.grid is None else tuple(outputs[place[id(tap.grid)]].shape[1:3])
            post = _map(outputs[place[id(tap.post)]], grid)
            pre = before.get(id(tap.activated)) if tap.pre is None else outputs[place[id(tap.pre)]]
            found[name] = Activation(None if pre is None else _map(pre, grid), post)
        return found

    checked = keras_probe.check(network, list(taps.values()), lambda image: in_range(image, pixels), size)
    if precision != "float32":
        precision = _possible(computed, (1, *size, network.shape[-1]), precision, graph.name)

    marked = keras_damage.marked(
        lambda image, seed: computed(image, precision, seed),
        damage,
        (*size, int(network.shape[-1] or 0)),
        graph.name,
    )

    def activations(image: tf.Tensor, names: Collection[str]) -> dict[str, Activation]:
        found = marked(image)
        return {name: found[name] for name in names}

    tags = weight_tags("in hand", digest(network.model), verified=False)
    tags |= {"network.probe": checked, "network.precision": precision}
    return Activations(graph.name, pixels.centre, activations, tags, bitwise_any_batch=False)


def _possible(computed: Any, shape: Shape, precision: str, name: str) -> str:
    try:
        computed(tf.zeros(shape), precision)
    except Exception as err:  # constants of a user's code are float32, and TensorFlow does not mix
        reason = " ".join(str(err).split())[:200]
        LOG.warning(
            "precision=%s: %s computes in float32, since its code cannot (%s)", precision, name, reason
        )
        return "float32"
    return precision


@contextlib.contextmanager
def repeatable_draws() -> Iterator[None]:
    """Keras seeds initializers by Python's random numbers: here they repeat, outside nothing is drawn."""
    kept = random.getstate()
    random.seed(0)
    try:
        yield
    finally:
        random.setstate(kept)


def _size(image: tf.Tensor) -> Size:
    return int(image.shape[1] or 0), int(image.shape[2] or 0)


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
