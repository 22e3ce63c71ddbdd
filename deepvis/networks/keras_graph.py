"""A Keras model -> `Graph`: the calls of the user's own layers in order, nested models taken apart.

Keras walks the graph and calls the layers (``keras.models.clone_model`` with ``call_function``); nothing is
copied. A layer of a nested model is called ``nested/layer``.
"""

import contextlib
import functools
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras

from deepvis.core.errors import ConfigError

ACTIVATIONS = {
    "activation", "celu", "elu", "gelu", "glu", "hardshrink", "hardsigmoid", "hardsilu", "hardtanh",
    "leakyrelu", "logsigmoid", "logsoftmax", "prelu", "relu", "relu6", "selu", "sigmoid", "silu", "softmax",
    "softplus", "softshrink", "softsign", "sparseplus", "sparsemax", "sparsesigmoid", "squareplus", "tanh",
    "tanhshrink", "threshold",
}  # fmt: skip
CODE = {"Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"}  # Keras' layers of any function
Shape = tuple[int | None, ...]


class UncallableLayerError(Exception):
    """Keras could not call a layer on maps of some size: its name, and Keras' reason."""


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a layer or an operation."""

    name: str
    layer: Any  # Keras' layer or operation
    arguments: tuple[Sequence[Any], Mapping[str, Any]]  # positional and by name, with symbolic tensors
    outputs: Sequence[Any]

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
        """The first call of that name; a layer that is called twice is looked at there."""
        return self._first[name]

    def readers(self, tensor: Any) -> Sequence[Call]:
        """The calls that read a tensor."""
        return self._readers.get(id(tensor), [])

    @functools.cached_property
    def _first(self) -> Mapping[str, Call]:
        return {call.name: call for call in reversed(self.calls)}

    @functools.cached_property
    def _readers(self) -> Mapping[int, Sequence[Call]]:
        found: dict[int, list[Call]] = {}
        for call in self.calls:
            for key in {id(tensor): None for tensor in call.inputs}:
                found.setdefault(key, []).append(call)
        return found

    def below(self, tensors: Iterable[Any]) -> list[Call]:
        """The calls that some tensors need, in order."""
        needed, kept = {id(tensor) for tensor in tensors}, []
        for call in reversed(self.calls):
            if needed & {id(tensor) for tensor in call.outputs}:
                needed |= {id(tensor) for tensor in call.inputs}
                kept.append(call)
        return kept[::-1]


def graph(model: keras.Model) -> Graph:
    """The calls of a model; see `functional` for what must hold.

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

    def call(path: str, layer: Any, *args: Any, **kwargs: Any) -> Any:
        tensors = _inner_inputs(layer, args, kwargs) if is_functional(layer) else None
        name = path + layer.name
        if tensors is not None:
            outputs = _walk(layer.inputs, layer.outputs, tensors, functools.partial(call, f"{name}/"))
            return keras.tree.pack_sequence_as(layer.output, outputs)
        outputs = _called(name, layer, args, kwargs)
        calls.append(Call(name, layer, (args, kwargs), keras.tree.flatten(outputs)))
        return outputs

    inputs = {each.name: _input(each.shape, each) for each in model.inputs}
    try:
        outputs = _walk(model.inputs, model.outputs, list(inputs.values()), functools.partial(call, ""))
    except UncallableLayerError as err:
        raise ConfigError(f"{model.name}: {err}") from err
    return Graph(model.name, calls, inputs, outputs)


def is_functional(layer: Any) -> bool:
    """Whether a layer is a model that Keras can walk: functional or sequential, without code of its own."""
    if not isinstance(layer, keras.Model):
        return False
    plain = (keras.Sequential, _functional_class())
    kind = type(layer)
    if not any(kind.call is each.call and kind.__call__ is each.__call__ for each in plain):
        return False
    return bool(getattr(layer, "inputs", None))  # a Sequential has none until it is called


def resized(graph: Graph, tensors: Sequence[Any], shapes: Mapping[str, Shape]) -> keras.Model:
    """The part of a network that gives some tensors, for inputs of other shapes; the layers are the user's.

    Args:
      graph: of the network.
      tensors: of its calls.
      shapes: of its inputs by name, without the batch.

    Raises:
      UncallableLayerError: a layer cannot take maps of that size, or its map has no pixel.
    """
    names = {id(call.layer): call.name for call in reversed(graph.calls)}

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        return _called(names.get(id(layer)) or layer.name, layer, args, kwargs)

    inputs = [_input((None, *shapes[name]), each) for name, each in graph.inputs.items()]
    outputs = _walk(list(graph.inputs.values()), tensors, inputs, call)
    return keras.Model(inputs, outputs, name="deepvis")


class _Walked(Exception):  # noqa: N818  not an error: it ends clone_model before that compiles its model
    pass


def _walk(
    inputs: Sequence[Any], outputs: Sequence[Any], tensors: Sequence[Any], call: Callable[..., Any]
) -> list[Any]:
    """The outputs of a part of a graph for other inputs: Keras walks, ``call`` calls each layer."""
    # clone_model tells its call_function neither the outputs nor their order, so they are marked.
    marks = [keras.layers.Identity(name=f"output_{k}") for k in range(len(outputs))]
    marked = keras.Model(list(inputs), [mark(each) for mark, each in zip(marks, outputs, strict=True)])
    found: dict[int, Any] = {}

    def visit(layer: Any, *args: Any, **kwargs: Any) -> Any:
        if not any(layer is mark for mark in marks):
            return call(layer, *args, **kwargs)
        found[id(layer)] = args[0]
        if len(found) == len(marks):
            raise _Walked
        return args[0]

    with contextlib.suppress(_Walked):
        keras.models.clone_model(
            marked, input_tensors=list(tensors), clone_function=lambda layer: layer, call_function=visit
        )
    return [found[id(mark)] for mark in marks]


def _called(name: str, layer: Any, args: Any, kwargs: Any) -> Any:
    try:
        outputs = layer(*args, **kwargs)
    except Exception as err:  # a user's layer may do anything
        text = " ".join(re.sub(r"\x1b\[\d*m", "", str(err)).split())
        reason = text.removeprefix("Exception encountered when calling ").partition("Arguments received")[0]
        raise UncallableLayerError(f"{name} ({type(layer).__name__}): {reason[:300].strip()}") from err
    if isinstance(layer, keras.layers.Concatenate):  # infers a shape from maps that do not fit
        shapes = [list(each.shape) for each in keras.tree.flatten(args)]
        fitting = {tuple(s[: layer.axis] + s[layer.axis :][1:]) for s in shapes}
        if len(fitting) > 1:
            raise UncallableLayerError(f"{name} (Concatenate): its maps {shapes} do not fit")
    for tensor in keras.tree.flatten(outputs):
        if 0 in tuple(getattr(tensor, "shape", ())):
            raise UncallableLayerError(f"{name} ({type(layer).__name__}): its map would have no pixel")
    return outputs


def _input(shape: Shape, like: Any) -> Any:
    return keras.Input(batch_shape=shape, dtype=like.dtype, name=like.name)


def _inner_inputs(model: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any] | None:
    """What an inner model is called with, in the order of its inputs; None where that cannot be told."""
    others = {key for key, value in kwargs.items() if value is not None} - {"training"}
    if len(args) != 1 or others:
        return None
    tensors = keras.tree.flatten(args[0])
    if len(tensors) == len(model.inputs) == 1:
        return tensors
    try:
        keras.tree.assert_same_structure(args[0], model.input)
    except (ValueError, TypeError):
        return None
    given = {id(k): t for k, t in zip(keras.tree.flatten(model.input), tensors, strict=True)}
    return [given[id(each)] for each in model.inputs]


@functools.cache
def _functional_class() -> type[keras.Model]:
    """The class that ``keras.Model(inputs, outputs)`` makes; Keras has no public name for it."""
    image = keras.Input((1,), name="image")
    return type(keras.Model(image, image, name="identity"))


def is_activation(layer: Any) -> bool:
    """Whether a layer is a nonlinearity of Keras and nothing else."""
    return is_keras(layer) and type(layer).__name__.lower() in ACTIVATIONS


def is_keras(layer: Any) -> bool:
    """Whether what a layer does is known: its class is Keras' own, and holds no function of the user's."""
    kind = type(layer)
    return kind.__module__.partition(".")[0] == "keras" and kind.__name__ not in CODE


def families(layer: Any) -> set[str]:
    """Names of a layer's class and of all that it is derived from, where its class is Keras' own."""
    return {each.__name__ for each in type(layer).__mro__} if is_keras(layer) else set()


def names(graph: Graph) -> Collection[str]:
    """Of all layers and operations."""
    return dict.fromkeys(call.name for call in graph.calls)
