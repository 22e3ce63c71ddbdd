"""A functional Keras model -> `Flat`, the calls of its layers in order, nested models taken apart.

A layer of a nested model is called ``nested/layer``. The one module that reads what Keras keeps to itself
(``_functional``, ``_nodes_by_depth``, its nodes): tests/networks/test_keras_graph.py fails when Keras is not
``TESTED``. Imports nothing of Keras.
"""

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

TESTED = "3.15"  # Keras' version whose internals are read here
ACTIVATIONS = {
    "activation", "celu", "elu", "gelu", "glu", "hardshrink", "hardsigmoid", "hardsilu", "hardtanh",
    "leakyrelu", "logsigmoid", "logsoftmax", "prelu", "relu", "relu6", "selu", "sigmoid", "silu", "softmax",
    "softplus", "softshrink", "softsign", "sparseplus", "sparsemax", "squareplus", "tanh", "tanhshrink",
    "threshold",
}  # fmt: skip
FUSED = {"BaseConv", "BaseConvTranspose", "BaseDepthwiseConv", "BaseSeparableConv", "Dense", "EinsumDense"}


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a layer or an operation; a slot is where a value is kept on its way through the network."""

    name: str
    layer: Any  # Keras' layer or operation
    node: Any  # Keras' record of the call, which has its other arguments
    reads: dict[int, int]  # id of a symbolic tensor -> slot
    writes: Sequence[int]  # slots

    @property
    def input_shapes(self) -> list[tuple[int | None, ...]]:
        """Of what it reads; None where a size is free."""
        return [tuple(tensor.shape) for tensor in self.node.input_tensors]

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """Of the first value that it writes; None where a size is free."""
        return tuple(self.node.outputs[0].shape)

    def arguments(self, values: Mapping[int, Any]) -> tuple[Sequence[Any], dict[str, Any]]:
        """What the layer is called with, positional and by name, where the slots have these values."""
        tensors = {key: values[slot] for key, slot in self.reads.items()}
        return self.node.arguments.fill_in(tensors)


@dataclass(frozen=True, eq=False)
class Flat:
    """A network whose image is in slot 0."""

    calls: Sequence[Call]
    outputs: Collection[int]  # slots


class Pair(NamedTuple):
    """Where a layer's activation is found."""

    pre: int | None  # slot; None where the layer applies its nonlinearity itself
    post: int


def flat(model: Any) -> Flat:
    """The calls of a model from image to outputs; it must have a `graph` and one input."""
    calls: list[Call] = []
    slots = itertools.count(1)

    def walk(part: Any, path: str, inputs: Sequence[int]) -> list[int]:
        at = dict(zip(map(id, part.inputs), inputs, strict=True))
        for depth in sorted(part._nodes_by_depth, reverse=True):
            for node in part._nodes_by_depth[depth]:
                if node.is_input:
                    continue
                name, inner = path + node.operation.name, graph(node.operation)
                slots_read = [at[id(tensor)] for tensor in node.input_tensors]
                if inner is None:
                    writes = [next(slots) for _ in node.outputs]
                    reads = dict(zip(map(id, node.input_tensors), slots_read, strict=True))
                    calls.append(Call(name, node.operation, node, reads, writes))
                else:
                    writes = walk(inner, f"{name}/", slots_read)
                at |= dict(zip(map(id, node.outputs), writes, strict=True))
        return [at[id(tensor)] for tensor in part.outputs]

    return Flat(calls, walk(graph(model), "", [0]))


def graph(layer: Any) -> Any:
    """A model's graph; a Sequential has it inside. None: a plain layer, or a model that is only code."""
    model = getattr(layer, "_functional", None) or layer
    return model if hasattr(model, "_nodes_by_depth") else None


def is_activation(layer: Any) -> bool:
    """Whether a layer is a nonlinearity and nothing else."""
    return type(layer).__name__.lower() in ACTIVATIONS


def is_fused(layer: Any) -> bool:
    """Whether a layer ends in a nonlinearity of its own."""
    ends = getattr(getattr(layer, "activation", None), "__name__", "linear") != "linear"
    return ends and bool(FUSED & families(layer))


def families(layer: Any) -> set[str]:
    """Names of a layer's class and of all that it is derived from."""
    return {each.__name__ for each in type(layer).__mro__}


def first(network: Flat, name: str) -> Call:
    """The first call of that name; a layer that is called twice is looked at there."""
    return next(call for call in network.calls if call.name == name)


def pair(network: Flat, name: str) -> Pair:
    """Before and after a layer's nonlinearity: its own, or the layer that alone reads it, or itself."""
    call = first(network, name)
    (output, *_) = call.writes
    if is_fused(call.layer):
        return Pair(None, output)
    if is_activation(call.layer):
        return Pair(next(iter(call.reads.values())), output)
    readers = [other for other in network.calls if output in other.reads.values()]
    only = len(readers) == 1 and output not in network.outputs and is_activation(readers[0].layer)
    return Pair(output, readers[0].writes[0] if only else output)


def below(network: Flat, slots: Collection[int]) -> list[Call]:
    """The calls that are needed for some slots, in order: the network, cut."""
    needed, kept = set(slots), []
    for call in reversed(network.calls):
        if needed & set(call.writes):
            needed |= set(call.reads.values())
            kept.append(call)
    return kept[::-1]
