"""How large a network's maps are, and how much of the image a unit sees: `Flat` -> {layer: Layer}.

Arithmetic over kernel, stride, dilation and padding (Araujo, Norris and Sim 2019, "Computing Receptive Fields
of Convolutional Neural Networks", Distill), for all image sizes at once. Reads Keras' layers and imports
nothing of Keras.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from deepvis.networks.base import Layer
from deepvis.networks.keras_graph import Call, Flat, families, is_activation

SIDES = 1024  # px; larger images allow whatever this one does
POINTWISE = {
    "Dense", "EinsumDense", "BatchNormalization", "BaseDropout", "Dropout", "SpatialDropout2D",
    "GaussianNoise", "GaussianDropout", "AlphaDropout", "ActivityRegularization", "Identity", "Rescaling",
    "Normalization", "BaseImagePreprocessingLayer", "LayerScale", "StochasticDepth", "Merge",
}  # fmt: skip
CONVOLUTIONS = {"BaseConv", "BaseDepthwiseConv", "BaseSeparableConv"}


class Extent(NamedTuple):
    """A value on its way through the network, by axis: height, width."""

    sides: np.ndarray  # [2, S] px of its map for images of 1, 2 ... S px; 0: there is none
    stride: np.ndarray  # [2] px of the image from one of its units to the next; 0: it is no map
    field: np.ndarray  # [2] px of the image that a unit sees; infinite: all
    fixed: bool = False  # only the size that the network was made for will do


def table(network: Flat, shape: tuple[int | None, ...]) -> dict[str, Layer]:
    """The layers that have channels and can be reached.

    Args:
      network: whose image is square, or was when it was made.
      shape: of its input, ``(None, H, W, C)``; H and W may be None.

    Returns:
      Layers by name, in the order of their calls.
    """
    side = shape[1] if shape[1] == shape[2] else None
    layers: dict[str, Layer] = {}
    for call, out in _extents(network, side, SIDES):
        shape_out = call.output_shape
        reached = np.flatnonzero(out.sides.min(axis=0))
        channels = shape_out[-1] if shape_out else None
        if len(shape_out) in (2, 4) and channels is not None and len(reached):
            stride, field = out.stride.max() if len(shape_out) == 4 else 0, out.field.max()
            layers.setdefault(
                call.name,
                Layer(
                    name=call.name,
                    kind=_kind(call.layer),
                    channels=int(channels),
                    stride=int(stride) if stride >= 1 and stride == int(stride) else None,
                    field=int(field) if np.isfinite(field) else None,
                    smallest=int(reached[0]) + 1,
                    exactly=side if out.fixed else None,
                ),
            )
    return layers


def map_size(network: Flat, shape: tuple[int | None, ...], name: str, size: int) -> int:
    """Positions along the shorter side of a layer's map, of an image of so many px; 1 of a vector."""
    square = shape[1] if shape[1] == shape[2] else None
    out = next(out for call, out in _extents(network, square, size) if call.name == name)
    return int(out.sides[:, size - 1].min()) if out.stride.any() else 1


def _extents(network: Flat, side: int | None, most: int) -> Iterator[tuple[Call, Extent]]:
    """Each call and what comes of it, for images of up to so many px."""
    sides = np.tile(np.arange(1, max(most, side or 0) + 1), (2, 1))
    at = {0: Extent(sides, np.ones(2), np.ones(2))}
    for call in network.calls:
        out = _through(call, [at[slot] for slot in call.reads.values()])
        if out.fixed:
            allowed = sides == side if side else np.zeros_like(sides)
            out = out._replace(sides=np.where(out.sides > 0, out.sides, 1) * allowed)
        at |= dict.fromkeys(call.writes, out)
        yield call, out


def _through(call: Call, inputs: list[Extent]) -> Extent:
    """What a layer makes of what it reads."""
    layer, names = call.layer, families(call.layer)
    shapes, own, one = call.input_shapes, call.output_shape, _together(inputs)
    if names & CONVOLUTIONS:
        return _window(one, layer.kernel_size, layer.strides, layer.dilation_rate, layer.padding)
    if "BasePooling" in names:
        return _window(one, layer.pool_size, layer.strides, 1, layer.padding)
    if "BaseConvTranspose" in names:
        return _transposed(one, layer)
    if names & {"ZeroPadding2D", "Cropping2D"}:
        more = np.array(layer.padding if "ZeroPadding2D" in names else layer.cropping).sum(axis=1)[:, None]
        more = more if "ZeroPadding2D" in names else -more
        return one._replace(sides=np.where(one.sides > 0, np.maximum(one.sides + more, 0), 0))
    if "UpSampling2D" in names:
        size = np.array(layer.size)
        reach = 0 if layer.interpolation == "nearest" else one.stride
        return one._replace(
            sides=one.sides * size[:, None], stride=one.stride / size, field=one.field + reach
        )
    same = own == max(shapes, key=_pixels)
    if (
        names & POINTWISE
        or is_activation(layer)
        or ("LayerNormalization" in names and layer.axis in (-1, len(own) - 1))
        or ("Layer" not in names and same)  # an operation, such as a sum
    ):
        return one
    if (len(own) == 2 and len(shapes[0]) == 4 and "Flatten" not in names) or own[1:-1] == (1, 1):
        return _whole(one)
    if not one.stride.any():  # a vector stays one, however it is laid out
        return one
    return one._replace(field=np.full(2, np.inf), fixed=not same)


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


def _together(inputs: list[Extent]) -> Extent:
    """Several maps of one size, or of one pixel; the unit that sees most counts."""
    sides = np.max([each.sides for each in inputs], axis=0)
    fits = np.all([(each.sides == sides) | (each.sides == 1) for each in inputs], axis=0)
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
