"""Thumbnails: a job's pictures -> one WebP a step, filters down, small enough that all fit in one page."""

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

from deepvis.report.comparison import ComparedJob, Unit
from deepvis.results import result_folder

ROWS, COLUMNS = 64, 64  # of filters and jobs that are shown
GAP = 4  # px between the pictures of a strip
BUDGET = 6_000_000  # bytes of all strips, before base64 makes four of three
FULL = 128  # px; no picture has more than a square of this side
Cell = tuple[int, int]  # height and width, px
# Share of that size, and quality; the first that fits is taken.
LADDER = ((1, 80), (1, 60), (0.85, 50), (0.75, 45), (0.6, 40), (0.5, 40), (0.5, 25), (0.35, 25), (0.25, 20))


@dataclass(frozen=True)
class Thumbnails:
    """All strips of a page: the pictures of one job after one step, below one another."""

    height: int  # px of the cell of a picture in them
    width: int
    steps: Sequence[int]  # after which there is one
    images: Sequence[Sequence[str]]  # data URIs by job and step


def make(jobs: Sequence[ComparedJob], units: Sequence[Unit]) -> Thumbnails:
    """The thumbnails of some jobs, columns of the page; its rows are units."""
    steps = sorted({step for job in jobs for step in _steps(job)})
    cell, quality = _resolution(jobs, max(1, len(units) * len(jobs) * len(steps)))
    images = []
    for job in jobs:
        uris, taken = {}, _steps(job)
        for step in taken:
            strip = _strip(job, units, f"progress/step_{step:05d}", cell)
            uris[step] = f"data:image/webp;base64,{base64.b64encode(_webp(strip, quality)).decode()}"
        # Where another job has a snapshot and this one has not, it shows its last one before.
        images.append([uris[max((t for t in taken if t <= step), default=taken[0])] for step in steps])
    return Thumbnails(*cell, steps, images)


def _steps(job: ComparedJob) -> list[int]:
    return sorted(int(path.name.partition("_")[2]) for path in (job.folder / "progress").iterdir())


def _resolution(jobs: Sequence[ComparedJob], count: int) -> tuple[Cell, int]:
    """The largest cell whose pictures fit, judged by some of them, and their quality."""
    paths = [path for job in jobs for path in sorted((job.folder / "filters").glob("*.png"))]
    sample = [np.asarray(Image.open(path)) for path in paths[:: max(1, len(paths) // 24)]]
    whole = [max(sides) for sides in zip(*(picture.shape[:2] for picture in sample), strict=True)]
    mean = math.sqrt(math.prod(whole))  # the side of a square of as many px
    for share, quality in LADDER:
        height, width = (max(1, round(share * min(FULL, mean) * (side / mean))) for side in whole)
        column = np.concatenate([_fitted(picture, (height, width)) for picture in sample])
        if len(_webp(column, quality)) / len(sample) * count <= BUDGET:
            break
    return (height, width), quality


def _strip(job: ComparedJob, units: Sequence[Unit], folder: str, cell: Cell) -> np.ndarray:
    """Pictures below one another; white where the job has no such filter."""
    height, width = cell
    strip = np.full((len(units) * (height + GAP), width, 3), 255, np.uint8)
    for row, unit in enumerate(units):
        path = job.folder / folder / f"{result_folder.label(unit.index)}.png"
        if job.shows(unit) and path.is_file():
            with Image.open(path) as picture:
                strip[row * (height + GAP) :][:height] = _fitted(np.asarray(picture), cell)
    return strip


def _fitted(picture: np.ndarray, cell: Cell) -> np.ndarray:
    """A picture scaled into a cell, its proportions kept, white beside it."""
    height, width = cell
    grows = picture.shape[0] < height and picture.shape[1] < width
    kind = Image.Resampling.BOX if grows else Image.Resampling.LANCZOS
    return np.asarray(ImageOps.pad(Image.fromarray(picture), (width, height), kind, "white"))


def _webp(strip: np.ndarray, quality: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(strip).save(file, "webp", quality=quality, method=1)
    return file.getvalue()
