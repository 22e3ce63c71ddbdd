"""Thumbnails: the pictures of a `Selection` -> one WebP a filter, seed and step, settings across.

They are as large as fits into a page of 10 MB. A filter is what a reader scrolls to, sorts and filters by, so
each has its own file, and a browser decodes only those that are in view.
"""

import base64
import functools
import io
import itertools
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

from deepvis.core import images
from deepvis.report.comparison import Unit
from deepvis.report.selection import Selection, spread
from deepvis.results import result_folder

BUDGET = 6_000_000  # bytes of all strips, before base64 makes four of three
SAMPLE = 12  # strips by which the size of all is judged
LOSSLESS = 100  # a quality; small pictures are, where all of them take a quarter of the budget
# The longer side of a picture in px, and its quality; the first that fits is taken.
LADDER = (
    (256, LOSSLESS), (256, 85), (256, 75), (192, 75), (160, 75), (128, 75), (112, 70), (96, 65), (80, 60),
    (64, 55), (56, 45), (48, 40), (40, 35), (32, 30), (28, 20), (24, 15), (20, 10), (16, 5),
)  # fmt: skip
Size = tuple[int, int]  # height and width, px
Strip = tuple[int, Unit, int]  # row among the seeds, unit and step


@dataclass(frozen=True)
class Thumbnails:
    """All strips of a page: the pictures of one filter by all settings, beside one another.

    A strip that is one picture wide stands for settings whose pictures are all the same, as at the start.
    """

    height: int  # px of one picture
    width: int
    whole: Size  # of the picture files, the largest
    strips: Sequence[Sequence[Sequence[str]]]  # WebP in base64, by seed, unit and step


def make(selection: Selection) -> Thumbnails:
    """The thumbnails of what is selected."""
    every = list(itertools.product(selection.rows, selection.units, selection.steps))
    sample = [_files(selection, strip) for strip in spread(every, SAMPLE)]
    whole = _largest(file for files in sample for file in files if file)
    size, strips = whole, list[bytes]()
    with ThreadPoolExecutor() as pool:  # decoding and encoding let other threads run
        for side, quality in LADDER:
            scale = min(1.0, side / max(whole))
            size = max(1, round(scale * whole[0])), max(1, round(scale * whole[1]))
            budget = BUDGET / 4 if quality == LOSSLESS else BUDGET
            encoded = functools.partial(_encoded, size=size, quality=quality)
            if sum(map(len, map(encoded, sample))) / len(sample) * len(every) <= budget:
                strips = list(pool.map(encoded, map(functools.partial(_files, selection), every)))
                if sum(map(len, strips)) <= 1.2 * budget:
                    break
    texts = iter([base64.b64encode(strip).decode() for strip in strips])
    by_seed = [[[next(texts) for _ in selection.steps] for _ in selection.units] for _ in selection.rows]
    return Thumbnails(*size, whole, by_seed)


def _files(selection: Selection, strip: Strip) -> list[bytes | None]:
    """The picture files of a strip, by setting; None where a setting has no such filter."""
    row, unit, step = strip
    files: list[bytes | None] = []
    for setting in selection.settings:
        job = selection.jobs.get((setting, row, unit))
        if job is None:
            files.append(None)
            continue
        taken = selection.taken[job[0].folder]
        # Where another job has a snapshot and this one has not, it shows its last one before.
        last = max((each for each in taken if each <= step), default=taken[0])
        path = job[0].folder / f"progress/step_{last:05d}" / f"{result_folder.label(unit.index)}.png"
        files.append(path.read_bytes())
    return files


def _largest(files: Iterable[bytes]) -> Size:
    """The height and the width of the largest picture."""
    sizes = [Image.open(io.BytesIO(file)).size for file in files]
    return max(height for _, height in sizes), max(width for width, _ in sizes)


def _encoded(files: Sequence[bytes | None], size: Size, quality: int) -> bytes:
    """Pictures beside one another as WebP; one, where all are the same; white where there is none."""
    shown = files[:1] if len(set(files)) == 1 else files
    white = np.full((*size, 3), 255, np.uint8)
    strip = np.concatenate([_fitted(file, size) if file else white for file in shown], axis=1)
    written = io.BytesIO()
    Image.fromarray(strip).save(written, "webp", lossless=quality == LOSSLESS, quality=quality, method=2)
    return written.getvalue()


def _fitted(file: bytes, size: Size) -> np.ndarray:
    """A picture scaled into a cell, its proportions kept, white beside it."""
    height, width = size
    picture = images.opened(io.BytesIO(file))
    grows = picture.height < height and picture.width < width
    kind = Image.Resampling.BOX if grows else Image.Resampling.LANCZOS
    return np.asarray(ImageOps.pad(picture, (width, height), kind, color="white"))
