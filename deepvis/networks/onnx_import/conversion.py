"""An ONNX `Graph` -> a functional Keras model, channels last, and where each value of ONNX is in it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from deepvis.core.errors import ConfigError
from deepvis.networks.onnx_import import arithmetic, convolutions, layouts, shapes
from deepvis.networks.onnx_import.calls import Argument, Call, Operator, unique
from deepvis.networks.onnx_import.constants import Constants, without_constants
from deepvis.networks.onnx_import.graphs import Graph
from deepvis.networks.onnx_import.layers import OneSize
from deepvis.networks.onnx_import.layouts import LayoutError, Value
from deepvis.networks.onnx_import.names import names
from deepvis.networks.onnx_import.patterns import joined

OPERATORS: Mapping[str, Operator] = convolutions.OPERATORS | arithmetic.OPERATORS | shapes.OPERATORS


@dataclass(frozen=True, eq=False)
class Converted:
    """A Keras model of an ONNX graph."""

    model: keras.Model
    values: Mapping[str, Value]  # name in ONNX -> where it is in the model
    layers: Mapping[str, Value]  # name of a layer -> what it gives
    output: Value  # the first


def converted(
    graph: Graph, name: str, size: tuple[int, int], where: str, one_size: bool = False
) -> Converted:
    """The Keras model of a graph.

    Args:
      graph: what was read.
      name: of the model.
      size: of the image, height and width.
      where: the graph is from, for messages.
      one_size: refuse images of another one.

    Raises:
      ConfigError: an operator, or what it is asked to do, is not known here; the message names the node.
    """
    nodes = joined(without_constants(graph))
    constants = Constants(graph)
    layers = names(nodes)
    image: Any = keras.Input((*size, graph.shape[0]), name="image")
    taken = set(layers.values())
    first = OneSize(image.shape[1:], name=unique("image.size", taken))(image) if one_size else image
    values: dict[str, Value] = {graph.image: layouts.image(first)}
    given: dict[str, Value] = {}
    for node in nodes:
        arguments: list[Argument] = [values.get(each, constants.get(each)) for each in node.inputs]
        call = Call(node, arguments, layers[node], graph.opset, taken)
        try:
            if node.op == "Shape" and isinstance(arguments[0], Value):
                constants.put_shape(node, arguments[0])
                continue
            if node.op == "CastLike" and isinstance(arguments[0], np.ndarray):
                constants.put(node, arguments[0])
                continue
            if not any(isinstance(each, Value) for each in arguments):
                constants.fold(node)
                continue
            if node.op not in OPERATORS:
                raise LayoutError(
                    "this operator is not known here; docs/reference/onnx.md lists those that are"
                )
            if node.op not in ("Reshape", "Expand") and any(
                constants.depends_on_size(each) for each in node.inputs
            ):
                call = fixed(call)
            out = OPERATORS[node.op](call)
        except LayoutError as err:
            raise ConfigError(f"{where}: {node.title}: {err}") from err
        except ConfigError:
            raise
        except Exception as err:  # Keras refuses shapes in its own way
            text = " ".join(str(err).split())[:200]
            raise ConfigError(f"{where}: {node.title}: {text or type(err).__name__}") from err
        results = [out] if isinstance(out, Value) else out
        values |= dict(zip(node.outputs, results, strict=False))
        given[layers[node]] = results[0]
    outputs = [values[each] for each in graph.outputs if each in values]
    if not outputs or any(each.tensor is image for each in outputs):
        raise ConfigError(f"{where}: its outputs do not depend on the image; expected a network")
    model = keras.Model(image, [each.tensor for each in outputs], name=name)
    known = {layer.name for layer in model.layers}
    return Converted(model, values, {key: value for key, value in given.items() if key in known}, outputs[0])


def fixed(call: Call) -> Call:
    """A call for maps of one size: its constants were computed from that size."""
    arguments: list[Argument] = []
    for each in call.arguments:
        if isinstance(each, Value):
            layer = OneSize(tuple(each.tensor.shape)[1:], name=call.aside("size"))
            each = Value(layer(each.tensor), each.view)
        arguments.append(each)
    return Call(call.node, arguments, call.name, call.opset, call.taken)


def computed(model: keras.Model, values: Mapping[str, Value], image: Any) -> dict[str, np.ndarray]:
    """What some values are for an image, in ONNX' order of axes.

    Args:
      model: that has them.
      values: by any name.
      image: [B, H, W, C], of any size that the layers take.
    """
    reader = keras.Model(model.input, {name: value.tensor for name, value in values.items()})
    found = reader.call(keras.ops.convert_to_tensor(image), training=False)  # __call__ takes one size only
    return {name: _as_onnx(value, np.asarray(found[name])) for name, value in values.items()}


def _as_onnx(value: Value, array: np.ndarray) -> np.ndarray:
    flat = [axis for group in value.view for axis in group]
    loose = [axis for axis in range(array.ndim) if axis not in flat]
    shape = [int(np.prod([array.shape[axis] for axis in group])) for group in value.view]
    return array.transpose(flat + loose).reshape(shape)
