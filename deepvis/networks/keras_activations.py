"""A Keras model -> `Activations`, cut at some layers; the layers are the user's own, and stay as they are."""

import contextlib
import hashlib
import logging
import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from deepvis.core.errors import ConfigError
from deepvis.networks import (
    forward_pass,
    keras_damage,
    keras_graph,
    keras_probe,
    keras_taps,
    open_graph,
)
from deepvis.networks.base import Activation, Activations, Size, weight_tags
from deepvis.networks.open_graph import OpenGraph
from deepvis.networks.preprocessing import Preprocess, prepared

LOG = logging.getLogger(__name__)
ROUGH = 0.25  # of the largest value: more than rounding to bfloat16 comes to


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

    probed = keras_probe.check(network, list(taps.values()), pixels, size)

    def computed(image: tf.Tensor, kind: str, seed: int | None = None) -> dict[str, Activation]:
        arguments: dict[int, list[Any]] = {}
        inputs = network.feed(prepared(image, pixels))

        def note(layer: Any, argument: Any, _: Any) -> None:
            arguments.setdefault(id(layer), []).append(argument)

        at = _size(image)  # octaves and crops show the network other sizes
        with tf.init_scope():  # inside a traced function TensorFlow takes few names of layers
            part = keras_graph.resized(graph, read, network.shapes(at))
        with (
            keras_taps.computing_in(part, kind),
            keras_taps.observed(activated, "activation", note),
            keras_damage.without(damage, seed),
        ):
            try:
                outputs = keras.tree.flatten(part(inputs, training=False))
            except Exception as err:
                if at == size:
                    raise
                raise ConfigError(
                    f"{graph.name} cannot compute an image of {at[0]} x {at[1]} px, which octaves, pad or "
                    f"crop show it: {keras_graph.reason(err)}; expected none of these"
                ) from err
        found = {}
        for name, tap in taps.items():
            grid = None if tap.places is None else tap.places.grid(outputs[place[id(tap.places.map)]].shape)
            first = 0 if tap.places is None else tap.places.first
            pre = None if tap.pre is None else outputs[place[id(tap.pre)]]
            if name in probed.activation_calls:
                pre = arguments[id(tap.activated)][probed.activation_calls[name]]
            post = outputs[place[id(tap.post)]]
            found[name] = Activation(None if pre is None else _map(pre, grid, first), _map(post, grid, first))
        return found

    if precision != "float32":
        precision = _possible(computed, network, pixels, size, precision)

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
    tags |= {"network.probe": probed.compared, "network.precision": precision}
    return Activations(
        graph.name,
        pixels.centre,
        activations,
        tags,
        bitwise_any_batch=False,
        without_pre_activation=probed.without_pre_activation,
    )


def _possible(
    computed: Callable[[tf.Tensor, str], Mapping[str, Activation]],
    network: OpenGraph,
    pixels: Preprocess,
    size: Size,
    precision: str,
) -> str:
    """A precision, or float32 where a network's code cannot compute in it, or comes to other values."""
    image = keras_probe.images_of(*size, int(network.shape[-1] or 0))[:1] - np.array(
        pixels.centre, np.float32
    )
    reason = ""
    try:
        found, exact = (computed(tf.constant(image), each) for each in (precision, "float32"))
    except Exception as err:  # constants of a user's code are float32, and TensorFlow does not mix
        reason = " ".join(str(err).split())[:200]
    else:
        for name, maps in exact.items():
            off = max(
                forward_pass.difference(forward_pass.sample(a), forward_pass.sample(b))
                for a, b in zip(found[name], maps, strict=True)
                if a is not None and b is not None
            )
            if off > ROUGH:
                reason = f"its values at {name} differ from float32's by {off:.2g} of the largest"
    if not reason:
        return precision
    LOG.warning(
        "precision=%s: %s computes in float32, since its code cannot (%s)",
        precision,
        network.graph.name,
        reason,
    )
    return "float32"


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


def _map(values: tf.Tensor, grid: Any, first: int) -> tf.Tensor:
    """[B, C] -> [B, 1, 1, C]; tokens [B, N, C], from the first place on -> [B, h, w, C]; float32."""
    values = tf.cast(values, tf.float32)
    if values.shape.rank == 2:
        return values[:, None, None, :]
    if grid is None:
        return values
    places = values[:, first : first + grid[0] * grid[1]]
    return tf.reshape(places, [-1, *grid, values.shape[-1]])


def digest(model: keras.Model) -> str:
    """12 hex digits of the SHA-256 over the SHA-256 of each array."""
    digest = hashlib.sha256()
    for array in model.get_weights():
        digest.update(hashlib.sha256(np.ascontiguousarray(array).data).hexdigest().encode())
    return digest.hexdigest()[:12]
