"""Heat pictures: an image, its map, both laid over one another, and a colour bar with the map's values.

Maps that are signed have colours that part at zero, others begin at zero with black. A colour bar ends at the
99.5th percentile of the map's magnitude, and says so by a ``>`` where something lies beyond.
"""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from deepvis.core import images as pictures

SIGNED, UNSIGNED = "RdBu_r", "inferno"
BEYOND = 99.5  # percentile of the magnitude that colours end at
OPACITY = 0.6  # of a map over its image
SMALLEST = 160  # px: smaller images are enlarged, that their captions can be read
MARGIN, BAR, TEXT = 6, 12, 70  # px: between pictures, of a colour bar, of its numbers


def coloured(values: np.ndarray, signed: bool, end: float | None = None) -> tuple[np.ndarray, float, bool]:
    """A map as colours.

    Args:
      values: ``[H, W]``.
      signed: whether the colours part at zero.
      end: value at the end of the colours; None: by this map alone.

    Returns:
      uint8 ``[H, W, 3]``, the value at the end of the colours, and whether some are beyond it.
    """
    magnitude = np.abs(values)
    if end is None:
        end = float(np.percentile(magnitude, BEYOND)) or float(magnitude.max())
    scaled = np.clip(values / (end or 1.0), -1, 1)
    place = (scaled + 1) / 2 if signed else np.maximum(scaled, 0)
    return _colours(place, signed), end, bool(magnitude.max() > end)


def over(image: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Colours over the image in grey, both uint8 [H, W, 3]."""
    grey = image.astype(float).mean(axis=-1, keepdims=True)
    return np.rint((1 - OPACITY) * grey + OPACITY * colours).astype(np.uint8)


def shown(image: np.ndarray) -> np.ndarray:
    """Grey levels [H, W, C] as a picture, uint8 [H, W, 3]."""
    return pictures.natural(image, [0.0] * image.shape[-1])


def row(image: np.ndarray, values: np.ndarray, signed: bool, line: str) -> np.ndarray:
    """An image, its map over it, the map alone with its colour bar, and a line above: uint8 [h, w, 3]."""
    colours, end, beyond = coloured(values, signed)
    photograph = shown(image)
    times = max(1, -(-SMALLEST // photograph.shape[1]))
    panels = [each.repeat(times, axis=0).repeat(times, axis=1) for each in
              (photograph, over(photograph, colours), colours)]  # fmt: skip
    height, width = panels[0].shape[:2]
    top = 20
    page = Image.new("RGB", (3 * (width + MARGIN) + BAR + TEXT, top + height + MARGIN), "white")
    for k, panel in enumerate(panels):
        page.paste(Image.fromarray(panel), (k * (width + MARGIN), top))
    left = 3 * (width + MARGIN)
    ramp = np.linspace(1, 0, height)[:, None].repeat(BAR, axis=1)
    page.paste(Image.fromarray(_colours(ramp, signed)), (left, top))
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(size=12)
    draw.text((2, 2), line, "black", font)
    mark = "> " if beyond else ""
    labels = [(0.0, f"{mark}{end:.3g}"), (1.0, f"{'< ' if beyond else ''}{-end:.3g}" if signed else "0")]
    labels += [(0.5, "0")] if signed else []
    for place, text in labels:
        draw.text((left + BAR + 4, top + place * (height - 14)), text, "black", font)
    return np.asarray(page)


def sheet(images: np.ndarray, maps: np.ndarray, signed: bool, lines: Sequence[str]) -> np.ndarray:
    """Rows one below the other."""
    rows = zip(images, maps, lines, strict=True)
    return np.concatenate([row(image, values, signed, line) for image, values, line in rows])


def overview(images: np.ndarray, maps: np.ndarray, signed: bool, names: Sequence[str],
             captions: Sequence[str]) -> np.ndarray:  # fmt: skip
    """All units on all images: a row an image, a column a unit, ``maps`` being [units, n, H, W]."""
    cells = [
        [shown(image), *(over(shown(image), coloured(of_unit[k], signed)[0]) for of_unit in maps)]
        for k, image in enumerate(images)
    ]
    return pictures.contact_sheet(cells, names, ["image", *captions])


def png(picture: np.ndarray) -> bytes:
    """A picture as a file."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "png")
    return file.getvalue()


def _colours(places: np.ndarray, signed: bool) -> np.ndarray:
    """Places from 0 to 1 in a colour map: uint8 [..., 3]."""
    import matplotlib

    return matplotlib.colormaps[SIGNED if signed else UNSIGNED](places, bytes=True)[..., :3]
