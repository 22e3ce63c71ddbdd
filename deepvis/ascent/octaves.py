"""Octaves: an image is optimized small first, then ever larger, as in deep dream: sizes, and the way between.

A network responds to one scale; an image that grows while it is optimized gets structure at several.
"""

import numpy as np
from PIL import Image

from deepvis.networks.base import Size


def sizes(octaves: int, octave_scale: float, size: Size) -> list[Size]:
    r"""Height and width of the image, octave by octave, the last one the whole size.

    .. math:: n_k = \lfloor n \, r^{k - K + 1} \rceil, \quad k = 0 \dots K - 1

    with :math:`K` octaves, :math:`r` from one to the next, and :math:`n` the whole height or width, px.
    """
    height, width = size
    smaller = [octave_scale**k for k in range(octaves - 1, 0, -1)]
    return [(round(height / by), round(width / by)) for by in smaller] + [size]


def resized(image: np.ndarray, size: Size) -> np.ndarray:
    """An image scaled to another size, bicubic, without aliasing: ``[H, W, C]`` -> ``[*size, C]``."""
    if image.shape[:2] == size:
        return image
    height, width = size
    planes = [Image.fromarray(plane).resize((width, height), Image.Resampling.BICUBIC)
              for plane in np.moveaxis(np.asarray(image, np.float32), -1, 0)]  # fmt: skip
    return np.stack([np.asarray(plane) for plane in planes], axis=-1)


def all_resized(images: np.ndarray, size: Size) -> np.ndarray:
    """The same of several: ``[B, H, W, C]`` -> ``[B, *size, C]``."""
    return np.stack([resized(image, size) for image in images])


def grown(image: np.ndarray, start: np.ndarray, size: Size) -> np.ndarray:
    r"""An octave's image as the start of the next: what was optimized is kept, the start's detail comes back.

    .. math:: x' = R(x - R(x_0)) + R(x_0)

    with :math:`x` an image at the end of an octave and :math:`x_0` the first image at its whole size.

    Source: Mordvintsev et al. 2015, "DeepDream - a code example".
    """
    return resized(image - resized(start, image.shape[:2]), size) + resized(start, size)
