"""Where a layer's values are found, before and behind its nonlinearity: (Graph, layer) -> `Tap`.

A nonlinearity that is a layer's own attribute (``Conv2D(activation="relu")``) is read while Keras calls the
layer: the attribute is replaced for the time of the call by a function that also takes down its argument.
"""

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import keras

from deepvis.networks import token_places
from deepvis.networks.keras_graph import CHANGING, Call, Graph
from deepvis.networks.layer_kinds import families, is_activation, is_keras
from deepvis.networks.token_places import Places

HIDING = {"RNN", "Bidirectional", "Model"}  # of Keras' layers those that may end with a nonlinearity inside
EXACT = (keras.layers.Rescaling, keras.layers.Normalization)  # bfloat16 would round the pixels they read
OPERATION = re.compile("[A-Za-z0-9.][A-Za-z0-9_.-]*")  # names that TensorFlow takes anywhere


@dataclass(frozen=True, eq=False)
class Tap:
    """Where the values of a layer are found."""

    call: Call
    pre: Any  # symbolic tensor before its nonlinearity; None: inside of the layer, or nowhere
    post: Any  # symbolic tensor behind it
    activated: Any  # the layer that applies a nonlinearity of its own; None
    places: Places | None  # of tokens [B, N, C]: which places of the image they are

    @property
    def has_pre_activation(self) -> bool:
        """Whether values before the nonlinearity can be had."""
        return self.pre is not None or self.activated is not None


def tap(graph: Graph, name: str) -> Tap:
    """Where the values of a layer are found: its own nonlinearity, or the layer that alone reads it.

    A layer whose code is not Keras' may hide a nonlinearity, so it has no values before it.
    """
    call = graph.first(name)
    output = call.outputs[0]
    places = token_places.of_graph(graph).get(id(output)) if len(output.shape) == 3 else None
    places = None if places is None or places.axis != 1 or not places.patch else places
    inner = _activated(call.layer)
    if inner is not None:
        return Tap(call, None, output, inner, places)
    core = _wrapped(call.layer)
    if not is_keras(core) or families(core) & HIDING or (core is not call.layer and is_activation(core)):
        return Tap(call, None, output, None, places)
    if is_activation(core):
        before = call.inputs[0]
        return Tap(call, before if before.shape[-1] == output.shape[-1] else None, output, None, places)
    readers = graph.readers(output)
    post = output
    if len(readers) == 1 and is_activation(readers[0].layer) and not _is_in(output, graph.outputs):
        behind = readers[0].outputs[0]
        post = behind if behind.shape[-1] == output.shape[-1] else output
    return Tap(call, output, post, None, places)


def _activated(layer: Any) -> Any:
    """The layer with an ``activation`` that it applies itself: this one, or the one that it wraps."""
    layer = _wrapped(layer)
    if is_activation(layer) or families(layer) & HIDING:
        return None
    function = vars(layer).get("activation")
    return layer if callable(function) and function is not keras.activations.linear else None


def _wrapped(layer: Any) -> Any:
    """The layer inside of Keras' wrappers, or itself."""
    while isinstance(layer, keras.layers.Wrapper) and is_keras(layer):
        layer = layer.layer
    return layer


def tensors(taps: Iterable[Tap]) -> list[Any]:
    """The symbolic tensors that some taps read, each once."""
    taps = list(taps)
    found = [each for tap in taps for each in (tap.pre, tap.post) if each is not None]
    for places in (tap.places for tap in taps if tap.places is not None):
        found += [places.map, *(each for assumption in places.assumed for each in assumption.call.inputs)]
    return list({id(each): each for each in found}.values())


def _is_in(tensor: Any, tensors: Iterable[Any]) -> bool:
    return any(each is tensor for each in tensors)


def layers_of(model: keras.Model) -> list[Any]:
    """All layers of a model, those inside of layers too; Keras has no public way (see test_keras_taps)."""
    return list(model._flatten_layers(include_self=True, recursive=True))


class Computing(keras.DTypePolicy):
    """Of layers that compute in one type and keep their variables in the one that they have."""

    def __init__(self, compute: str, variables: str) -> None:
        super().__init__(compute)
        self._variables = variables

    @property
    def variable_dtype(self) -> str:
        """Of the layer's variables."""
        return self._variables


@contextlib.contextmanager
def computing_in(model: keras.Model, precision: str) -> Iterator[None]:
    """While it lasts, all layers of a model compute in this precision; their weights stay as they are.

    They also have names that TensorFlow takes, for it names the operations of a traced function by them.
    """
    changed: list[tuple[Any, Any, str]] = []
    with CHANGING:
        try:
            for number, layer in enumerate(layers_of(model)):
                changed.append((layer, vars(layer)["_dtype_policy"], layer.name))
                if not OPERATION.fullmatch(layer.name):
                    layer.name = f"layer_{number}"
                if layer.quantization_mode is None:
                    exact = isinstance(layer, EXACT)
                    policy = Computing("float32" if exact else precision, layer.variable_dtype)
                    # Not through the property: that would write into a policy that several layers share.
                    vars(layer)["_dtype_policy"] = policy
            yield
        finally:
            for layer, policy, name in changed:
                vars(layer)["_dtype_policy"] = policy
                layer.name = name


@contextlib.contextmanager
def observed(layers: Iterable[Any], attribute: str, note: Callable[[Any, Any, Any], None]) -> Iterator[None]:
    """While it lasts, each call of a function of some layers is told to ``note(layer, argument, returned)``.

    Args:
      layers: Keras' layers.
      attribute: the function: ``activation``, or ``call``.
      note: is told.
    """
    with CHANGING, contextlib.ExitStack() as stack:
        for layer in {id(each): each for each in layers}.values():
            stack.enter_context(_replaced(layer, attribute, note))
        yield


@contextlib.contextmanager
def _replaced(layer: Any, attribute: str, note: Callable[[Any, Any, Any], None]) -> Iterator[None]:
    # Through vars(), since Keras would track what is set, and refuse a layer that is set after building.
    missing = object()
    kept = vars(layer).get(attribute, missing)
    function: Callable[..., Any] = getattr(layer, attribute)

    def call(*args: Any, **kwargs: Any) -> Any:
        out = function(*args, **kwargs)
        note(layer, args[0] if args else None, out)
        return out

    vars(layer)[attribute] = call
    try:
        yield
    finally:
        if kept is missing:
            del vars(layer)[attribute]
        else:
            vars(layer)[attribute] = kept
