"""Activation maps of photographs, layer by layer, and the channels that are 0 on all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from PIL import Image

from deepvis.core.errors import ConfigError
from deepvis.networks.backend import tf
from deepvis.networks.base import Activations

TILE = (28, 96)  # px: the smallest and the largest side of a channel's picture
WHITE = 99.5  # percentile of a layer's values that is shown white
DEAD = (200, 0, 0)  # colour around a channel that is dead
FRAME = 2  # px


def compiled(
    network: Activations, layers: Sequence[str], device: str = "cpu"
) -> Callable[[np.ndarray], Mapping[str, np.ndarray]]:
    """An image [H, W, C] in grey levels -> the maps of some layers behind their nonlinearity, each [h, w, C].

    Args:
      network: built up to the layers, in float32.
      layers: names.
      device: ``cpu`` or ``gpu:n``.

    Raises:
      ConfigError: when called with an image on which an activation is NaN or infinite.
    """

    @tf.function(autograph=False)
    def compute(image: tf.Tensor) -> dict[str, tf.Tensor]:
        found = network.activations(image, layers)
        return {name: found[name].post for name in layers}

    width = 1 if network.bitwise_any_batch else 2  # see `ascent.program`

    def maps(image: np.ndarray) -> Mapping[str, np.ndarray]:
        centred = (image - np.array(network.mean, np.float32))[None].repeat(width, axis=0)
        with tf.device(device):
            found = {name: each[0].numpy() for name, each in compute(tf.constant(centred)).items()}
        for name, each in found.items():
            if not np.isfinite(each).all():
                raise ConfigError(
                    f"{name}: got NaN or infinity on an image, expected finite activations; deepvis examples "
                    "names the photograph"
                )
        return found

    return maps


def sheet(activations: np.ndarray, dead: np.ndarray) -> np.ndarray:
    """All channels of a layer [h, w, C] as one picture: black is 0 or less, white what 99.5 % are below.

    Args:
      activations: of one image.
      dead: ``[C]``, which channels have a red frame.
    """
    height, width, channels = activations.shape
    top = float(np.percentile(activations, WHITE)) or float(activations.max())
    scale = min(TILE[1] / max(height, width), max(1, -(-TILE[0] // max(height, width))))
    side = max(1, round(height * scale)), max(1, round(width * scale))
    columns = int(np.ceil(np.sqrt(channels)))
    rows = -(-channels // columns)
    cell = side[0] + 2 * FRAME, side[1] + 2 * FRAME
    page = np.zeros((rows * cell[0], columns * cell[1], 3), np.uint8)
    for k in range(channels):
        grey = np.clip(activations[..., k] / top, 0, 1) if top > 0 else np.zeros((height, width))
        method = Image.Resampling.BOX if scale < 1 else Image.Resampling.NEAREST
        small = Image.fromarray(grey.astype(np.float32)).resize((side[1], side[0]), method)
        i, j = k // columns * cell[0], k % columns * cell[1]
        page[i : i + cell[0], j : j + cell[1]] = DEAD if dead[k] else (40, 40, 40)
        page[i + FRAME : i + FRAME + side[0], j + FRAME : j + FRAME + side[1]] = np.rint(
            255 * np.asarray(small)
        )[..., None]
    return page
