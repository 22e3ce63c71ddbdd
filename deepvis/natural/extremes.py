"""Extremes: the k largest values of each unit, and where they are, in arrays that do not grow with the data.

Of equal values the earlier image is first, then the earlier position, so that the same photographs give the
same extremes in whatever order and batches they come.
"""

from dataclasses import dataclass

import numpy as np

NONE = -1  # image of an entry that is not there


@dataclass(frozen=True)
class Extremes:
    """The largest values of some units, each [units, k], largest first."""

    values: np.ndarray  # float32; minus infinity where there is none
    images: np.ndarray  # int64, numbers of photographs; -1 where there is none
    positions: np.ndarray  # int64, in the flattened map


def nothing(units: int, k: int) -> Extremes:
    """Of no image."""
    return Extremes(
        np.full((units, k), -np.inf, np.float32),
        np.full((units, k), NONE, np.int64),
        np.zeros((units, k), np.int64),
    )


def merged(known: Extremes, values: np.ndarray, positions: np.ndarray, images: np.ndarray) -> Extremes:
    """The extremes of what is known and of a batch.

    Args:
      known: of the images before.
      values: of the batch, ``[B, units, m]``.
      positions: likewise.
      images: number of each image, ``[B]``; each is merged once.
    """
    k = known.values.shape[1]
    if not (values.max(axis=(0, 2)) >= known.values[:, -1]).any():  # none is as large as the smallest known
        return known
    count, units, m = values.shape
    new = [np.moveaxis(each, 1, 0).reshape(units, count * m) for each in (values, positions)]
    numbers = np.broadcast_to(np.repeat(images, m), (units, count * m))
    joined = [np.concatenate(pair, axis=1) for pair in (
        (known.values, new[0]), (known.images, numbers), (known.positions, new[1])
    )]  # fmt: skip
    order = np.lexsort((joined[2], joined[1], -joined[0]), axis=-1)[:, :k]
    return Extremes(*(np.take_along_axis(each, order, axis=1) for each in joined))
