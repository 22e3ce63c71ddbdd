"""Boxes: which pixels of an image a unit of a map can see: (network, layer, size) -> position -> `Box`.

From the layer down to the image, each call of the graph turns the interval that is read of its output into
the one that is read of its input: kernel, stride, dilation, padding. What a layer of unknown code reads is
all of its input. No pixel outside of the box changes the unit; where all layers are known each of its edges
can.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from deepvis.networks import keras_graph, keras_taps
from deepvis.networks.base import Box, Size, joined, whole
from deepvis.networks.keras_graph import Call, Graph
from deepvis.networks.layer_kinds import families, is_activation
from deepvis.networks.onnx_import.layers import FunctionOfConstant, ScaleOffset
from deepvis.networks.open_graph import OpenGraph
from deepvis.networks.receptive_fields import CONVOLUTIONS, POINTWISE

Interval = tuple[int, int]  # first and last
INTERPOLATIONS = {"nearest": 0, "bilinear": 1, "bicubic": 2}  # values that are read beside the nearest one
# Of Keras' operations those that compute each value from the values at its place.
ELEMENTWISE = {
    "Abs", "Absolute", "Add", "Clip", "Cos", "Divide", "Exp", "Expm1", "Log", "Log1p", "Maximum", "Minimum",
    "Mod", "Multiply", "Negative", "Power", "Reciprocal", "Rsqrt", "Sign", "Sin", "Sqrt", "Square",
    "Subtract", "TrueDivide", "Relu", "Relu6", "Sigmoid", "Tanh", "Silu", "Gelu", "Softplus", "HardSigmoid",
    "HardSilu", "LeakyRelu", "Elu", "Selu", "Cast", "Where",
}  # fmt: skip


def boxes(network: OpenGraph, name: str, size: Size) -> Callable[[int, int], Box]:
    """The box of each position of a layer's map, for images of one size.

    Args:
      network: of the layer.
      name: of the layer.
      size: height and width of the image, px.
    """
    tap = keras_taps.tap(network.graph, name)
    read = keras_taps.tensors([tap])
    part = keras_graph.resized(network.graph, read, network.shapes(size))
    graph = keras_graph.graph(part)
    target = graph.outputs[[id(tensor) for tensor in read].index(id(tap.post))]
    image = graph.inputs[list(graph.inputs)[list(network.graph.inputs).index(network.image)]]
    return functools.cache(lambda row, column: _box(graph, target, image, (row, column), size))


def _box(graph: Graph, target: Any, image: Any, position: Size, size: Size) -> Box:
    row, column = position if len(target.shape) == 4 else (0, 0)  # a vector sees all of what it is made of
    needed: dict[int, Box] = {id(target): ((row, row), (column, column))}
    for call in reversed(graph.calls):
        for output in call.outputs:
            box = needed.get(id(output))
            if box is None:
                continue
            for tensor in call.inputs:
                seen = _behind(call, box, tuple(tensor.shape), tuple(output.shape))
                if seen is not None:
                    needed[id(tensor)] = joined(needed.get(id(tensor)), seen)
    return needed.get(id(image), whole(size))


def _behind(call: Call, box: Box, before: tuple[Any, ...], after: tuple[Any, ...]) -> Box | None:
    """What is read of one input; None: nothing but padding."""
    if len(before) != 4 or len(after) != 4 or None in (*before[1:3], *after[1:3]):
        sides = before[1:3] if len(before) == 4 and None not in before[1:3] else (1, 1)
        return whole(sides)
    through = _axis(call, before, after)
    if through is None:
        return whole(before[1:3])
    found = []
    for axis, interval in enumerate(box):
        low, high = through(axis, *interval)
        low, high = max(low, 0), min(high, before[1 + axis] - 1)
        if low > high:
            return None
        found.append((low, high))
    return found[0], found[1]


def _axis(
    call: Call, before: tuple[Any, ...], after: tuple[Any, ...]
) -> Callable[[int, int, int], Interval] | None:
    """(axis, first, last) of the output -> those of the input, before they are cut to it; None: all of it."""
    layer, classes = call.layer, families(call.layer)
    n, out = before[1:3], after[1:3]
    if classes & CONVOLUTIONS:
        return _window(layer.kernel_size, layer.strides, layer.dilation_rate, layer.padding, n)
    if "BasePooling" in classes:
        return _window(layer.pool_size, layer.strides, 1, layer.padding, n)
    if "BaseConvTranspose" in classes:
        return _transposed(layer, out)
    if classes & {"ZeroPadding2D", "Cropping2D"}:
        sign = 1 if "ZeroPadding2D" in classes else -1
        sides = layer.padding if sign == 1 else layer.cropping
        return lambda axis, low, high: (low - sign * sides[axis][0], high - sign * sides[axis][0])
    if "UpSampling2D" in classes and layer.interpolation in INTERPOLATIONS:
        reach = INTERPOLATIONS[layer.interpolation]
        return lambda axis, low, high: (low // layer.size[axis] - reach, high // layer.size[axis] + reach)
    if _is_by_place(call, classes) and all(a in (1, b) for a, b in zip(n, out, strict=True)):
        return lambda axis, low, high: (0, 0) if n[axis] == 1 else (low, high)
    return None


def _is_by_place(call: Call, classes: set[str]) -> bool:
    """Whether each value is computed from those at its place of the map, of all channels."""
    layer = call.layer
    if isinstance(layer, FunctionOfConstant | ScaleOffset):
        return True
    if is_activation(layer):
        axis = getattr(layer, "axis", -1)
        return axis in (-1, 3, [-1], (-1,))  # a softmax over the map sees all of it
    rank = len(call.output_shape)
    if "LayerNormalization" in classes:
        return layer.axis in (-1, [-1], [rank - 1], rank - 1)
    if "Concatenate" in classes:
        return layer.axis in (-1, rank - 1)
    return bool(classes & (POINTWISE | ELEMENTWISE))


def _window(
    kernel: Any, stride: Any, dilation: Any, padding: str, n: Size
) -> Callable[[int, int, int], Interval]:
    """Of a convolution or a pooling."""
    kernel, stride, dilation = (np.broadcast_to(np.array(each), 2) for each in (kernel, stride, dilation))

    def through(axis: int, low: int, high: int) -> Interval:
        reach, step = int(dilation[axis] * (kernel[axis] - 1)), int(stride[axis])
        before = _same(n[axis], reach, step) if padding == "same" else 0
        return low * step - before, high * step - before + reach

    return through


def _same(n: int, reach: int, stride: int) -> int:
    """Pixels that ``same`` lays before a map of n."""
    return max((-(-n // stride) - 1) * stride + reach + 1 - n, 0) // 2


def _transposed(layer: Any, out: Size) -> Callable[[int, int, int], Interval]:
    kernel, strides, dilation = (
        np.broadcast_to(np.array(each), 2) for each in (layer.kernel_size, layer.strides, layer.dilation_rate)
    )

    def through(axis: int, low: int, high: int) -> Interval:
        reach, step = int(dilation[axis] * (kernel[axis] - 1)), int(strides[axis])
        before = _same(out[axis], reach, step) if layer.padding == "same" else 0
        return -(-(low + before - reach) // step), (high + before) // step

    return through
