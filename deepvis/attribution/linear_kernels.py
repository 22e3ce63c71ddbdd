"""Weights as pictures: the kernels of a layer that is linear in the image, as they act on its pixels.

They are the gradient of a neuron by the image, so the order of a network's colours and the scale of its
pixels are in them, whatever made the network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from deepvis.attribution.family import weights
from deepvis.attribution.unit import Unit
from deepvis.core.errors import ConfigError
from deepvis.networks.base import Size

ROUNDING = 1e-4  # of the largest weight: how far the gradients at images of a linear layer may differ


@weights()
def kernels(
    unit: Callable[[int], Unit], indices: Sequence[int], size: Size, channels: int, layer: str
) -> np.ndarray:
    """The weights of some units by pixels, [units, h, w, C], cut to where any of them is not zero.

    Args:
      unit: by index, a neuron in the middle of the map, before its nonlinearity.
      indices: of the units.
      size: of the image, px.
      channels: of the image.
      layer: its name.

    Raises:
      ConfigError: the layer is not linear in the image.
    """
    images, mean = probes(size, channels), unit(indices[0]).mean
    found = []
    for index in indices:
        each = unit(index)
        gradients = [gradient for _, gradient in each.gradients([*images])]
        # Where it is nonlinear, the images that it raises and lowers most are the first to show it.
        signs = np.sign(np.median(gradients, axis=0))
        ends = [np.where(sign * signs > 0, 255, 0).astype(np.float32) - mean for sign in (1, -1)]
        gradients += [gradient for _, gradient in each.gradients(ends)]
        largest = np.abs(gradients).max()
        if np.abs(np.array(gradients) - gradients[0]).max() > ROUNDING * largest:
            raise ConfigError(
                f"layer.name={layer}: its weights act on other layers' maps, not on the image: got another "
                "gradient for another image, expected a layer that is linear in the image, such as the first "
                "convolution; take deepvis maps"
            )
        found.append(gradients[0])
    whole = np.stack(found)
    rows, columns = (np.flatnonzero(whole.any(axis=axes)) for axes in ((0, 2, 3), (0, 1, 3)))
    if not len(rows):
        raise ConfigError(
            f"layer.name={layer}: got weights that are all zero, expected a layer that sees the image"
        )
    return whole[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def probes(size: Size, channels: int) -> np.ndarray:
    """Images about 0, from quiet to as loud as pixels can be, fine and coarse, [n, H, W, C]."""
    rng, found = np.random.default_rng(0), [np.zeros((*size, channels))]
    for spread in (1, 50, 250):
        for cell in (1, 8):
            coarse = rng.normal(0, spread, (-(-size[0] // cell), -(-size[1] // cell), channels))
            found.append(coarse.repeat(cell, axis=0).repeat(cell, axis=1)[: size[0], : size[1]])
    return np.stack(found).astype(np.float32)


def picture(kernel: np.ndarray) -> np.ndarray:
    """One kernel [h, w, C] as uint8 [h, w, 3]: zero is middle grey, its largest weight black or white."""
    scaled = 127.5 + 127.5 * kernel / (np.abs(kernel).max() or 1.0)
    coloured = scaled if kernel.shape[-1] == 3 else scaled.mean(axis=-1, keepdims=True).repeat(3, axis=-1)
    return np.rint(coloured).astype(np.uint8)
