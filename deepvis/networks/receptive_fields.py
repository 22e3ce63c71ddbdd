"""How large a network's maps are, and how much of the image a unit sees: `Graph` -> {layer: Layer}.

Arithmetic over kernel, stride, dilation and padding (Araujo, Norris and Sim 2019, "Computing Receptive Fields
of Convolutional Neural Networks", Distill), for square images of all sizes at once. What a layer of unknown
code does to the size of a map is asked of Keras at some sizes; `open_graph.map_size` tells if one size fits.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import keras
import numpy as np

from deepvis.networks import keras_taps, token_places
from deepvis.networks.base import Layer
from deepvis.networks.keras_graph import Call, Graph
from deepvis.networks.layer_kinds import families, is_activation
from deepvis.networks.onnx_import.layers import FunctionOfConstant, ScaleOffset

SIDES = 1024  # px; larger images allow whatever this one does
SMALL, ASKED = 16, 12  # maps for which Keras is asked what a layer of unknown code gives: px, larger ones
POINTWISE = {
    "Dense", "EinsumDense", "BatchNormalization", "BaseDropout", "Dropout", "SpatialDropout2D",
    "GaussianNoise", "GaussianDropout", "AlphaDropout", "ActivityRegularization", "Identity", "Rescaling",
    "Normalization", "LayerScale", "CustomScaleLayer", "StochasticDepth", "Merge",
}  # fmt: skip
CONVOLUTIONS = {"BaseConv", "BaseDepthwiseConv", "BaseSeparableConv"}


class Extent(NamedTuple):
    """A value on its way through the network, by axis: height, width."""

    sides: np.ndarray  # [2, S] px of its map for images of 1, 2 ... S px; 0: there is none
    stride: np.ndarray  # [2] px of the image from one of its units to the next; 0: it is no map
    field: np.ndarray  # [2] px of the image that a unit sees; infinite: all
    fixed: bool = False  # only the size that the network was made for will do


def table(graph: Graph, image: str) -> dict[str, Layer]:
    """The layers that have channels and can be reached, by name, in the order of their calls.

    Args:
      graph: of the network.
      image: name of the input that is the image.
    """
    made_for = tuple(graph.inputs[image].shape[1:3])
    layers: dict[str, Layer] = {}
    for call, out in _extents(graph, image):
        reached = np.flatnonzero(out.sides.min(axis=0))
        channels = call.output_shape[-1] if call.output_shape else None
        smallest = max(made_for) if out.fixed else int(reached[0]) + 1 if len(reached) else None
        if call.name in layers or channels is None or smallest is None or _refusal(graph, call):
            continue
        stride, field = out.stride if len(call.output_shape) > 2 else np.zeros(2), out.field.max()
        whole = (stride >= 1).all() and (stride == stride.astype(int)).all()
        layers[call.name] = Layer(
            name=call.name,
            kind=_kind(call.layer),
            channels=int(channels),
            stride=(int(stride[0]), int(stride[1])) if whole else None,
            field=int(field) if np.isfinite(field) else None,
            smallest=smallest,
            exactly=made_for if out.fixed else None,
            pre_activation=keras_taps.tap(graph, call.name).has_pre_activation,
        )
    return layers


def refusals(graph: Graph) -> Mapping[str, str]:
    """The layers that cannot be visualized, and why."""
    found = ((call.name, _refusal(graph, call)) for call in graph.calls)
    return {name: why for name, why in found if why}


def _refusal(graph: Graph, call: Call) -> str | None:
    shape = call.output_shape
    if len(call.keys) > 1:
        return f"it gives a dict of {', '.join(call.keys)}, expected one map; choose the layer that reads it"
    if not shape or shape[-1] is None:
        return "a layer without channels" if len(shape) < 2 else f"channels that depend on the image, {shape}"
    if not str(call.outputs[0].dtype).startswith(("float", "bfloat")):
        return f"values of type {call.outputs[0].dtype}, which have no gradient"
    if shape[0] is not None and all(tensor.shape[0] is None for tensor in graph.inputs.values()):
        return f"{shape}: its first axis is not the batch"
    if len(shape) == 3 and keras_taps.tap(graph, call.name).places is None:
        return f"{shape} is no map of the image: its places are neither pixels nor patches"
    if len(shape) not in (2, 3, 4):
        return f"got {shape}, expected (None, h, w, channels), (None, tokens, channels) or (None, channels)"
    return None


def _extents(graph: Graph, image: str) -> Iterator[tuple[Call, Extent]]:
    """Each call and what comes of it."""
    made_for = tuple(graph.inputs[image].shape[1:3])
    most = max(SIDES, *(each or 0 for each in made_for))
    sides = np.tile(np.arange(1, most + 1), (2, 1))
    at = {
        id(tensor): Extent(sides, np.ones(2), np.ones(2)) if name == image else _held(tensor.shape, most)
        for name, tensor in graph.inputs.items()
    }
    patches = {key: places.patch for key, places in token_places.of_graph(graph).items()}
    for call in graph.calls:
        inputs = [at[id(tensor)] for tensor in call.inputs if id(tensor) in at]
        out = _through(call, inputs or [_held(call.output_shape, most)])
        patch = patches.get(id(call.outputs[0]), 1) if call.outputs else 1
        if patch > 1 and all(patches.get(id(each), 0) < 1 for each in call.inputs):
            out = out._replace(stride=out.stride * patch, sides=out.sides // patch)
        if not out.sides.all(axis=0).any():  # such as above a model that takes one size
            out = out._replace(sides=np.maximum(out.sides, 1), fixed=True)
        if out.fixed and None in made_for:
            out = out._replace(fixed=False)  # it takes some sizes; which, is found when one is asked for
        elif out.fixed:
            allowed = sides == np.array([[each or 0] for each in made_for])
            out = out._replace(sides=np.where(out.sides > 0, out.sides, 1) * allowed)
        at |= {id(tensor): out for tensor in call.outputs}
        yield call, out


def _held(shape: Any, most: int) -> Extent:
    """Of an input that is not the image, or of a constant."""
    sides = np.array([[each or 1] for each in shape[1:3]] if len(shape) == 4 else [[1], [1]])
    return Extent(sides.repeat(most, axis=1), np.zeros(2), np.zeros(2))


def _through(call: Call, inputs: list[Extent]) -> Extent:
    """What a layer makes of what it reads."""
    layer, classes = call.layer, families(call.layer)
    shapes, own, one = call.input_shapes, call.output_shape, _joined(inputs)
    if classes & CONVOLUTIONS:
        return _window(one, layer.kernel_size, layer.strides, layer.dilation_rate, layer.padding)
    if "BasePooling" in classes:
        return _window(one, layer.pool_size, layer.strides, 1, layer.padding)
    if "BaseConvTranspose" in classes:
        return _transposed(one, layer)
    if classes & {"ZeroPadding2D", "Cropping2D"}:
        more = np.array(layer.padding if "ZeroPadding2D" in classes else layer.cropping).sum(axis=1)[:, None]
        more = more if "ZeroPadding2D" in classes else -more
        return one._replace(sides=np.where(one.sides > 0, np.maximum(one.sides + more, 0), 0))
    if "UpSampling2D" in classes:
        size = np.array(layer.size)
        reach = 0 if layer.interpolation == "nearest" else one.stride
        return one._replace(
            sides=one.sides * size[:, None], stride=one.stride / size, field=one.field + reach
        )
    if "PReLU" in classes and any(n != 1 for n in layer.alpha.shape[:-1]):
        return one._replace(fixed=not _is_constant(one))  # a weight for each place
    same = own[1:-1] == max(shapes, key=_pixels)[1:-1] if shapes else True
    known = bool(classes)
    maps = len(own) == 4 and all(len(shape) == 4 for shape in shapes)
    if maps and same and isinstance(layer, FunctionOfConstant | ScaleOffset):
        by_place = any(n != 1 for n in layer.shape[1:-1]) and not _is_constant(one)
        return one._replace(fixed=one.fixed or by_place)
    if maps and "Concatenate" in classes:
        return _joined(inputs, alike=True) if layer.axis in (-1, 3) else _asked(call, inputs, one)
    if known and "Layer" not in classes and maps and None in own:  # Keras says no size: it is asked for one
        same = all(_asked_at(call, [each.sides[:, k] for each in inputs]) == tuple(one.sides[:, k])
                   for k in (one.sides.shape[1] // 2, -1))  # fmt: skip
    if (
        classes & POINTWISE
        or (is_activation(layer) and known)
        or ("LayerNormalization" in classes and layer.axis in (-1, [-1], [len(own) - 1], len(own) - 1))
        or (known and "Layer" not in classes and same and len(own) == 4)  # an operation, such as a sum
    ):
        return one
    if (len(own) == 2 and shapes and len(shapes[0]) == 4 and "Flatten" not in classes) or own[1:-1] == (1, 1):
        return _whole(one)
    if not one.stride.any():  # a vector stays one, however it is laid out
        return one
    everything = np.full(2, np.inf)
    if maps:
        return _asked(call, inputs, one)
    if len(own) == 3:  # tokens: attention sees all of them
        return one._replace(field=everything, fixed=False)
    return one._replace(field=everything, fixed=not (same and len(own) == 4) and not _is_constant(one))


def _is_constant(one: Extent) -> bool:
    """Whether a map has one size, whatever the image's."""
    sides = one.sides[:, one.sides.min(axis=0) > 0]
    return bool(sides.size and one.sides.shape[1] - sides.shape[1] < 16 and (sides == sides[:, -1:]).all())


def _asked(call: Call, inputs: list[Extent], one: Extent) -> Extent:
    """Of a layer of unknown code: Keras is asked for small maps and some larger; the others follow a line."""
    maps, place = np.unique(np.concatenate([each.sides for each in inputs]), axis=1, return_inverse=True)
    count = maps.shape[1]
    asked = np.unique([*range(min(SMALL, count)), *np.geomspace(1, count, ASKED).astype(int) - 1])
    sides = np.array([_asked_at(call, list(maps[:, k].reshape(-1, 2))) for k in asked]).T
    if not sides[:, -1].all():  # it takes some sizes only
        before, after = call.input_shapes[0][1:3], call.output_shape[1:3]
        ratio = np.array([a / b if a and b else 1 for a, b in zip(before, after, strict=True)])
        return one._replace(stride=one.stride * np.round(ratio), field=np.full(2, np.inf), fixed=True)
    between = np.stack([np.interp(np.arange(count), asked, axis).astype(int) for axis in sides])
    between = between[:, place.reshape(-1)]
    ratio = one.sides[:, -1] / np.maximum(sides[:, -1], 1)
    larger = np.maximum(np.round(1 / np.maximum(ratio, 1 / SIDES)), 1)
    whole = np.where(ratio >= 1, np.round(ratio), 1 / larger)
    scaled = between.min() != between.max()
    return one._replace(
        sides=between,
        stride=one.stride * whole if scaled else np.zeros(2),
        field=np.full(2, np.inf),
    )


def _asked_at(call: Call, sides: list[np.ndarray]) -> tuple[int, int]:
    if any(side.min() == 0 for side in sides):
        return 0, 0
    resized = {
        id(tensor): keras.KerasTensor((None, int(side[0]), int(side[1]), tensor.shape[-1]), tensor.dtype)
        for tensor, side in zip(call.inputs, sides, strict=True)
    }
    arguments: Any = keras.tree.map_structure(lambda each: resized.get(id(each), each), call.arguments)
    try:
        spec: Any = call.layer.compute_output_spec(*arguments[0], **arguments[1])
        first = keras.tree.flatten(spec)[0]
        shape = tuple(first.shape or ())
    except Exception:  # a user's layer may refuse in any way
        return 0, 0
    return (int(shape[1] or 0), int(shape[2] or 0)) if len(shape) == 4 else (0, 0)


def _window(one: Extent, kernel: Any, stride: Any, dilation: Any, padding: str) -> Extent:
    """Of a convolution or a pooling."""
    kernel, stride, dilation = (np.broadcast_to(np.array(each), 2) for each in (kernel, stride, dilation))
    reach = dilation * (kernel - 1)
    if padding == "same":
        sides = -(-one.sides // stride[:, None])
    else:
        sides = np.maximum((one.sides - reach[:, None] - 1) // stride[:, None] + 1, 0)
    return one._replace(sides=sides, stride=one.stride * stride, field=one.field + reach * one.stride)


def _transposed(one: Extent, layer: Any) -> Extent:
    kernel, stride, dilation = (
        np.broadcast_to(np.array(each), 2) for each in (layer.kernel_size, layer.strides, layer.dilation_rate)
    )
    whole = dilation * (kernel - 1) + 1
    if layer.output_padding is not None:
        border = 2 * (whole // 2) if layer.padding == "same" else 0
        sides = (one.sides - 1) * stride[:, None] + (whole - border + np.array(layer.output_padding))[:, None]
    else:
        more = np.maximum(whole - stride, 0) if layer.padding == "valid" else np.zeros(2, int)
        sides = one.sides * stride[:, None] + more[:, None]
    return one._replace(
        sides=np.where(one.sides > 0, np.maximum(sides, 0), 0),
        stride=one.stride / stride,
        field=one.field + (-(-whole // stride) - 1) * one.stride,
    )


def _whole(one: Extent) -> Extent:
    """A vector that has seen all of the map."""
    return one._replace(
        sides=np.minimum(one.sides, 1).min(axis=0, keepdims=True).repeat(2, axis=0),
        stride=np.zeros(2),
        field=np.full(2, np.inf),
    )


def _joined(inputs: list[Extent], alike: bool = False) -> Extent:
    """Several maps of one size, or, unless alike, of one pixel; the unit that sees most counts."""
    sides = np.max([each.sides for each in inputs], axis=0)
    fits = np.all([(each.sides == sides) | ((each.sides == 1) & (not alike)) for each in inputs], axis=0)
    return Extent(
        sides * fits,
        np.max([each.stride for each in inputs], axis=0),
        np.max([each.field for each in inputs], axis=0),
        any(each.fixed for each in inputs),
    )


def _pixels(shape: tuple[int | None, ...]) -> tuple[int, int]:
    return len(shape), int(np.prod([each or SIDES for each in shape[1:-1]]))


def _kind(layer: Any) -> str:
    """``DepthwiseConv2D`` -> depthwise conv."""
    words = re.sub(r"\dD$", "", type(layer).__name__)
    return re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", " ", words).lower()
