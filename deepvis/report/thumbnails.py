"""Sheets: a job's pictures -> one WebP a step, filters down, small enough that all of them fit in a page."""

import base64
import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from deepvis.report.comparison import Member
from deepvis.results import result_folder

ROWS, COLUMNS = 64, 64  # of filters and jobs that are shown
GAP = 4  # px between the pictures of a sheet
BUDGET = 6_000_000  # bytes of all sheets, before base64 makes four of three
FULL = 128  # px; no picture is shown larger
# Share of that size, and quality; the first that fits is taken.
LADDER = ((1, 80), (1, 60), (0.85, 50), (0.75, 45), (0.6, 40), (0.5, 40), (0.5, 25), (0.35, 25), (0.25, 20))


class Sheets(NamedTuple):
    """All sheets of a page."""

    cell: int  # px of a picture in them
    steps: Sequence[int]  # after which there is one
    images: Sequence[Sequence[str]]  # data URIs by job and step


def of(members: Sequence[Member], units: Sequence[tuple[str, int]]) -> Sheets:
    """The sheets of some jobs.

    Args:
      members: jobs; one column of the page each.
      units: layer and filter of each row.
    """
    steps = sorted({step for member in members for step in _steps(member)})
    count = max(1, len(units) * len(members) * len(steps))
    size, quality = _rung(members, count)
    images = []
    for member in members:
        own, made = _steps(member), {}
        for step in own:
            sheet = _sheet(member, units, f"progress/step_{step:05d}", size)
            made[step] = f"data:image/webp;base64,{base64.b64encode(_webp(sheet, quality)).decode()}"
        # Where another job was looked at and this one was not, it shows its last look before.
        images.append([made[max((each for each in own if each <= step), default=own[0])] for step in steps])
    return Sheets(size, steps, images)


def _steps(member: Member) -> list[int]:
    return sorted(int(place.name.partition("_")[2]) for place in (member.place / "progress").iterdir())


def _rung(members: Sequence[Member], count: int) -> tuple[int, int]:
    """The largest pictures that fit, judged by some of them: px and quality."""
    paths = [path for member in members for path in sorted((member.place / "filters").glob("*.png"))]
    sample = [np.asarray(Image.open(path)) for path in paths[:: max(1, len(paths) // 24)]]
    full = min(FULL, max(len(picture) for picture in sample))
    for share, quality in LADDER:
        size = max(1, round(share * full))
        column = np.concatenate([_fitted(picture, size) for picture in sample])
        if len(_webp(column, quality)) / len(sample) * count <= BUDGET:
            break
    return size, quality


def _sheet(member: Member, units: Sequence[tuple[str, int]], place: str, size: int) -> np.ndarray:
    """Pictures below one another; white where the job has no such filter."""
    sheet = np.full((len(units) * (size + GAP), size, 3), 255, np.uint8)
    for row, (layer, index) in enumerate(units):
        path = member.place / place / f"{result_folder.label(index)}.png"
        if layer == member.result.layer and path.is_file():
            with Image.open(path) as picture:
                sheet[row * (size + GAP) :][:size] = _fitted(np.asarray(picture), size)
    return sheet


def _fitted(picture: np.ndarray, size: int) -> np.ndarray:
    if len(picture) == size:
        return picture
    kind = Image.Resampling.BOX if len(picture) < size else Image.Resampling.LANCZOS
    return np.asarray(Image.fromarray(picture).resize((size, size), kind))


def _webp(sheet: np.ndarray, quality: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(sheet).save(file, "webp", quality=quality, method=1)
    return file.getvalue()
