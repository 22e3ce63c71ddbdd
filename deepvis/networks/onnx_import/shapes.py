"""ONNX's changes of shape, joins, parts and sizes -> views of `Value`, or Keras layers where data move."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from deepvis.networks.onnx_import import layers, layouts, windows
from deepvis.networks.onnx_import.calls import Call, Operator, weighted
from deepvis.networks.onnx_import.layouts import Value

of = keras.layers


def identity(call: Call) -> Value:
    return call.value()


def cast(call: Call) -> Value:
    call.refuse_unless(
        call.get("to") in (1, 10, 11, 16), "to a type that is not a float; expected floats throughout"
    )
    return call.value()


def transpose(call: Call) -> Value:
    value = call.value()
    return layouts.transposed(value, call.get("perm", range(value.rank)[::-1]))


def reshape(call: Call) -> Value:
    value, dims = call.value(), call.numbers("shape", 1) or []
    if not call.get("allowzero", 0):
        dims = [value.shape[k] if dim == 0 else dim for k, dim in enumerate(dims)]
    if -1 in dims:
        known = math.prod(dim for dim in dims if dim != -1)
        dims = [math.prod(value.shape) // known if dim == -1 else dim for dim in dims]
    return layouts.reshaped(value, dims, call.aside)


def flatten(call: Call) -> Value:
    value, axis = call.value(), call.get("axis", 1)
    axis = value.axis(axis) if axis < 0 else axis
    return layouts.reshaped(value, [math.prod(value.shape[:axis]), math.prod(value.shape[axis:])], call.aside)


def squeeze(call: Call) -> Value:
    value, axes = call.value(), call.numbers("axes", 1)
    if axes is None:
        axes = [k for k, group in enumerate(value.view) if value.shape[k] == 1 and 0 not in group]
    gone = {value.axis(axis) for axis in axes}
    call.refuse_unless(
        all(value.shape[k] == 1 and 0 not in value.view[k] for k in gone),
        f"axes {axes} of {list(value.shape)}",
    )
    return Value(value.tensor, tuple(group for k, group in enumerate(value.view) if k not in gone))


def unsqueeze(call: Call) -> Value:
    value, axes = call.value(), call.numbers("axes", 1) or []
    new = {axis % (value.rank + len(axes)) for axis in axes}
    groups = iter(value.view)
    return Value(value.tensor, tuple(() if k in new else next(groups) for k in range(value.rank + len(axes))))


def expand(call: Call) -> Value:
    value, dims = call.value(), call.numbers("shape", 1) or []
    shape = np.broadcast_shapes(value.shape, tuple(dims))
    call.refuse_unless(shape == value.shape, f"{list(value.shape)} to {list(shape)}")
    return value


def concat(call: Call) -> Value:
    values = [each for each in call.arguments if isinstance(each, Value)]
    axis = values[0].axis(call.get("axis"))
    if len(values) == len(call.arguments):
        return joined(values, axis, call)
    call.refuse_unless(len(values) == 1 and len(call.arguments) == 2, "several constants")
    value = layouts.arranged(values[0], layouts.stored_order(values[0]), call.aside)
    constant = next(each for each in call.arguments if isinstance(each, np.ndarray))
    first = isinstance(call.arguments[0], np.ndarray)
    constant = constant.transpose(layouts.stored_order(value))
    call.refuse_unless(
        constant.shape[0] == 1, f"a constant {list(constant.shape)} that differs from image to image"
    )
    layer = layers.WithConstant(constant.shape, value.view[axis][0], first, name=call.name)
    return Value(weighted(layer, value.tensor, [constant]), value.view)


def joined(values: Sequence[Value], axis: int, call: Call) -> Value:
    """Tensors one after the other along an axis of ONNX."""
    alike = len({each.view for each in values}) == 1 and len({len(each.sizes) for each in values}) == 1
    if not alike or len(values[0].view[axis]) != 1:
        order = layouts.stored_order(max(values, key=lambda each: math.prod(each.shape)))
        values = [layouts.arranged(each, order, call.aside) for each in values]
    (stored,) = values[0].view[axis]
    call.refuse_unless(stored != 0, "along the batch")
    layer = of.Concatenate(axis=stored, name=call.name)
    return Value(
        layer([each.tensor for each in values]) if len(values) > 1 else values[0].tensor, values[0].view
    )


def part(call: Call, value: Value, axis: int, start: int, stop: int, step: int = 1) -> Value:
    """A slice along an axis of ONNX."""
    size = value.shape[axis]
    if (start, stop, step) == (0, size, 1):
        return value
    call.refuse_unless(0 not in value.view[axis], "a part of the batch")
    value = layouts.single(value, [axis], call.aside)
    layer = layers.Part(value.view[axis][0], start, stop, step, name=call.aside("part"))
    return Value(layer(value.tensor), value.view)


def slices(call: Call) -> Value:
    value, starts, stops = call.value(), call.numbers("starts", 1) or [], call.numbers("ends", 2) or []
    axes = call.numbers("axes", 3) or list(range(len(starts)))
    steps = call.numbers("steps", 4) or [1] * len(axes)
    for axis, start, stop, step in zip(axes, starts, stops, steps, strict=True):
        call.refuse_unless(step > 0, f"steps={steps}")
        axis = value.axis(axis)
        begin, end, step = slice(start, stop, step).indices(value.shape[axis])
        value = part(call, value, axis, begin, end, step)
    return value


def split(call: Call) -> list[Value]:
    value = call.value()
    axis, count = value.axis(call.get("axis", 0)), len(call.node.outputs)
    size = value.shape[axis]
    sizes = call.numbers("split", 1)
    if sizes is None:
        each = -(-size // count)
        sizes = [each] * (count - 1) + [size - each * (count - 1)]
    ends = np.cumsum(sizes).tolist()
    return [part(call, value, axis, end - size, end) for size, end in zip(sizes, ends, strict=True)]


def gather(call: Call) -> Value:
    value, indices = call.value(), call.constant(1)
    axis = value.axis(call.get("axis", 0))
    chosen = np.ravel(indices) % value.shape[axis]
    if np.array_equal(chosen, np.arange(chosen[0], chosen[0] + len(chosen))):
        value = part(call, value, axis, int(chosen[0]), int(chosen[-1]) + 1)
    else:
        call.refuse_unless(0 not in value.view[axis], "images chosen from the batch")
        value = layouts.single(value, [axis], call.aside)
        options = {"indices": chosen.tolist(), "axis": value.view[axis][0]}
        value = Value(layers.Function("take", options, name=call.name)(value.tensor), value.view)
    if indices.ndim:
        dims = (*value.shape[:axis], *indices.shape, *value.shape[axis + 1 :])
        return layouts.reshaped(value, dims, call.aside)
    call.refuse_unless(0 not in value.view[axis], "one image of the batch")
    return Value(value.tensor, value.view[:axis] + value.view[axis + 1 :])


def pad(call: Call) -> Value:
    value, pads = call.value(), call.numbers("pads", 1) or []
    mode = call.get("mode", "constant")
    fill = float(call.setting("value", 2, 0.0))
    axes = [value.axis(axis) for axis in call.numbers("axes", 3) or range(value.rank)]
    pairs = [[0, 0] for _ in range(value.rank)]
    for position, axis in enumerate(axes):
        pairs[axis] = [pads[position], pads[position + len(axes)]]
    if not any(map(any, pairs)):
        return value
    call.refuse_unless(
        mode in ("constant", "reflect") and min(map(min, pairs)) >= 0, f"mode={mode}, pads={pads}"
    )
    value = layouts.arranged(value, layouts.stored_order(value), call.aside)
    stored: Any = [(0, 0)] * value.rank
    for axis, pair in enumerate(pairs):
        stored[value.view[axis][0]] = tuple(pair)
    call.refuse_unless(stored[0] == (0, 0), "of the batch")
    if value.rank == 4 and stored[3] == (0, 0):
        plain = mode == "constant" and fill == 0
        layer = (
            of.ZeroPadding2D(stored[1:3], name=call.name)
            if plain
            else windows.Padding2D(stored[1:3], fill, mode, name=call.name)
        )
    else:
        options = {"pad_width": [list(each) for each in stored], "mode": mode}
        options |= {"constant_values": fill} if mode == "constant" else {}
        layer = layers.Function("pad", options, name=call.name)
    return Value(layer(value.tensor), value.view)


def resize(call: Call) -> Value:
    value = call.value()
    call.refuse_unless(value.rank == 4, f"of {list(value.shape)}")
    newer = call.node.op == "Resize" and call.opset >= 11
    scales = call.setting("scales", 2 if newer else 1)
    sizes = call.constant(3) if newer else None
    before = np.array(value.shape)
    call.refuse_unless("axes" not in call.node.attributes, "axes")
    if sizes is not None and sizes.size:
        after = np.asarray(sizes)
    else:
        after = np.floor(before * np.asarray(scales, np.float64) + 1e-6).astype(int)
    call.refuse_unless(list(after[:2]) == list(before[:2]), "of the batch or of channels")
    mode = {"nearest": "nearest", "linear": "bilinear"}.get(call.get("mode", "nearest"), "")
    where = call.get("coordinate_transformation_mode", "half_pixel" if newer else "asymmetric")
    factor = after[2:] // before[2:]
    whole = (factor * before[2:] == after[2:]).all()
    smooth = mode == "bilinear" and where in ("half_pixel", "pytorch_half_pixel") and min(after[2:]) > 1
    round_down = call.get("nearest_mode", "round_prefer_floor") == "floor" if newer else True
    steps = (
        mode == "nearest"
        and whole
        and ((where == "asymmetric" and round_down) or (where == "half_pixel" and not round_down))
    )
    call.refuse_unless(steps or smooth, f"mode={call.get('mode')}, {where}, {list(before)} to {list(after)}")
    value = layouts.arranged(value, (0, 2, 3, 1), call.aside)
    if whole:
        layer = of.UpSampling2D([int(each) for each in factor], interpolation=mode, name=call.name)
        return layouts.image(layer(value.tensor))
    once = layers.OneSize(value.sizes[1:], name=call.aside("size"))
    layer = of.Resizing(*(int(each) for each in after[2:]), interpolation=mode, name=call.name)
    return layouts.image(layer(once(value.tensor)))


def depth_to_space(call: Call) -> Value:
    value, block = call.value(), call.get("blocksize")
    n, c, h, w = value.shape
    rest = c // block**2
    if call.get("mode", "DCR") == "DCR":
        value = layouts.reshaped(value, [n, block, block, rest, h, w], call.aside)
        value = layouts.transposed(value, [0, 3, 4, 1, 5, 2])
    else:
        value = layouts.reshaped(value, [n, rest, block, block, h, w], call.aside)
        value = layouts.transposed(value, [0, 1, 4, 2, 5, 3])
    return layouts.reshaped(value, [n, rest, h * block, w * block], call.aside)


def space_to_depth(call: Call) -> Value:
    value, block = call.value(), call.get("blocksize")
    n, c, h, w = value.shape
    value = layouts.reshaped(value, [n, c, h // block, block, w // block, block], call.aside)
    value = layouts.transposed(value, [0, 3, 5, 1, 2, 4])
    return layouts.reshaped(value, [n, c * block**2, h // block, w // block], call.aside)


OPERATORS: dict[str, Operator] = {
    "Identity": identity, "Dropout": identity, "Cast": cast, "CastLike": identity,
    "Transpose": transpose, "Reshape": reshape,
    "Flatten": flatten, "Squeeze": squeeze, "Unsqueeze": unsqueeze, "Expand": expand, "Concat": concat,
    "Slice": slices, "Split": split, "Gather": gather, "Pad": pad, "Resize": resize, "Upsample": resize,
    "DepthToSpace": depth_to_space, "SpaceToDepth": space_to_depth,
}  # fmt: skip
