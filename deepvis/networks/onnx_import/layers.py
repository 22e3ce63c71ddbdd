"""Keras layers for what ONNX computes and Keras has no layer of; all know their shapes at any image size.

Each is a layer of its own right, with a whole ``get_config``, so that Keras can save and copy it.
"""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

register = keras.saving.register_keras_serializable("deepvis")


def images(inputs: Any) -> Any:
    """How many; -1 where nobody knows, so that a reshape never takes numbers of one image for another's."""
    count: Any = ops.shape(inputs)
    return -1 if count[0] is None else count[0]


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
        halves = (self.outer, shape[axis] // self.outer)
        return ops.reshape(inputs, (images(inputs), *shape[1:axis], *halves, *shape[axis + 1 :]))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"axis": self.axis, "outer": self.outer}


@register
class JoinAxes(keras.layers.Layer):
    """Joins axes that follow one another; an empty group is a new axis of 1, one in no group has size 1."""

    def __init__(self, groups: Sequence[Sequence[int]], **options: Any) -> None:
        super().__init__(**options)
        self.groups = [list(group) for group in groups]

    def call(self, inputs: Any) -> Any:
        shape, kept = tuple(inputs.shape), {axis for group in self.groups for axis in group}
        if any(side != 1 for axis, side in enumerate(shape) if axis not in kept):
            raise ValueError(f"{self.name}: got {shape}, expected 1 where an axis is dropped")
        sides = (math.prod(shape[axis] for axis in group) for group in self.groups[1:])
        return ops.reshape(inputs, (images(inputs), *sides))

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
        sides = tuple(input_shape)
        if any(own not in (1, side) for own, side in zip(self.shape[1:], sides[1:], strict=True)):
            raise ValueError(f"{self.name}: got {sides}, expected what fits constants of {self.shape}")
        return sides

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
        images: Any = ops.shape(inputs)
        constant = ops.broadcast_to(self.constant, (images[0], *self.shape[1:]))
        pair = (constant, inputs) if self.first else (inputs, constant)
        return ops.concatenate(pair, axis=self.axis)

    def compute_output_shape(self, input_shape: Any) -> Any:
        shape = list(input_shape)
        pairs = [
            pair
            for axis, pair in enumerate(zip(shape, self.shape, strict=True))
            if axis not in (0, self.axis)
        ]
        if any(side != own for side, own in pairs):
            raise ValueError(f"{self.name}: got {tuple(shape)}, expected what fits constants of {self.shape}")
        shape[self.axis] += self.shape[self.axis]
        return tuple(shape)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"shape": self.shape, "axis": self.axis, "first": self.first}


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
        moments: Any = ops.moments(inputs, axes=self.axes, keepdims=True)
        mean, variance = moments
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
