"""Keras layers for ONNX's padding, poolings and convolutions that Keras has none of; see `layers`."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

register = keras.saving.register_keras_serializable("deepvis")


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
        dilation: Any = self.dilation_rate
        x: Any = ops.depthwise_conv(inputs, self.kernel, 1, "valid", dilation_rate=dilation)
        x = x[:, :: self.strides[0], :: self.strides[1]]
        return x + ops.reshape(self.bias, (1, 1, 1, -1)) if self.use_bias else x
