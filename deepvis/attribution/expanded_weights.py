r"""Expanded weights: from channels of a lower layer to units of a higher one, all between made linear.

.. math:: w_{b,ija} = \partial \tilde z_b / \partial a_{ija}

with :math:`a` the lower layer behind its nonlinearity, :math:`z_b` the unit in the middle of the higher
layer's map before its own, and :math:`\tilde z` without the ReLUs between (each is the identity) and with the
mean of a window for its maximum. Between adjacent layers that is the kernel itself, of two convolutions the
convolution of their kernels.

Source: Voss et al. 2021, "Visualizing Weights", section "Expanded weights".
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from deepvis.attribution import linear_kernels
from deepvis.attribution.family import weights
from deepvis.config.knobs import REQUIRED, Knob
from deepvis.core.errors import ConfigError
from deepvis.networks.backend import tf
from deepvis.networks.base import Activations, Size

ROUNDING = 1e-4  # of the largest weight: how far the gradients at two images of a linear layer may differ
GRADIENTS = {"Relu": "deepvis_identity", "Relu6": "deepvis_identity", "MaxPool": "deepvis_average"}
WIDTH = 16  # units at once


@weights(
    below=Knob(REQUIRED, "the lower layer", kind=str),
    groups=Knob(REQUIRED, "groups of its channels; 0: the channels alone", low=0, high=1000, kind=int),
)
def expanded(
    network: Activations, layer: str, filters: Sequence[int], size: Size, device: str, *, below: str
) -> tuple[np.ndarray, bool]:
    """Weights between two layers, ``[units, h, w, C]``, cut to where any of them is not zero.

    Also whether they reach the edge of the lower layer's map, where a part of them may be missing.

    Args:
      network: built up to both layers, in float32.
      layer: the higher one.
      filters: its units.
      size: of the image, px.
      device: ``cpu`` or ``gpu:n``.
      below: the lower layer.

    Raises:
      ConfigError: the one does not lead to the other, or what is between them is not made linear.
    """
    if layer in network.without_pre_activation:
        raise ConfigError(f"layer {layer}: {network.without_pre_activation[layer]}")
    step = _compiled(network, layer, below)
    images = linear_kernels.probes(size, len(network.mean))
    found, filters = [], list(filters)
    for first in range(0, len(filters), WIDTH):
        taken = filters[first : first + WIDTH]
        padded = np.array(taken + taken[-1:] * (WIDTH - len(taken)), np.int32)
        with tf.device(device):
            of_images = [
                step(tf.constant(np.repeat(each[None], WIDTH, axis=0)), tf.constant(padded)).numpy()
                for each in images
            ]
        changed = max(float(np.abs(each - of_images[0]).max()) for each in of_images)
        if changed > ROUNDING * np.abs(of_images[0]).max():
            raise ConfigError(
                f"weights.below={below}: got other weights to {layer} for another image, expected only "
                "convolutions, dense layers, ReLU, ReLU6, pooling, sums and normalizations between them; "
                "name a lower layer that is nearer"
            )
        found.append(of_images[0][: len(taken)])
    return _cut(np.concatenate(found), layer, below)


def _compiled(network: Activations, layer: str, below: str) -> Any:
    @tf.function(autograph=False)
    def gradients(images: tf.Tensor, units: tf.Tensor) -> tf.Tensor:
        with _linear():
            activations = network.activations(images, [below, layer])
        maps = activations[layer].maps(True)
        _, height, width, _ = maps.shape
        middle = tf.gather(maps[:, height // 2, width // 2], units[:, None], axis=1, batch_dims=1)
        # Not by a tape, which would pass over the rules. Of all at once, for no image sees another.
        (found,) = tf.gradients(middle, activations[below].post)
        if found is None:
            raise ConfigError(f"weights.below={below}: it does not lead to {layer}; expected a lower layer")
        return found

    return gradients


@contextlib.contextmanager
def _linear() -> Iterator[None]:
    """While it lasts, ReLUs that are traced have the identity's gradient, maximum poolings the mean's."""
    _register()
    with tf.compat.v1.get_default_graph().gradient_override_map(GRADIENTS):
        yield


@functools.cache
def _register() -> None:
    @tf.RegisterGradient("deepvis_identity")
    def _identity(op: Any, gradient: tf.Tensor) -> tf.Tensor:
        return gradient

    @tf.RegisterGradient("deepvis_average")
    def _average(op: Any, gradient: tf.Tensor) -> tf.Tensor:
        return tf.raw_ops.AvgPoolGrad(
            orig_input_shape=tf.shape(op.inputs[0]), grad=gradient, ksize=op.get_attr("ksize"),
            strides=op.get_attr("strides"), padding=op.get_attr("padding").decode(),
            data_format=op.get_attr("data_format").decode(),
        )  # fmt: skip


def _cut(whole: np.ndarray, layer: str, below: str) -> tuple[np.ndarray, bool]:
    rows, columns = (np.flatnonzero(whole.any(axis=axes)) for axes in ((0, 2, 3), (0, 1, 3)))
    if not len(rows):
        raise ConfigError(f"weights.below={below}: got weights to {layer} that are all zero, expected others")
    height, width = whole.shape[1:3]
    at_edge = rows[0] == 0 or columns[0] == 0 or rows[-1] == height - 1 or columns[-1] == width - 1
    cut = whole[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return cut, bool(at_edge and (height, width) != (1, 1))
