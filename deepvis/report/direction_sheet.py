"""The sheet of directions: their pictures in the first row, and below them heat maps over photographs."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from deepvis.core import images as pictures
from deepvis.report import heat_pictures

BEYOND = 99.5  # percentile of a direction's magnitude over all photographs that colours end at
SIDE = 128  # px: the longer side of a cell


def chosen(maps: np.ndarray, most: int) -> list[int]:
    """Photographs to be shown, in their order: in turn those that have most of each direction.

    Args:
      maps: ``[k, n, h, w]``.
      most: how many.
    """
    peaks = np.abs(maps).max(axis=(2, 3))  # [k, n]
    order = np.argsort(-peaks, axis=1, kind="stable").T.ravel()  # the best of each, then the second of each
    return sorted(list(dict.fromkeys(order.tolist()))[:most])


def sheet(
    shown: Sequence[np.ndarray], photographs: np.ndarray, maps: np.ndarray, signed: bool,
    captions: Sequence[str], names: Sequence[str],
) -> np.ndarray:  # fmt: skip
    """A column a direction; uint8 [H, W, 3].

    Args:
      shown: the picture of each direction; where it is signed, then of their opposites.
      photographs: ``[n, H, W, C]``, grey levels from 0 to 255.
      maps: ``[k, n, h, w]``: how much of each direction is where.
      signed: whether colours part at zero.
      captions: of the directions.
      names: of the photographs.
    """
    cell = _cell(photographs.shape[1:3])
    ends = [float(np.percentile(np.abs(each), BEYOND)) or float(np.abs(each).max()) for each in maps]
    count = len(maps)
    empty = np.full((*cell, 3), 255, np.uint8)
    rows = [
        [empty, *(_fitted(each, cell) for each in shown[first : first + count])]
        for first in range(0, len(shown), count)
    ]
    for k, photograph in enumerate(photographs):
        seen = _fitted(heat_pictures.shown(photograph), cell)
        heats = [_heat(of_one[k], cell, end, signed) for of_one, end in zip(maps, ends, strict=True)]
        rows.append([seen, *(heat_pictures.over(seen, heat) for heat in heats)])
    signs = ["+", "-"] if len(rows) - len(photographs) == 2 else [""]
    return pictures.contact_sheet(rows, [*signs, *names], ["", *captions])


def _cell(size: Sequence[int]) -> tuple[int, int]:
    scale = SIDE / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _fitted(picture: np.ndarray, cell: tuple[int, int]) -> np.ndarray:
    """A picture scaled to a cell."""
    image = Image.fromarray(picture).resize((cell[1], cell[0]), Image.Resampling.BICUBIC)
    return np.asarray(image)


def _heat(values: np.ndarray, cell: tuple[int, int], end: float, signed: bool) -> np.ndarray:
    """A map [h, w] enlarged bilinearly, as colours that end where they do for all photographs."""
    image = Image.fromarray(values.astype(np.float32))
    enlarged = np.asarray(image.resize((cell[1], cell[0]), Image.Resampling.BILINEAR))
    return heat_pictures.coloured(enlarged, signed, end)[0]
