"""A Keras model -> `Graph`: the calls of the user's own layers in order, nested models taken apart.

Keras walks the graph and calls the layers (``keras.models.clone_model`` with ``call_function``); nothing is
copied. A layer of a nested model is called ``nested/layer``.
"""

import contextlib
import functools
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from deepvis.core.errors import ConfigError
from deepvis.networks import inner_models
from deepvis.networks.layer_kinds import families

CHANGING = threading.RLock()  # one thread at a time changes layers, and changes them back
Shape = tuple[int | None, ...]


class UncallableLayerError(Exception):
    """Keras could not call a layer on maps of some size: its name, and Keras' reason."""


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a layer or an operation."""

    name: str
    order: tuple[int, ...]  # of a layer's calls and of the models around it, as the user's code made them
    layer: Any  # Keras' layer or operation
    arguments: tuple[Sequence[Any], Mapping[str, Any]]  # positional and by name, with symbolic tensors
    outputs: Sequence[Any]
    keys: tuple[str, ...] = ()  # of the outputs, where they are a dict

    @functools.cached_property
    def inputs(self) -> Sequence[Any]:
        """The symbolic tensors that it reads."""
        return [each for each in keras.tree.flatten(self.arguments) if isinstance(each, keras.KerasTensor)]

    @property
    def input_shapes(self) -> list[Shape]:
        """Of what it reads; None where a size is free."""
        return [tuple(tensor.shape) for tensor in self.inputs]

    @property
    def output_shape(self) -> Shape:
        """Of the first value that it gives; None where a size is free."""
        return tuple(self.outputs[0].shape)


@dataclass(frozen=True, eq=False)
class Graph:
    """A network, nested models taken apart."""

    name: str
    calls: Sequence[Call]
    inputs: Mapping[str, Any]  # by the name of the model's input
    outputs: Sequence[Any]

    def first(self, name: str) -> Call:
        """The call of that name which the user's code made first, as in ``model.get_layer(name).output``."""
        return self._first[name]

    def readers(self, tensor: Any) -> Sequence[Call]:
        """The calls that read a tensor."""
        return self._readers.get(id(tensor), [])

    @functools.cached_property
    def _first(self) -> Mapping[str, Call]:
        latest_first = sorted(self.calls, key=lambda call: call.order, reverse=True)
        return {call.name: call for call in latest_first}

    @functools.cached_property
    def _readers(self) -> Mapping[int, Sequence[Call]]:
        found: dict[int, list[Call]] = {}
        for call in self.calls:
            for key in {id(tensor): None for tensor in call.inputs}:
                found.setdefault(key, []).append(call)
        return found

    @functools.cached_property
    def parts(self) -> dict[Any, keras.Model]:
        """What `resized` has made: each size is asked for by checks, the probe and the program."""
        return {}

    def below(self, tensors: Iterable[Any]) -> list[Call]:
        """The calls that some tensors need, in order."""
        needed, kept = {id(tensor) for tensor in tensors}, []
        for call in reversed(self.calls):
            if needed & {id(tensor) for tensor in call.outputs}:
                needed |= {id(tensor) for tensor in call.inputs}
                kept.append(call)
        return kept[::-1]


def graph(model: keras.Model) -> Graph:
    """The calls of a model; see `is_functional` for what must hold.

    Raises:
      ConfigError: it has no graph, or Keras cannot walk it.
    """
    if keras.config.backend() != "tensorflow":
        raise ConfigError(f"Keras runs on {keras.config.backend()} here: set KERAS_BACKEND=tensorflow")
    if not is_functional(model):
        state = "not built yet" if isinstance(model, keras.Sequential) else "only code (subclassed)"
        raise ConfigError(
            f"{model.name} is {state}, so it has no graph; expected a functional or sequential model"
        )
    calls: list[Call] = []

    def call(
        path: str, orders: tuple[int, ...], layer: Any, order: int, args: Sequence[Any], kwargs: Any
    ) -> Any:
        tensors = inner_models.inputs(layer, args, kwargs) if is_functional(layer) else None
        name, orders = path + layer.name, (*orders, order)
        if tensors is not None:
            inner = functools.partial(call, f"{name}/", orders)
            return keras.tree.pack_sequence_as(
                layer.output, _walk(layer.inputs, layer.outputs, tensors, inner)
            )
        outputs = _called(name, layer, args, kwargs)
        keys = tuple(map(str, outputs)) if isinstance(outputs, Mapping) else ()
        calls.append(Call(name, orders, layer, (args, kwargs), keras.tree.flatten(outputs), keys))
        return outputs

    inputs = {each.name: _input(each.shape, each) for each in model.inputs}
    try:
        outputs = _walk(model.inputs, model.outputs, list(inputs.values()), functools.partial(call, "", ()))
    except UncallableLayerError as err:
        raise ConfigError(f"{model.name}: {err}") from err
    return Graph(model.name, calls, inputs, outputs)


def is_functional(layer: Any) -> bool:
    """Whether a layer is a model that Keras can walk: functional or sequential, without code of its own."""
    if not isinstance(layer, keras.Model):
        return False
    plain = (keras.Sequential, _functional_class())
    kind = type(layer)
    if "call" in vars(layer) or not any(
        kind.call is each.call and kind.__call__ is each.__call__ for each in plain
    ):
        return False
    return bool(getattr(layer, "inputs", None))  # a Sequential has none until it is called


def resized(graph: Graph, tensors: Sequence[Any], shapes: Mapping[str, Shape]) -> keras.Model:
    """The part of a network that gives some tensors, for inputs of other shapes; the layers are the user's.

    It is made once: each time Keras calls the layers anew, and they remember the call.

    Args:
      graph: of the network.
      tensors: of its calls.
      shapes: of its inputs by name, without the batch.

    Raises:
      UncallableLayerError: a layer cannot take maps of that size, or its map has no pixel.
    """
    key = tuple(map(id, tensors)), tuple(shapes.items())
    if key not in graph.parts:
        graph.parts[key] = _resized(graph, tensors, shapes)
    return graph.parts[key]


def _resized(graph: Graph, tensors: Sequence[Any], shapes: Mapping[str, Shape]) -> keras.Model:
    names = {id(call.layer): call.name for call in reversed(graph.calls)}

    def call(layer: Any, _: int, args: Sequence[Any], kwargs: Any) -> Any:
        return _called(names[id(layer)], layer, args, kwargs)

    inputs = [_input((None, *shapes[name]), each) for name, each in graph.inputs.items()]
    with CHANGING, _named(graph):
        outputs = _walk(list(graph.inputs.values()), tensors, inputs, call)
        return keras.Model(inputs, outputs, name="deepvis")


@contextlib.contextmanager
def _named(graph: Graph) -> Iterator[None]:
    """While it lasts, layers have different names, as Keras expects of a model; nested ones may share one."""
    layers = {id(call.layer): call.layer for call in graph.calls}.values()
    counts = Counter([*graph.inputs, *(layer.name for layer in layers)])
    kept = [(layer, layer.name) for layer in layers if counts[layer.name] > 1]
    try:
        for k, (layer, name) in enumerate(kept):
            vars(layer)["name"] = f"{name}_of_{k}"
        yield
    finally:
        for layer, name in kept:
            vars(layer)["name"] = name


class _Walked(Exception):  # noqa: N818  not an error: it ends clone_model before that compiles its model
    pass


def _walk(
    inputs: Sequence[Any], outputs: Sequence[Any], tensors: Sequence[Any], call: Callable[..., Any]
) -> list[Any]:
    """The outputs of a part of a graph for other inputs: Keras walks, ``call`` calls each layer."""
    # clone_model tells its call_function neither the outputs nor their order, so they are marked.
    marks = [keras.layers.Identity(name=f"deepvis_output_{k}") for k in range(len(outputs))]
    ends = [mark(each) for mark, each in zip(marks, outputs, strict=True)]
    marked = keras.Model(list(inputs), ends, name="marked")  # a name that counts none of the user's up
    nodes = _nodes(marked)
    found: dict[int, Any] = {}

    def visit(layer: Any, *args: Any, **kwargs: Any) -> Any:
        node = next(nodes)
        if node.operation is not layer:
            raise RuntimeError(f"Keras called {layer.name} where its graph has {node.operation.name}")
        if not any(layer is mark for mark in marks):
            return call(layer, layer._inbound_nodes.index(node), args, kwargs)
        found[id(layer)] = args[0]
        if len(found) == len(marks):
            raise _Walked
        return args[0]

    with contextlib.suppress(_Walked):
        keras.models.clone_model(
            marked, input_tensors=list(tensors), clone_function=lambda layer: layer, call_function=visit
        )
    return [found[id(mark)] for mark in marks]


def _nodes(model: keras.Model) -> Iterator[Any]:
    """The calls of a model in the order in which Keras makes them; there is no public way to tell them."""
    depths = sorted(model._nodes_by_depth, reverse=True)
    return (node for depth in depths for node in model._nodes_by_depth[depth] if not node.is_input)


def _called(name: str, layer: Any, args: Any, kwargs: Any) -> Any:
    try:
        outputs = layer(*args, **kwargs)
        if _has_weights_by_place(layer):  # of which Keras' own shapes know nothing, so its code is asked
            keras.Operation.compute_output_spec(layer, *args, **kwargs)
    except Exception as err:  # a user's layer may do anything
        raise UncallableLayerError(f"{name} ({type(layer).__name__}): {reason(err)}") from err
    if isinstance(layer, keras.layers.Concatenate):  # infers a shape from maps that do not fit
        shapes = [list(each.shape) for each in keras.tree.flatten(args)]
        fitting = {tuple(s[: layer.axis] + s[layer.axis :][1:]) for s in shapes}
        if len(fitting) > 1:
            raise UncallableLayerError(f"{name} (Concatenate): its maps {shapes} do not fit")
    for tensor in keras.tree.flatten(outputs):
        if 0 in tuple(getattr(tensor, "shape", ())):
            raise UncallableLayerError(f"{name} ({type(layer).__name__}): its map would have no pixel")
    return outputs


def _has_weights_by_place(layer: Any) -> bool:
    """Whether a layer of Keras has a weight for each place of its map, so that only maps of one size fit."""
    if "PReLU" in families(layer):
        return any(n != 1 for n in layer.alpha.shape[:-1])
    return bool(families(layer)) and len(keras.tree.flatten(getattr(layer, "axis", None))) > 1


def reason(err: Exception) -> str:
    """What Keras says, in one line."""
    text = " ".join(re.sub(r"\x1b\[\d*m", "", str(err)).split())
    # Before it Keras says how layers are written, behind it TensorFlow quotes its operations.
    text = text.rpartition("Error encountered: ")[2].partition(" for '{{node")[0]
    return (
        text.removeprefix("Exception encountered when calling ")
        .partition("Arguments received")[0][:300]
        .strip()
    )


def _input(shape: Shape, like: Any) -> Any:
    return keras.Input(batch_shape=shape, dtype=like.dtype, name=like.name)


@functools.cache
def _functional_class() -> type[keras.Model]:
    """The class that ``keras.Model(inputs, outputs)`` makes; Keras has no public name for it."""
    image = keras.Input((1,), name="image")
    return type(keras.Model(image, image, name="identity"))
