"""Keras layers for what ONNX computes and Keras has no layer of; all know their shapes at any image size.

Each is a layer of its own right, with a whole ``get_config``, so that Keras can save and copy it.
"""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

register = keras.saving.register_keras_serializable("deepvis")


@register
class SplitAxis(keras.layers.Layer):
    """Splits an axis into two, of which the first has so many entries."""

    def __init__(self, axis: int, outer: int, **options: Any) -> None:
        super().__init__(**options)
        self.axis, self.outer = axis, outer

    def call(self, inputs: Any) -> Any:
        shape, axis = list(inputs.shape), self.axis
        if shape[axis] % self.outer:
            raise ValueError(f"{self.name}: {shape[axis]} does not split into {self.outer}")
        return ops.reshape(
            inputs, (-1, *shape[1:axis], self.outer, shape[axis] // self.outer, *shape[axis + 1 :])
        )

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"axis": self.axis, "outer": self.outer}


@register
class JoinAxes(keras.layers.Layer):
    """Joins axes that follow one another; an empty group is a new axis of 1, one in no group has size 1."""

    def __init__(self, groups: Sequence[Sequence[int]], **options: Any) -> None:
        super().__init__(**options)
        self.groups = [list(group) for group in groups]

    def call(self, inputs: Any) -> Any:
        shape = inputs.shape
        return ops.reshape(inputs, (-1, *(math.prod(shape[axis] for axis in g) for g in self.groups[1:])))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"groups": self.groups}


@register
class ScaleOffset(keras.layers.Layer):
    """Multiplies by constants and adds others."""

    def __init__(self, shape: Sequence[int], **options: Any) -> None:
        super().__init__(trainable=False, **options)
        self.shape = tuple(shape)

    def build(self, input_shape: Any) -> None:
        self.scale = self.add_weight(shape=self.shape, initializer="ones", name="scale")
        self.offset = self.add_weight(shape=self.shape, initializer="zeros", name="offset")

    def call(self, inputs: Any) -> Any:
        return inputs * self.scale + self.offset

    def compute_output_shape(self, input_shape: Any) -> Any:
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"shape": self.shape}


@register
class WithConstant(keras.layers.Layer):
    """Joins a constant, the same for each image, to a tensor, along an axis."""

    def __init__(self, shape: Sequence[int], axis: int, first: bool, **options: Any) -> None:
        super().__init__(trainable=False, **options)
        self.shape, self.axis, self.first = tuple(shape), axis, first

    def build(self, input_shape: Any) -> None:
        self.constant = self.add_weight(shape=self.shape, initializer="zeros", name="constant")

    def call(self, inputs: Any) -> Any:
        constant = ops.broadcast_to(self.constant, (ops.shape(inputs)[0], *self.shape[1:]))
        pair = (constant, inputs) if self.first else (inputs, constant)
        return ops.concatenate(pair, axis=self.axis)

    def compute_output_shape(self, input_shape: Any) -> Any:
        shape = list(input_shape)
        shape[self.axis] += self.shape[self.axis]
        return tuple(shape)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"shape": self.shape, "axis": self.axis, "first": self.first}


@register
class Padding2D(keras.layers.ZeroPadding2D):
    """Pads with a number, or with the border's pixels, and as far as a pooling with ceil mode reaches."""

    def __init__(
        self, padding: Any, value: float = 0.0, mode: str = "constant", ceil: Any = None, **options: Any
    ) -> None:
        super().__init__(padding, **options)
        self.value, self.mode, self.ceil = value, mode, ceil

    def call(self, inputs: Any) -> Any:
        size = inputs.shape[1:3]
        pads = [list(pair) for pair in self.padding]
        if self.ceil is not None:
            for pair, side, kernel, stride in zip(pads, size, *self.ceil, strict=True):
                pair[1] += reach(side, kernel, stride, pair)
        widths = [(0, 0), *map(tuple, pads), (0, 0)]
        if self.mode != "constant":
            return ops.pad(inputs, widths, mode=self.mode)
        return ops.pad(inputs, widths, constant_values=self.value)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return tuple(self.call(keras.KerasTensor(input_shape)).shape)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"value": self.value, "mode": self.mode, "ceil": self.ceil}


def reach(side: int, kernel: int, stride: int, pads: Sequence[int]) -> int:
    """How far the last window of a pooling with ceil mode stands out; it begins in the map or before it."""
    span = side + sum(pads) - kernel
    steps = -(-span // stride)
    if steps * stride >= side + pads[0]:
        steps -= 1
    return max(steps * stride - span, 0)


@register
class BorderAveragePooling2D(keras.layers.AveragePooling2D):
    """An average over what is there: padding does not count, or only the padding proper does."""

    def __init__(
        self, pool_size: Any, strides: Any, pads: Any, ceil: bool, count: bool, **options: Any
    ) -> None:
        super().__init__(pool_size, strides, padding="valid", **options)
        self.pads, self.ceil, self.count = [list(each) for each in pads], ceil, count

    def call(self, inputs: Any) -> Any:
        counted, more = np.ones((1, *inputs.shape[1:3], 1), np.float32), [[0, 0], [0, 0]]
        if self.ceil:
            sizes = zip(inputs.shape[1:3], self.pool_size, self.strides, self.pads, strict=True)
            more = [[0, reach(*each)] for each in sizes]
        whole = [[a + b for a, b in zip(*each, strict=True)] for each in zip(self.pads, more, strict=True)]
        if self.count:
            counted = np.pad(counted, [(0, 0), *self.pads, (0, 0)], constant_values=1)
        counted = np.pad(counted, [(0, 0), *(more if self.count else whole), (0, 0)])
        share = super().call(ops.convert_to_tensor(counted, dtype=inputs.dtype))
        return super().call(ops.pad(inputs, [(0, 0), *map(tuple, whole), (0, 0)])) / share

    def compute_output_shape(self, input_shape: Any) -> Any:
        sides = []
        for side, kernel, stride, pads in zip(
            input_shape[1:3], self.pool_size, self.strides, self.pads, strict=True
        ):
            span = side + sum(pads) - kernel + (reach(side, kernel, stride, pads) if self.ceil else 0)
            sides.append(span // stride + 1)
        return (input_shape[0], *sides, input_shape[3])

    def compute_output_spec(self, inputs: Any) -> Any:
        return keras.KerasTensor(self.compute_output_shape(inputs.shape), dtype=self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config() | {"pads": self.pads, "ceil": self.ceil, "count": self.count}
        return {key: value for key, value in config.items() if key != "padding"}


@register
class StridedDepthwiseConv2D(keras.layers.DepthwiseConv2D):
    """A depthwise convolution whose strides differ: all positions, of which some are kept."""

    def call(self, inputs: Any) -> Any:
        x = ops.depthwise_conv(inputs, self.kernel, 1, "valid", dilation_rate=self.dilation_rate)
        x = x[:, :: self.strides[0], :: self.strides[1]]
        return x + ops.reshape(self.bias, (1, 1, 1, -1)) if self.use_bias else x


@register
class MatMul(keras.layers.Layer):
    """A product of two matrices that both depend on the image."""

    def call(self, inputs: Any) -> Any:
        return ops.matmul(*inputs)


@register
class Part(keras.layers.Layer):
    """A slice of an axis."""

    def __init__(self, axis: int, start: int, stop: int | None, step: int, **options: Any) -> None:
        super().__init__(**options)
        self.axis, self.start, self.stop, self.step = axis, start, stop, step

    def call(self, inputs: Any) -> Any:
        return inputs[(slice(None),) * self.axis + (slice(self.start, self.stop, self.step),)]

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "axis": self.axis,
            "start": self.start,
            "stop": self.stop,
            "step": self.step,
        }


@register
class OneSize(keras.layers.Layer):
    """The identity, of a map of one size only: what follows was computed for it."""

    def __init__(self, shape: Sequence[int | None], **options: Any) -> None:
        super().__init__(**options)
        self.shape = tuple(shape)

    def call(self, inputs: Any) -> Any:
        if tuple(inputs.shape)[1:] != self.shape:
            raise ValueError(f"{self.name}: got a map of {tuple(inputs.shape)[1:]}, expected {self.shape}")
        return inputs

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"shape": self.shape}


@register
class Function(keras.layers.Layer):
    """A function of keras.ops, with numbers."""

    def __init__(self, function: str, options: dict[str, Any] | None = None, **more: Any) -> None:
        super().__init__(**more)
        self.function, self.options = function, options or {}

    def call(self, inputs: Any) -> Any:
        values = inputs if isinstance(inputs, list | tuple) else [inputs]
        return getattr(ops, self.function)(*values, **self.options)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"function": self.function, "options": self.options}


@register
class Standardization(keras.layers.Layer):
    """Mean 0 and variance 1 over some axes."""

    def __init__(self, axes: Sequence[int], epsilon: float, **options: Any) -> None:
        super().__init__(**options)
        self.axes, self.epsilon = list(axes), epsilon

    def call(self, inputs: Any) -> Any:
        mean, variance = ops.moments(inputs, axes=self.axes, keepdims=True)
        return (inputs - mean) * ops.rsqrt(variance + self.epsilon)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"axes": self.axes, "epsilon": self.epsilon}


@register
class FunctionOfConstant(keras.layers.Layer):
    """A function of keras.ops of a tensor and a constant."""

    def __init__(self, function: str, shape: Sequence[int], first: bool, **options: Any) -> None:
        super().__init__(trainable=False, **options)
        self.function, self.shape, self.first = function, tuple(shape), first

    def build(self, input_shape: Any) -> None:
        self.constant = self.add_weight(shape=self.shape, initializer="zeros", name="constant")

    def call(self, inputs: Any) -> Any:
        constant = ops.convert_to_tensor(self.constant)
        pair = (constant, inputs) if self.first else (inputs, constant)
        return getattr(ops, self.function)(*pair)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"function": self.function, "shape": self.shape, "first": self.first}


@register
class HardSigmoid(keras.layers.Layer):
    """clip(alpha x + beta, 0, 1), where Keras' own has alpha 1/6 and beta 1/2."""

    def __init__(self, alpha: float, beta: float, **options: Any) -> None:
        super().__init__(**options)
        self.alpha, self.beta = alpha, beta

    def call(self, inputs: Any) -> Any:
        return ops.clip(inputs * self.alpha + self.beta, 0.0, 1.0)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"alpha": self.alpha, "beta": self.beta}


@register
class Gelu(keras.layers.Layer):
    """The approximation of GELU by a tanh, or GELU."""

    def __init__(self, approximate: bool, **options: Any) -> None:
        super().__init__(**options)
        self.approximate = approximate

    def call(self, inputs: Any) -> Any:
        return ops.gelu(inputs, approximate=self.approximate)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"approximate": self.approximate}


@register
class LogSoftmax(keras.layers.Layer):
    """The logarithm of a softmax over some axes."""

    def __init__(self, axes: Sequence[int], **options: Any) -> None:
        super().__init__(**options)
        self.axes = list(axes)

    def call(self, inputs: Any) -> Any:
        return inputs - ops.logsumexp(inputs, axis=self.axes, keepdims=True)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"axes": self.axes}
