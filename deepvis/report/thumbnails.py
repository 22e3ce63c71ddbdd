"""Thumbnails: a job's pictures -> one WebP a step, filters down, small enough that all fit in one page."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from deepvis.report.comparison import ComparedJob, Unit
from deepvis.results import result_folder

ROWS, COLUMNS = 64, 64  # of filters and jobs that are shown
GAP = 4  # px between the pictures of a strip
BUDGET = 6_000_000  # bytes of all strips, before base64 makes four of three
FULL = 128  # px; no picture is shown larger
# Share of that size, and quality; the first that fits is taken.
LADDER = ((1, 80), (1, 60), (0.85, 50), (0.75, 45), (0.6, 40), (0.5, 40), (0.5, 25), (0.35, 25), (0.25, 20))


@dataclass(frozen=True)
class Thumbnails:
    """All strips of a page: the pictures of one job after one step, below one another."""

    cell: int  # px of a picture in them
    steps: Sequence[int]  # after which there is one
    images: Sequence[Sequence[str]]  # data URIs by job and step


def make(jobs: Sequence[ComparedJob], units: Sequence[Unit]) -> Thumbnails:
    """The thumbnails of some jobs, columns of the page; its rows are units."""
    steps = sorted({step for job in jobs for step in _steps(job)})
    size, quality = _resolution(jobs, max(1, len(units) * len(jobs) * len(steps)))
    images = []
    for job in jobs:
        uris, taken = {}, _steps(job)
        for step in taken:
            strip = _strip(job, units, f"progress/step_{step:05d}", size)
            uris[step] = f"data:image/webp;base64,{base64.b64encode(_webp(strip, quality)).decode()}"
        # Where another job has a snapshot and this one has not, it shows its last one before.
        images.append([uris[max((t for t in taken if t <= step), default=taken[0])] for step in steps])
    return Thumbnails(size, steps, images)


def _steps(job: ComparedJob) -> list[int]:
    return sorted(int(path.name.partition("_")[2]) for path in (job.folder / "progress").iterdir())


def _resolution(jobs: Sequence[ComparedJob], count: int) -> tuple[int, int]:
    """The largest pictures that fit, judged by some of them: px and quality."""
    paths = [path for job in jobs for path in sorted((job.folder / "filters").glob("*.png"))]
    sample = [np.asarray(Image.open(path)) for path in paths[:: max(1, len(paths) // 24)]]
    full = min(FULL, max(len(picture) for picture in sample))
    for share, quality in LADDER:
        size = max(1, round(share * full))
        column = np.concatenate([_fitted(picture, size) for picture in sample])
        if len(_webp(column, quality)) / len(sample) * count <= BUDGET:
            break
    return size, quality


def _strip(job: ComparedJob, units: Sequence[Unit], folder: str, size: int) -> np.ndarray:
    """Pictures below one another; white where the job has no such filter."""
    strip = np.full((len(units) * (size + GAP), size, 3), 255, np.uint8)
    for row, (layer, index) in enumerate(units):
        path = job.folder / folder / f"{result_folder.label(index)}.png"
        if layer == job.result.layer and path.is_file():
            with Image.open(path) as picture:
                strip[row * (size + GAP) :][:size] = _fitted(np.asarray(picture), size)
    return strip


def _fitted(picture: np.ndarray, size: int) -> np.ndarray:
    if len(picture) == size:
        return picture
    kind = Image.Resampling.BOX if len(picture) < size else Image.Resampling.LANCZOS
    return np.asarray(Image.fromarray(picture).resize((size, size), kind))


def _webp(strip: np.ndarray, quality: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(strip).save(file, "webp", quality=quality, method=1)
    return file.getvalue()
