"""The contact sheet of a paper: filters down, jobs across, in picture pixels, with text that is text."""

import math
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.textpath import TextPath

from deepvis.core import images
from deepvis.report.comparison import ComparedJob, Unit
from deepvis.report.figures import STYLE
from deepvis.results import result_folder

FONT = 8  # pt
LINE = 1.25 * FONT / 72  # inches from one line to the next
CELL = 1.0  # inches of a picture's longer side
DPI = 300  # of the PNG, at least where it stays under MOST
MOST = 100_000_000  # pixels of the PNG
Picture = np.ndarray  # uint8 [H, W, 3]


def pictures(jobs: Sequence[ComparedJob], units: Sequence[Unit]) -> list[list[Picture | None]]:
    """The last image of each unit by each job, a row a unit; None where the job has no such filter."""
    return [[_picture(job, unit) for job in jobs] for unit in units]


def _picture(job: ComparedJob, unit: Unit) -> Picture | None:
    if not job.shows(unit):
        return None
    return np.asarray(images.opened(job.folder / "filters" / f"{result_folder.label(unit.index)}.png"))


@matplotlib.rc_context(STYLE)
def sheet(
    cells: Sequence[Sequence[Picture | None]], rows: Sequence[str], columns: Sequence[str]
) -> tuple[Figure, float]:
    """Draw a contact sheet.

    Args:
      cells: pictures by row and column, at least one; each keeps its proportions and its pixels.
      rows: their names.
      columns: their names, broken where they are wider than a picture.

    Returns:
      The figure, and a resolution in dots an inch at which each pixel of the largest picture is a square of
      whole dots.
    """
    shown = [picture for row in cells for picture in row if picture is not None]
    height, width = (max(picture.shape[axis] for picture in shown) for axis in (0, 1))
    pixel = CELL / max(height, width)  # inches
    gap = max(1, max(height, width) // 32)
    names = [_broken(name, width * pixel) for name in columns]
    left = math.ceil((max(map(_wide, rows)) + 0.1) / pixel)
    top = math.ceil((LINE * max(len(lines) for lines in names) + 0.06) / pixel)
    across = left + len(columns) * (width + gap)
    down = top + len(rows) * (height + gap)
    # A hundredth of a pixel more, for matplotlib rounds the number of dots down.
    figure = Figure(((across + 0.01) * pixel, (down + 0.01) * pixel), facecolor="white")
    panel = figure.add_axes((0, 0, 1, 1))
    panel.set_axis_off()
    style: dict[str, Any] = {"fontsize": FONT, "color": "black"}
    for j, lines in enumerate(names):
        x = left + j * (width + gap)
        for k, line in enumerate(lines):
            y = top - (LINE * (len(lines) - k - 1) + 0.05) / pixel
            panel.text(x, y, line, ha="left", va="baseline", **style)
    for i, (row, name) in enumerate(zip(cells, rows, strict=True)):
        y = top + i * (height + gap)
        panel.text(left - 0.06 / pixel, y + height / 2, name, ha="right", va="center", **style)
        for j, picture in enumerate(row):
            x = left + j * (width + gap)
            if picture is None:
                panel.text(x + width / 2, y + height / 2, "–", ha="center", va="center", **style)
                continue
            scale = min(height / picture.shape[0], width / picture.shape[1])
            high, wide = scale * picture.shape[0], scale * picture.shape[1]
            above, before = (height - high) / 2, (width - wide) / 2
            extent = (x + before, x + before + wide, y + above + high, y + above)
            panel.imshow(picture, extent=extent, aspect="auto", interpolation="none")
    panel.set(xlim=(0, across + 0.01), ylim=(down + 0.01, 0))
    times = math.ceil(DPI * pixel)
    while times > 1 and times * times * across * down > MOST:
        times -= 1
    return figure, times / pixel


def _wide(text: str) -> float:
    """Inches that a text takes."""
    return TextPath((0, 0), text, size=FONT).get_extents().width / 72 if text.strip() else 0.0


def _broken(name: str, width: float) -> list[str]:
    """A name on lines of so many inches: at spaces, or within a word that is too long."""
    lines: list[str] = []
    for word in name.split():
        if lines and _wide(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
            continue
        while len(word) > 1 and _wide(word) > width:
            fits = max((n for n in range(1, len(word)) if _wide(word[:n]) <= width), default=1)
            lines.append(word[:fits])
            word = word[fits:]
        lines.append(word)
    return lines or [""]
