"""The family of atlases: (values [n, C] at positions, their places [n, 2], options) -> `Cells` of a grid.

And what the icons of an atlas are directions of: the inverse of a layer's second moment.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from deepvis.config.knobs import REQUIRED, Function, Knob, declare
from deepvis.core.errors import ConfigError

PERCENTILES, MARGIN = (1, 99), 0.1  # of places, and of their span beyond these: what lies outside is cut


@dataclass(frozen=True)
class Cells:
    """The cells that have enough positions, row by row, from the top."""

    means: np.ndarray  # float64 [c, C]: of the values in each
    rows: np.ndarray  # int [c], from the top
    columns: np.ndarray  # int [c], from the left
    members: tuple[np.ndarray, ...]  # numbers of the positions in each


def atlas(**knobs: Knob) -> Callable[[Function], Function]:
    """Declare a function as one of atlases, with its options by their key under ``atlas``."""
    return declare("atlas", None, knobs)


@atlas(
    positions=Knob(REQUIRED, "positions of each photograph", low=1, kind=int),
    grid=Knob(REQUIRED, "cells each way", low=1, high=200, kind=int),
    least=Knob(REQUIRED, "positions that a cell has at least", low=1, kind=int),
    cosine_power=Knob(REQUIRED, "how much the angle of the objective counts", low=0),
    shrinkage=Knob(REQUIRED, "of the second moment towards the identity; 1: not whitened", above=0, high=1),
    picture=Knob(REQUIRED, "side of an icon", low=1, kind=int, unit="whole number of px"),
    seed=Knob(REQUIRED, "of the positions that are drawn", low=0, kind=int),
)
def carter_2019(values: np.ndarray, places: np.ndarray, *, grid: int, least: int) -> Cells:
    r"""Means of the values in the cells of a square grid.

    .. math:: v_c = \frac{1}{|c|} \sum_{n \in c} a_n, \quad |c| \ge \text{least}

    The places are cut at their first and 99th percentile and a tenth of that span more, and scaled to the
    grid.

    Args:
      values: :math:`a_n`, ``[n, C]``.
      places: ``[n, 2]``, x to the right, y up.
      grid: cells each way.
      least: positions of a cell.

    Raises:
      ConfigError: no cell has that many.

    Source: Carter et al. 2019, "Activation Atlas", section "Averaging", and their code.
    """
    scaled = normalized(places)
    at = np.minimum((scaled * grid).astype(int), grid - 1)
    rows, columns = grid - 1 - at[:, 1], at[:, 0]
    found = []
    for row, column in itertools.product(range(grid), range(grid)):
        members = np.flatnonzero((rows == row) & (columns == column))
        if len(members) >= least:
            found.append((values[members].mean(axis=0, dtype=float), row, column, members))
    if not found:
        raise ConfigError(
            f"atlas.least={least}: got no cell of {grid} x {grid} with so many of {len(values)} positions; "
            "take a smaller atlas.least or atlas.grid, more photographs, or more atlas.positions"
        )
    means, rows_found, columns_found, members_found = zip(*found, strict=True)
    return Cells(np.stack(means), np.array(rows_found), np.array(columns_found), members_found)


def normalized(places: np.ndarray) -> np.ndarray:
    """Places from 0 to 1, those far outside at the edge."""
    low, high = np.percentile(places, PERCENTILES, axis=0)
    low = low - MARGIN * (high - low)
    high = high + MARGIN * (high - low)
    cut = np.clip(places, low, high)
    span = np.ptp(cut, axis=0)
    return np.asarray((cut - cut.min(axis=0)) / np.where(span > 0, span, 1))


def whitening(moment: np.ndarray, shrinkage: float) -> np.ndarray:
    r"""The inverse of an uncentred second moment, ``[C, C]``.

    .. math:: S = \big( (1 - \lambda) M + \lambda \tfrac{\operatorname{tr} M}{C} I \big)^{-1}, \quad
              M = \frac{1}{n} \sum_n a_n a_n^\top

    Few photographs leave :math:`M` singular, so it is shrunk by :math:`\lambda`; at 1 it is not used.

    Source: Carter et al. 2019, their code; of the shrinkage, Ledoit and Wolf 2004.
    """
    channels = len(moment)
    shrunk = (1 - shrinkage) * moment + shrinkage * np.trace(moment) / channels * np.eye(channels)
    return np.asarray(np.linalg.inv(shrunk))
