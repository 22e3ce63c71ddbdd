"""Pictures of natural examples: what a unit sees of a photograph, with the rest of it faded."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from deepvis.core import images
from deepvis.networks.base import Box, Size

TILE = 128  # px along the longer side of a tile
LEFT = 0.3  # of the contrast outside of the box; the rest is white
AROUND = 1.6  # how many times as large as the box a tile is, as far as the photograph goes
SMALLEST = 24  # px of the photograph that a tile shows at least
HEAD = 26  # px above a block of tiles, for its title


def tile(image: np.ndarray, box: Box) -> np.ndarray:
    """A photograph around a box, faded outside of it.

    Args:
      image: grey levels ``[H, W, C]``.
      box: what the unit sees.

    Returns:
      uint8 ``[h, w, 3]``, h and w as the proportions of the photograph; `TILE` along the longer side.
    """
    faded = 255 - LEFT * (255 - image)
    (top, bottom), (left, right) = box
    faded[top : bottom + 1, left : right + 1] = image[top : bottom + 1, left : right + 1]
    shown = images.natural(faded, [0.0] * image.shape[-1])
    height, width = shown.shape[:2]
    share = max((bottom + 1 - top) / height, (right + 1 - left) / width) * AROUND
    share = min(1.0, max(share, SMALLEST / max(height, width)))
    rows, columns = (
        _window(first, last, side, share) for (first, last), side in zip(box, (height, width), strict=True)
    )
    scale = TILE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    part = Image.fromarray(shown).crop((columns[0], rows[0], columns[1], rows[1]))
    return np.asarray(part.resize(size, Image.Resampling.BICUBIC))


def _window(first: int, last: int, side: int, share: float) -> tuple[int, int]:
    """First row and the one behind the last of a window about the box, inside of the photograph."""
    length = max(1, min(side, math.ceil(share * side)))
    start = min(max(0, (first + last + 1 - length) // 2), side - length)
    return start, start + length


def block(title: str, tiles: Sequence[np.ndarray], captions: Sequence[str], size: Size) -> np.ndarray:
    """Tiles with captions under a title, dark on white; without any, the title alone."""
    longest = TILE / max(size)
    blank = np.full((max(1, round(size[0] * longest)), max(1, round(size[1] * longest)), 3), 255, np.uint8)
    found = images.gallery(list(tiles) or [blank], list(captions) or ["none"])
    found = np.where((found == 0).all(axis=-1, keepdims=True), 255, found) if not len(tiles) else found
    page = Image.new("RGB", (found.shape[1], HEAD + found.shape[0]), "white")
    page.paste(Image.fromarray(found), (0, HEAD))
    ImageDraw.Draw(page).text((2, 5), title, "black", ImageFont.load_default(size=14))
    return np.asarray(page)


def beside(blocks: Sequence[np.ndarray]) -> np.ndarray:
    """Blocks beside one another, on white."""
    height = max(each.shape[0] for each in blocks)
    padded = [
        np.pad(each, ((0, height - each.shape[0]), (0, 16), (0, 0)), constant_values=255) for each in blocks
    ]
    return np.concatenate(padded, axis=1)
