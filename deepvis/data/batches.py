"""Batches: photographs -> images of one size, decoded in the background by `tf.data`.

A photograph is cropped about its centre to the proportions of the size and scaled to it, as a viewer shows it
(upright, in sRGB, white behind what is transparent): see `deepvis.core.picture_files`.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from deepvis.core.errors import ConfigError
from deepvis.data.photographs import Photographs, Size

if TYPE_CHECKING:
    import tensorflow as tf

AHEAD = 2  # batches that are decoded while one is computed


@dataclass(frozen=True)
class Batch:
    """Some photographs in their order; always as many images, so that one graph takes all batches."""

    indices: np.ndarray  # [B] which photograph each image is; -1: none, the image is black
    images: "tf.Tensor"  # [B, H, W, C] grey levels from 0 to 255
    broken: tuple[tuple[int, str], ...]  # photographs of this batch that could not be read, and why


def batches(
    photographs: Photographs, size: Size, count: int, channels: int = 3, first: int = 0
) -> Iterator[Batch]:
    """All photographs from one on, in order.

    Args:
      photographs: to be read.
      size: height and width of the images, px.
      count: images in a batch; the last one is filled up with black images.
      channels: 3, or 1 for the lightness.
      first: the photograph to begin with.
    """
    import tensorflow as tf

    reasons: dict[int, str] = {}
    nothing = np.zeros((*size, channels), np.float32)

    def read(index: np.int64) -> tuple[np.ndarray, np.int64]:
        if index >= len(photographs):
            return nothing, np.int64(-1)
        try:
            return photographs.image(int(index), size, channels), index
        except ConfigError as err:
            reasons[int(index)] = str(err).removeprefix(f"{photographs.paths[int(index)]}: ")
            return nothing, np.int64(-1)

    def decoded(index: Any) -> Any:
        image, at = tf.numpy_function(read, [index], [tf.float32, tf.int64], stateful=False)
        return tf.ensure_shape(image, nothing.shape), tf.ensure_shape(at, ())

    whole = -(-(len(photographs) - first) // count) * count
    images = tf.data.Dataset.range(first, first + whole)
    images = images.map(decoded, num_parallel_calls=os.cpu_count() or 1, deterministic=True)
    for start, (batch, at) in enumerate(images.batch(count, drop_remainder=True).prefetch(AHEAD)):
        begin = first + start * count
        broken = tuple((i, reasons[i]) for i in range(begin, begin + count) if i in reasons)
        yield Batch(at.numpy(), batch, broken)
