"""Histograms: quantiles of values that are not kept, with a known error; counts do not grow with the data.

A bin is all floats that share sign, exponent and the first seven bits behind the point, so a quantile is
within `ERROR` of the value that it stands for. Sizes below 2^-32 count as zero, those above 2^32 as that.
"""

from dataclasses import dataclass

import numpy as np

BITS = 7  # of the fraction
SHIFT = 23 - BITS
LEAST, MOST = (127 - 32) << BITS, (127 + 32) << BITS  # of a float's bits, shifted
SIDE = MOST - LEAST + 1  # bins of one sign, zero among them
BINS = 2 * SIDE
ERROR = 2.0 ** -(BITS + 1)  # of a quantile, relative: half a bin
LEVELS = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)


@dataclass(frozen=True)
class Histogram:
    """Counts of values by unit and bin, and the exact ends."""

    counts: np.ndarray  # uint32 [units, BINS]
    low: np.ndarray  # float32 [units]
    high: np.ndarray  # float32 [units]


def nothing(units: int) -> Histogram:
    """Of no value."""
    ends = np.full(units, np.inf, np.float32)
    return Histogram(np.zeros((units, BINS), np.uint32), ends, -ends)


def added(known: Histogram, values: np.ndarray) -> Histogram:
    """With the values of some images, ``[B, units]``; the counts are changed in place."""
    units = np.broadcast_to(np.arange(values.shape[1]), values.shape)
    np.add.at(known.counts, (units, _bins(values)), 1)
    if not len(values):
        return known
    return Histogram(
        known.counts, np.minimum(known.low, values.min(axis=0)), np.maximum(known.high, values.max(axis=0))
    )


def quantiles(known: Histogram) -> np.ndarray:
    """``[units, LEVELS]``: the value below or at which that share of values lies; the ends are exact."""
    below = known.counts.cumsum(axis=1, dtype=np.int64)
    total = below[:, -1:]
    if not total.all():
        return np.full((len(total), len(LEVELS)), np.nan)
    ranks = np.maximum(np.ceil(np.array(LEVELS) * total), 1)  # [units, LEVELS]
    bins = np.array([np.searchsorted(row, at) for row, at in zip(below, ranks, strict=True)])
    found = np.clip(_middle(bins), known.low[:, None], known.high[:, None])
    found[:, 0], found[:, -1] = known.low, known.high
    return found


def _bins(values: np.ndarray) -> np.ndarray:
    size = (np.abs(values).astype(np.float32).view(np.uint32) >> SHIFT).astype(np.int64)
    size = np.clip(size - LEAST + 1, 0, SIDE - 1)  # 0 is zero
    return np.where(values < 0, SIDE - 1 - size, SIDE + size)


def _middle(bins: np.ndarray) -> np.ndarray:
    size = np.where(bins < SIDE, SIDE - 1 - bins, bins - SIDE)
    bits = (size - 1 + LEAST).astype(np.uint32)
    low = (bits << SHIFT).view(np.float32).astype(float)
    high = ((bits + 1) << SHIFT).view(np.float32).astype(float)
    return np.where(size == 0, 0.0, np.where(bins < SIDE, -1, 1) * (low + high) / 2)
