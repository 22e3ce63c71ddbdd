"""ONNX's convolutions, poolings, products with weights and normalizations -> Keras layers."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from deepvis.networks.onnx_import import layers, layouts, windows
from deepvis.networks.onnx_import.calls import Call, Operator, weighted
from deepvis.networks.onnx_import.layouts import Value

of = keras.layers
NHWC = (0, 2, 3, 1)


def maps(call: Call) -> Value:
    """The first input as [B, H, W, C]."""
    value = call.value()
    call.refuse_unless(value.rank == 4, f"its input is {list(value.shape)}, expected [N, C, H, W]")
    return layouts.arranged(value, NHWC, call.aside)


def window(
    call: Call, kernel: Sequence[int], size: Sequence[int]
) -> tuple[list[int], list[int], list[list[int]]]:
    """Strides, dilations, padding of two axes."""
    strides = list(call.get("strides", [1, 1]))
    dilations = list(call.get("dilations", [1, 1]))
    auto = call.get("auto_pad", "NOTSET")
    pads = list(call.get("pads", [0, 0, 0, 0]))
    pairs = [[pads[0], pads[2]], [pads[1], pads[3]]]
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        pairs = []
        for side, width, stride, dilation in zip(size, kernel, strides, dilations, strict=True):
            whole = max((-(-side // stride) - 1) * stride + dilation * (width - 1) + 1 - side, 0)
            less, more = whole // 2, whole - whole // 2
            pairs.append([less, more] if auto == "SAME_UPPER" else [more, less])
    call.refuse_unless(min(map(min, pairs)) >= 0, f"pads={pads}; expected none below 0")
    return strides, dilations, pairs


def padded(call: Call, tensor: Any, pairs: list[list[int]]) -> Any:
    """Zeros around a map."""
    if not any(map(any, pairs)):
        return tensor
    return of.ZeroPadding2D(tuple(map(tuple, pairs)), name=call.aside("pad"))(tensor)


def conv(call: Call) -> Value:
    value, kernel, bias = maps(call), call.constant(1), call.constant(2)
    call.refuse_unless(kernel.ndim == 4, f"a kernel of {kernel.ndim} axes, expected 4")
    strides, dilations, pairs = window(call, kernel.shape[2:], value.sizes[1:3])
    call.refuse_unless(max(strides) == 1 or max(dilations) == 1, "strides and dilations at once")
    group, tensor = call.get("group", 1), padded(call, value.tensor, pairs)
    options: dict[str, Any] = {"use_bias": bias is not None, "name": call.name}
    biases = [] if bias is None else [bias]
    filters, inner = kernel.shape[:2]
    if group > 1 and group == value.sizes[3]:
        options |= {"depth_multiplier": filters // group}
        # [C M, 1, h, w] -> [h, w, C, M]
        arrays = [kernel[:, 0].reshape(group, -1, *kernel.shape[2:]).transpose(2, 3, 0, 1), *biases]
        kind = of.DepthwiseConv2D if strides[0] == strides[1] else windows.StridedDepthwiseConv2D
        layer = kind(kernel.shape[2:], strides, dilation_rate=dilations, **options)
    else:
        call.refuse_unless(
            inner * group == value.sizes[3], f"a kernel for {inner * group} channels, got {value.sizes[3]}"
        )
        arrays = [kernel.transpose(2, 3, 1, 0), *biases]
        layer = of.Conv2D(
            filters, kernel.shape[2:], strides, dilation_rate=dilations, groups=group, **options
        )
    return layouts.image(weighted(layer, tensor, arrays))


def conv_transpose(call: Call) -> Value:
    value, kernel, bias = maps(call), call.constant(1), call.constant(2)
    strides, dilations, pairs = window(call, kernel.shape[2:], value.sizes[1:3])
    plain = call.get("group", 1) == 1 and max(dilations) == 1 and call.get("auto_pad", "NOTSET") == "NOTSET"
    call.refuse_unless(
        plain and "output_shape" not in call.node.attributes, "groups, dilations, auto_pad or output_shape"
    )
    more = call.get("output_padding", [0, 0])
    crop = [[low, high - extra] for (low, high), extra in zip(pairs, more, strict=True)]
    crop = [[low, high + max(width - stride, 0) - (width - stride)] for (low, high), width, stride
            in zip(crop, kernel.shape[2:], strides, strict=True)]  # fmt: skip
    call.refuse_unless(
        min(map(min, crop)) >= 0, f"output_padding={list(more)} that reaches beyond its kernels"
    )
    name = call.aside("whole") if any(map(any, crop)) else call.name
    options = {"use_bias": bias is not None, "name": name}
    layer = of.Conv2DTranspose(kernel.shape[1], kernel.shape[2:], strides, **options)
    tensor = weighted(layer, value.tensor, [kernel.transpose(2, 3, 1, 0), *([] if bias is None else [bias])])
    if any(map(any, crop)):
        tensor = of.Cropping2D(tuple(map(tuple, crop)), name=call.name)(tensor)
    return layouts.image(tensor)


def max_pool(call: Call) -> Value:
    value, kernel = maps(call), list(call.get("kernel_shape"))
    call.refuse_unless(len(call.node.outputs) == 1, "positions of maxima as an output")
    strides, dilations, pairs = window(call, kernel, value.sizes[1:3])
    call.refuse_unless(max(dilations) == 1, f"dilations={dilations}")
    tensor, ceil = value.tensor, bool(call.get("ceil_mode", 0))
    if any(map(any, pairs)) or ceil:
        padding = windows.Padding2D(
            tuple(map(tuple, pairs)),
            float("-inf"),
            ceil=[kernel, strides] if ceil else None,
            name=call.aside("pad"),
        )
        tensor = padding(tensor)
    return layouts.image(of.MaxPooling2D(kernel, strides, name=call.name)(tensor))


def average_pool(call: Call) -> Value:
    value, kernel = maps(call), list(call.get("kernel_shape"))
    strides, dilations, pairs = window(call, kernel, value.sizes[1:3])
    call.refuse_unless(max(dilations) == 1, f"dilations={dilations}")
    ceil, count, outside = (
        bool(call.get("ceil_mode", 0)),
        bool(call.get("count_include_pad", 0)),
        any(map(any, pairs)),
    )
    if ceil or (outside and not count):
        layer = windows.BorderAveragePooling2D(kernel, strides, pairs, ceil, count, name=call.name)
        return layouts.image(layer(value.tensor))
    layer = of.AveragePooling2D(kernel, strides, name=call.name)
    return layouts.image(layer(padded(call, value.tensor, pairs)))


def global_average(call: Call) -> Value:
    return layouts.image(of.GlobalAveragePooling2D(keepdims=True, name=call.name)(maps(call).tensor))


def global_max(call: Call) -> Value:
    return layouts.image(of.GlobalMaxPooling2D(keepdims=True, name=call.name)(maps(call).tensor))


def adaptive_average(call: Call) -> Value:
    """Not of ONNX: what `torch_modules` exports."""
    layer = of.AdaptiveAveragePooling2D(tuple(call.get("size")), name=call.name)
    return layouts.image(layer(maps(call).tensor))


def dense(call: Call) -> Value:
    """Gemm, and a product with a matrix to which a bias is added."""
    value, kernel, bias = call.value(), call.constant(1), call.constant(2)
    call.refuse_unless(not call.get("transA", 0), "transA=1")
    kernel = kernel.T if call.get("transB", 0) else kernel
    kernel = kernel * call.get("alpha", 1.0)
    call.refuse_unless(kernel.ndim == 2 and kernel.shape[0] == value.shape[-1],
                       f"a matrix {list(kernel.shape)} for an input {list(value.shape)}")  # fmt: skip
    biases = (
        [] if bias is None else [np.broadcast_to(np.ravel(bias * call.get("beta", 1.0)), kernel.shape[1])]
    )
    layer = of.Dense(kernel.shape[1], use_bias=bias is not None, name=call.name)
    if value.rank == 2 and len(value.sizes) > 2 and value.view[0] == (0,):
        group = value.view[1]  # ONNX flattens in this order, Keras as they lie: the rows are sorted likewise
        rows = kernel.reshape([value.sizes[axis] for axis in group] + [-1])
        kernel = rows.transpose([*np.argsort(group), len(group)]).reshape(kernel.shape)
        flat = of.Flatten(name=call.aside("flatten"))(value.tensor)
        return layouts.plain(weighted(layer, flat, [kernel, *biases]))
    value = layouts.ending(value, [value.rank - 1], call.aside)
    return Value(weighted(layer, value.tensor, [kernel, *biases]), value.view)


def matmul(call: Call) -> Value:
    if isinstance(call.arguments[1], np.ndarray):
        return dense(call)
    a, b = call.value(0), call.value(1)
    last = [-2, -1]
    a, b = (layouts.ending(each, [each.axis(k) for k in last], call.aside) for each in (a, b))
    if a.view != b.view:
        a, b = (layouts.led(each, call.aside) for each in (a, b))
    call.refuse_unless(
        a.view == b.view and a.sizes[:-2] == b.sizes[:-2], f"{list(a.shape)} by {list(b.shape)}"
    )
    return Value(layers.MatMul(name=call.name)([a.tensor, b.tensor]), a.view)


def batch_norm(call: Call) -> Value:
    value = call.value()
    call.refuse_unless(
        not call.get("training_mode", 0), "training_mode=1; export the network in evaluation mode"
    )
    value = layouts.single(value, [1], call.aside)
    gamma, beta, mean, variance = (call.constant(k) for k in range(1, 5))
    layer = of.BatchNormalization(axis=value.view[1][0], epsilon=call.get("epsilon", 1e-5), name=call.name)
    return Value(weighted(layer, value.tensor, [gamma, beta, mean, variance]), value.view)


def layer_norm(call: Call) -> Value:
    value, scale, bias = call.value(), call.constant(1), call.constant(2)
    axes = list(range(value.axis(call.get("axis", -1)), value.rank))
    value = layouts.without_batch(value, axes)
    scale, value = layouts.fitted(scale, value, call.aside)
    bias, value = (np.zeros_like(scale), value) if bias is None else layouts.fitted(bias, value, call.aside)
    stored: Any = sorted(axis for each in axes for axis in value.view[each])
    layer = of.LayerNormalization(axis=stored, epsilon=call.get("epsilon", 1e-5), name=call.name)
    shape = [value.sizes[axis] for axis in stored]
    return Value(
        weighted(
            layer,
            value.tensor,
            [
                np.broadcast_to(
                    e, [value.sizes[a] if a in stored else 1 for a in range(len(value.sizes))]
                ).reshape(shape)
                for e in (scale, bias)
            ],
        ),
        value.view,
    )


def instance_norm(call: Call) -> Value:
    value = call.value()
    axes = sorted(axis for group in value.view[2:] for axis in group)
    standard = layers.Standardization(axes, call.get("epsilon", 1e-5), name=call.aside("standard"))
    return affine(call, Value(standard(value.tensor), value.view), call.constant(1), call.constant(2))


def affine(call: Call, value: Value, scale: np.ndarray, bias: np.ndarray) -> Value:
    """Times a number of each channel, plus another."""
    shape = (1, -1, *[1] * (value.rank - 2))
    scale, value = layouts.fitted(scale.reshape(shape), value, call.aside)
    bias, value = layouts.fitted(bias.reshape(shape), value, call.aside)
    layer = layers.ScaleOffset(scale.shape, name=call.name)
    return Value(weighted(layer, value.tensor, [scale, bias]), value.view)


def group_norm(call: Call) -> Value:
    value, groups = call.value(), call.get("num_groups")
    scale, bias = call.constant(1), call.constant(2)
    if call.opset < 21:  # of each group, not of each channel
        scale, bias = (np.repeat(each, value.shape[1] // groups) for each in (scale, bias))
    dims = (value.shape[0], groups, value.shape[1] // groups, *value.shape[2:])
    split = layouts.reshaped(value, dims, call.aside)
    axes = sorted(axis for group in split.view[2:] for axis in group)
    standard = layers.Standardization(axes, call.get("epsilon", 1e-5), name=call.aside("standard"))
    whole = layouts.reshaped(Value(standard(split.tensor), split.view), value.shape, call.aside)
    return affine(call, whole, scale, bias)


OPERATORS: dict[str, Operator] = {
    "Conv": conv, "ConvTranspose": conv_transpose, "MaxPool": max_pool, "AveragePool": average_pool,
    "GlobalAveragePool": global_average, "GlobalMaxPool": global_max,
    "deepvis.AdaptiveAveragePool": adaptive_average, "Gemm": dense, "MatMul": matmul,
    "BatchNormalization": batch_norm, "LayerNormalization": layer_norm,
    "InstanceNormalization": instance_norm, "GroupNormalization": group_norm,
}  # fmt: skip
