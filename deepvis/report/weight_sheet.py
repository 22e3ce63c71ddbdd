"""Weights between layers as small pictures: red above zero, blue below, white at zero."""

from collections.abc import Sequence

import numpy as np

from deepvis.core import images
from deepvis.report import heat_pictures

CHANNELS = 16  # of a unit that are shown, those of the largest weights
SIDE = 96  # px: a picture is enlarged to this at least, each weight a square


def of_unit(weights: np.ndarray) -> np.ndarray:
    """The channels with the largest weights, each with its share of the sum of all squares: uint8 [H, W, 3].

    Args:
      weights: ``[h, w, C]``; all of them have one scale.
    """
    squares = np.square(weights.astype(float)).sum(axis=(0, 1))
    shown = np.argsort(-squares, kind="stable")[:CHANNELS]
    end = float(np.abs(weights[..., shown]).max())
    total = squares.sum() or 1.0
    captions = [f"channel {c}: {squares[c] / total:.1%}" for c in shown]
    return images.gallery([_picture(weights[..., c], end) for c in shown], captions)


def of_groups(groups: np.ndarray, captions: Sequence[str]) -> np.ndarray:
    """A row a unit, a column a group of channels; each row has one scale: uint8 [H, W, 3].

    Args:
      groups: ``[units, h, w, k]``.
      captions: of the units.
    """
    rows = [
        [_picture(each[..., k], float(np.abs(each).max())) for k in range(groups.shape[-1])]
        for each in groups
    ]
    return images.contact_sheet(rows, captions, [f"group {k}" for k in range(groups.shape[-1])])


def _picture(weights: np.ndarray, end: float) -> np.ndarray:
    """One channel's weights [h, w], a square each."""
    times = max(1, -(-SIDE // weights.shape[1]))
    return heat_pictures.coloured(weights, True, end)[0].repeat(times, axis=0).repeat(times, axis=1)
