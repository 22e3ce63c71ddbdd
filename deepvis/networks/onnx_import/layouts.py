"""`Value`: a Keras tensor and how an ONNX tensor's axes lie in it; most changes of layout then cost nothing.

A transposition, and a reshape that joins axes, only change the `view`. A reshape that splits an axis splits
it where it lies. The batch is always the first axis of the Keras tensor, wherever ONNX has it, and is 1.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from deepvis.networks.onnx_import import layers

Axes = tuple[int, ...]


class LayoutError(Exception):
    """What cannot be laid out; the message says why."""


@dataclass(frozen=True)
class Value:
    """A tensor on its way through the network."""

    tensor: Any  # KerasTensor [batch, ...]
    view: tuple[Axes, ...]  # an axis of ONNX -> the axes of the tensor that it joins, outermost first; (): 1

    @property
    def sizes(self) -> tuple[int, ...]:
        """Of the tensor's axes; the batch is 1."""
        return tuple(each or 1 for each in self.tensor.shape)

    @property
    def shape(self) -> tuple[int, ...]:
        """As ONNX has it, for one image."""
        return tuple(math.prod(self.sizes[axis] for axis in group) for group in self.view)

    @property
    def rank(self) -> int:
        """As ONNX has it."""
        return len(self.view)

    def axis(self, axis: int) -> int:
        """An axis of ONNX, counted from the first."""
        return axis % self.rank


Namer = Callable[[str], str]  # what a layer does -> its name


def image(tensor: Any) -> Value:
    """A tensor [B, H, W, C] that ONNX has as [B, C, H, W]."""
    return Value(tensor, ((0,), (3,), (1,), (2,)))


def plain(tensor: Any) -> Value:
    """A tensor that lies as ONNX has it."""
    return Value(tensor, tuple((axis,) for axis in range(len(tensor.shape))))


def transposed(value: Value, perm: Sequence[int]) -> Value:
    """With its axes in another order."""
    return Value(value.tensor, tuple(value.view[axis] for axis in perm))


def reshaped(value: Value, dims: Sequence[int], namer: Namer) -> Value:
    """With other dimensions.

    Args:
      value: any.
      dims: as ONNX has them, all known, of one image.
      namer: see `Namer`.

    Raises:
      LayoutError: a dimension of the result is made of parts of two.
    """
    if tuple(dims) == value.shape:
        return value
    if math.prod(dims) != math.prod(value.shape):
        raise LayoutError(f"{list(value.shape)} does not become {list(dims)}")
    tensor, view = value.tensor, list(value.view)
    parts = [axis for group in view for axis in group if axis == 0 or value.sizes[axis] > 1]
    result: list[list[int]] = []
    for dim in dims:
        group: list[int] = []
        rest = dim
        while parts:
            if parts[0] == 0:  # the batch is the outermost part of what it is in
                if group:
                    break
                group.append(parts.pop(0))
                if dim == 1:
                    break
                continue
            if rest == 1:
                break
            axis, size = parts[0], tensor.shape[parts[0]]
            if rest % size == 0:
                group.append(parts.pop(0))
                rest //= size
                continue
            if size % rest:
                raise LayoutError(f"{list(value.shape)} to {list(dims)} mixes two dimensions")
            tensor = layers.SplitAxis(axis, rest, name=namer("split"))(tensor)
            parts = [each + (each > axis) for each in parts]
            result = [[each + (each > axis) for each in one] for one in result]
            group = [each + (each > axis) for each in group]
            parts.insert(1, axis + 1)
            group.append(parts.pop(0))
            rest = 1
        result.append(group)
    if parts and parts != [0]:
        raise LayoutError(f"{list(value.shape)} to {list(dims)} mixes two dimensions")
    if parts:
        result[-1].append(0)
    return Value(tensor, tuple(tuple(group) for group in result))


def arranged(value: Value, order: Sequence[int], namer: Namer) -> Value:
    """With a tensor whose axes are those of ONNX, each whole, in an order that begins with the batch.

    Args:
      value: any whose batch is an axis of ONNX on its own.
      order: all axes of ONNX.
      namer: see `Namer`.

    Raises:
      LayoutError: the batch is joined to another axis or is not first in the order.
    """
    if value.view[order[0]] != (0,):
        raise LayoutError(f"axis {order[0]} of {list(value.shape)} is not the batch")
    return _laid(value, [value.view[axis] for axis in order], order, namer)


def _laid(value: Value, groups: Sequence[Axes], order: Sequence[int], namer: Namer) -> Value:
    flat = [axis for group in groups for axis in group]
    loose = [axis for axis in range(len(value.sizes)) if axis not in flat]  # of size 1
    tensor = value.tensor
    if flat != sorted(flat):
        tensor = keras.layers.Permute((flat + loose)[1:], name=namer("permute"))(tensor)
        place = {axis: position for position, axis in enumerate(flat + loose)}
        groups = [tuple(place[axis] for axis in group) for group in groups]
    if loose or any(len(group) != 1 for group in groups):
        tensor = layers.JoinAxes(groups, name=namer("join"))(tensor)
    view: list[Axes] = [()] * len(order)
    for position, axis in enumerate(order):
        view[axis] = (position,)
    return Value(tensor, tuple(view))


def ending(value: Value, last: Sequence[int], namer: Namer) -> Value:
    """With a tensor that ends in some axes of ONNX, each whole; the others lie as they like.

    Args:
      value: any.
      last: axes of ONNX, without the batch.
      namer: see `Namer`.
    """
    value = without_batch(value, last)
    count = len(value.sizes)
    if [value.view[axis] for axis in last] == [(count - len(last) + k,) for k in range(len(last))]:
        return value
    others = [axis for group in (value.view[a] for a in range(value.rank) if a not in last) for axis in group]
    lead = [0, *(axis for axis in others if axis != 0)]
    groups = [(axis,) for axis in lead] + [value.view[axis] for axis in last]
    laid = _laid(value, groups, range(len(groups)), namer)
    place = {axis: position for position, axis in enumerate(lead)}
    view = [() if k in last else tuple(place[a] for a in group) for k, group in enumerate(value.view)]
    for position, axis in enumerate(last):
        view[axis] = (len(lead) + position,)
    return Value(laid.tensor, tuple(view))


def aligned(values: Sequence[Value], namer: Namer) -> list[Value]:
    """Values of one rank whose tensors lie alike, so that they broadcast as ONNX has them broadcast."""
    rank = max(each.rank for each in values)
    ranked = [Value(each.tensor, ((),) * (rank - each.rank) + each.view) for each in values]
    if len({_batch(each) for each in ranked}) > 1:
        raise LayoutError("the batch is not the same axis in all of them")
    if len({each.view for each in ranked}) == 1 and len({len(each.sizes) for each in ranked}) == 1:
        return ranked
    order = stored_order(max(ranked, key=lambda each: math.prod(each.shape)))
    return [arranged(each, order, namer) for each in ranked]


def stored_order(value: Value) -> list[int]:
    """The axes of ONNX as they lie in the tensor."""
    return sorted(range(value.rank), key=lambda axis: value.view[axis][:1] or (len(value.sizes),))


def fitted(constant: np.ndarray, value: Value, namer: Namer) -> tuple[np.ndarray, Value]:
    """A constant laid out as a tensor is, so that the two broadcast as ONNX has them broadcast."""
    rank = max(constant.ndim, value.rank)
    value = Value(value.tensor, ((),) * (rank - value.rank) + value.view)
    constant = constant.reshape((1,) * (rank - constant.ndim) + constant.shape)
    if any(size not in (1, own) for size, own in zip(constant.shape, value.shape, strict=True)):
        value = arranged(value, stored_order(value), namer)
    if constant.shape[_batch(value)] != 1:
        raise LayoutError(f"a constant {list(constant.shape)} that differs from image to image")
    flat = [axis for group in value.view for axis in group]
    if any(size != 1 and not group for size, group in zip(constant.shape, value.view, strict=True)):
        raise LayoutError(f"{list(constant.shape)} and {list(value.shape)} do not broadcast")
    shape = []
    for size, group in zip(constant.shape, value.view, strict=True):
        if size == 1:
            shape += [1] * len(group)
        else:
            shape += [size] if len(group) == 1 else [value.sizes[axis] for axis in group]
    laid = constant.reshape(shape).transpose(np.argsort(flat))
    loose = [axis for axis in range(len(value.sizes)) if axis not in flat]
    return np.expand_dims(laid, loose), value


def _batch(value: Value) -> int:
    return next(axis for axis, group in enumerate(value.view) if 0 in group)


def without_batch(value: Value, axes: Sequence[int]) -> Value:
    """With the batch in none of some axes of ONNX; the order of all numbers stays.

    [5, B x 768] is [5 x B, 768] too: a graph for a batch of 1 does not say which.

    Raises:
      LayoutError: an operation over these axes mixes images.
    """
    view, at = list(value.view), _batch(value)
    while at in axes and at > 0 and view[at][0] == 0:
        view[at], view[at - 1] = view[at][1:], (*view[at - 1], 0)
        at -= 1
    if at in axes:
        raise LayoutError(f"axis {at} of {list(value.shape)} holds the batch, so images would be mixed")
    return Value(value.tensor, tuple(view))


def led(value: Value, namer: Namer) -> Value:
    """With a tensor whose leading axes lie in the order of ONNX, the batch first; the last two stay last."""
    count = len(value.sizes)
    lead = [axis for group in value.view[:-2] for axis in group]
    order = [0, *(axis for axis in lead if axis != 0)]
    groups = [(axis,) for axis in [*order, count - 2, count - 1]]
    laid = _laid(value, groups, range(len(groups)), namer)
    place = {axis: position for position, axis in enumerate([*order, count - 2, count - 1])}
    return Value(laid.tensor, tuple(tuple(place[axis] for axis in group) for group in value.view))


def single(value: Value, axes: Sequence[int], namer: Namer) -> Value:
    """With each of some axes of ONNX an axis of the tensor."""
    if all(len(value.view[axis]) == 1 for axis in axes):
        return value
    return arranged(value, stored_order(value), namer)
