"""ONNX's nonlinearities, sums, products and reductions -> Keras layers."""

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from deepvis.networks.onnx_import import layers, layouts
from deepvis.networks.onnx_import.calls import Call, Operator, weighted
from deepvis.networks.onnx_import.layouts import Value

of = keras.layers


def same(layer: Callable[[Call], Any]) -> Operator:
    """An operator of each number on its own: it does not matter how the tensor lies."""

    def operator(call: Call) -> Value:
        value = call.value()
        return Value(layer(call)(value.tensor), value.view)

    return operator


def function(name: str) -> Operator:
    """A function of keras.ops of one or several tensors or constants, which broadcast."""

    def operator(call: Call) -> Value:
        values = [each for each in call.arguments if isinstance(each, Value)]
        if len(values) == len(call.arguments):
            return merged(call, lambda: layers.Function(name, name=call.name))
        call.refuse_unless(
            len(values) == 1 and len(call.arguments) == 2, "constants among more than two inputs"
        )
        constant = next(each for each in call.arguments if isinstance(each, np.ndarray))
        laid, value = layouts.fitted(constant, values[0], call.aside)
        first = isinstance(call.arguments[0], np.ndarray)
        layer = layers.FunctionOfConstant(name, laid.shape, first, name=call.name)
        return Value(weighted(layer, value.tensor, [laid]), value.view)

    return operator


def merged(call: Call, layer: Callable[[], Any]) -> Value:
    """A Keras layer of several tensors, which broadcast."""
    values = layouts.aligned([call.value(k) for k in range(len(call.arguments))], call.aside)
    view = max(values, key=lambda each: math.prod(each.shape)).view
    return Value(layer()([each.tensor for each in values]), view)


def affine(call: Call, value: Value, scale: Any, offset: Any) -> Value:
    """Times a constant, plus another."""
    scale, value = layouts.fitted(np.asarray(scale, np.float32), value, call.aside)
    offset, value = layouts.fitted(np.asarray(offset, np.float32), value, call.aside)
    shape = np.broadcast_shapes(scale.shape, offset.shape)
    layer = layers.ScaleOffset(shape, name=call.name)
    return Value(
        weighted(layer, value.tensor, [np.broadcast_to(e, shape) for e in (scale, offset)]), value.view
    )


def arithmetic(layer: Any, left: Callable[[Any], Any], right: Callable[[Any], Any]) -> Operator:
    """A sum, difference or product of two; with a constant it is a scale and an offset."""

    def operator(call: Call) -> Value:
        one, other = call.arguments
        if isinstance(one, Value) and isinstance(other, Value):
            return merged(call, lambda: layer(name=call.name))
        if isinstance(one, Value):
            return affine(call, one, *right(call.constant(1)))
        return affine(call, call.value(1), *left(call.constant(0)))

    return operator


def divide(call: Call) -> Value:
    if isinstance(call.arguments[1], np.ndarray):
        return affine(call, call.value(), 1 / call.constant(1).astype(np.float32), 0)
    return function("divide")(call)  # type: ignore[return-value]


def power(call: Call) -> Value:
    if isinstance(call.arguments[1], np.ndarray) and np.all(call.constant(1) == 2):
        return same(lambda c: layers.Function("square", name=c.name))(call)  # type: ignore[return-value]
    return function("power")(call)  # type: ignore[return-value]


def total(call: Call) -> Value:
    return call.value() if len(call.arguments) == 1 else merged(call, lambda: of.Add(name=call.name))


def clip(call: Call) -> Any:
    low, high = (call.setting(name, k) for k, name in ((1, "min"), (2, "max")))
    low, high = (None if each is None else float(each) for each in (low, high))
    if low == 0 and (high is None or high > 0):
        return of.ReLU(max_value=high, name=call.name)
    bounds = {"x_min": -np.inf if low is None else low, "x_max": np.inf if high is None else high}
    return layers.Function("clip", bounds, name=call.name)


def hard_sigmoid(call: Call) -> Any:
    alpha, beta = call.get("alpha", 0.2), call.get("beta", 0.5)
    if math.isclose(alpha, 1 / 6, rel_tol=1e-6) and beta == 0.5:
        return of.Activation("hard_sigmoid", name=call.name)
    return layers.HardSigmoid(alpha, beta, name=call.name)


def gelu(call: Call) -> Any:
    if call.get("approximate", "none") == "none":
        return of.Activation("gelu", name=call.name)
    return layers.Gelu(True, name=call.name)


def prelu(call: Call) -> Value:
    slope, value = layouts.fitted(call.constant(1), call.value(), call.aside)
    shared = [axis for axis in range(1, slope.ndim) if slope.shape[axis] == 1]
    layer = of.PReLU(shared_axes=shared, name=call.name)
    return Value(weighted(layer, value.tensor, [slope.reshape(slope.shape[1:])]), value.view)


def softmax(function: Callable[..., Any]) -> Operator:
    def operator(call: Call) -> Value:
        value = call.value()
        axis = value.axis(call.get("axis", -1 if call.opset >= 13 else 1))
        axes = [axis] if call.opset >= 13 else range(axis, value.rank)
        value = layouts.without_batch(value, axes)
        stored = sorted(each for one in axes for each in value.view[one])
        return Value(function(stored, call.name)(value.tensor), value.view)

    return operator


def reduction(name: str) -> Operator:
    """A mean, sum, maximum ... over some axes."""

    def operator(call: Call) -> Value:
        value, axes = call.value(), call.numbers("axes", 1)
        if axes is None and call.get("noop_with_empty_axes", 0):
            return value
        gone = sorted(value.axis(axis) for axis in (range(value.rank) if axes is None else axes))
        value = layouts.without_batch(value, gone)
        stored = sorted(axis for each in gone for axis in value.view[each])
        if name == "mean" and stored == [1, 2] and len(value.sizes) == 4:
            layer = of.GlobalAveragePooling2D(keepdims=True, name=call.name)
        else:
            layer = layers.Function(name, {"axis": stored, "keepdims": True}, name=call.name)
        view = [() if axis in gone else group for axis, group in enumerate(value.view)]
        if not call.get("keepdims", 1):
            view = [group for axis, group in enumerate(value.view) if axis not in gone]
        return Value(layer(value.tensor), tuple(view))

    return operator


def unary(name: str, **options: Any) -> Operator:
    """A function of keras.ops of each number."""
    return same(lambda call: layers.Function(name, options, name=call.name))


def activation(name: str) -> Operator:
    """One of Keras' activations without parameters."""
    return same(lambda call: of.Activation(name, name=call.name))


OPERATORS: dict[str, Operator] = {
    "Add": arithmetic(of.Add, lambda c: (1, c), lambda c: (1, c)),
    "Sub": arithmetic(of.Subtract, lambda c: (-1, c), lambda c: (1, -c)),
    "Mul": arithmetic(of.Multiply, lambda c: (c, 0), lambda c: (c, 0)),
    "Div": divide, "Pow": power, "Sum": total, "Max": function("maximum"), "Min": function("minimum"),
    "Relu": same(lambda call: of.ReLU(name=call.name)),
    "LeakyRelu": same(lambda call: of.LeakyReLU(call.get("alpha", 0.01), name=call.name)),
    "Elu": same(lambda call: of.ELU(call.get("alpha", 1.0), name=call.name)),
    "PRelu": prelu, "Clip": same(clip), "HardSigmoid": same(hard_sigmoid), "Gelu": same(gelu),
    "HardSwish": activation("hard_silu"), "Silu": activation("silu"), "Sigmoid": activation("sigmoid"),
    "Tanh": activation("tanh"), "Softplus": activation("softplus"), "Softsign": activation("softsign"),
    "Mish": activation("mish"), "Selu": activation("selu"),
    "Softmax": softmax(lambda axes, name: of.Softmax(axes if len(axes) > 1 else axes[0], name=name)),
    "LogSoftmax": softmax(lambda axes, name: layers.LogSoftmax(axes, name=name)),
    "Exp": unary("exp"), "Log": unary("log"), "Sqrt": unary("sqrt"), "Erf": unary("erf"), "Abs": unary("abs"),
    "Neg": unary("negative"), "Reciprocal": unary("reciprocal"), "Sin": unary("sin"), "Cos": unary("cos"),
    "ReduceMean": reduction("mean"), "ReduceSum": reduction("sum"), "ReduceMax": reduction("max"),
    "ReduceMin": reduction("min"),
}  # fmt: skip
