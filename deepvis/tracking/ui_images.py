"""Images for MLflow's UI: a result folder -> the files of its run, in the layout of the UI's image grid.

MLflow's own ``log_image`` encodes each picture twice and queries the store: 15 ms each. Here a picture is
copied as it is, and a small copy for the UI's grid is made beside it, in 2 ms. The names are those of
`MlflowClient.log_image` in MLflow 3.17; tests/browser/test_browser.py checks them in the UI. They follow from
the job and the picture, so a job that is logged again writes the same files.
"""

import functools
import io
import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from deepvis.results import result_folder
from deepvis.results.result_folder import Pictures, Result

CHARACTERS = 80  # of a key: the names of files have limits
GRID = 192  # px; the UI's grid shows a picture no larger than it is, and larger copies take longer
FILES = ("gallery.png", "best.png", *result_folder.TEXTS)


Files = Iterator[tuple[str, Path | bytes]]  # name in the run, and the file or its content


def files(folder: Path, result: Result, pictures: Pictures | None, time: int) -> Files:
    """The files of a job's run.

    Args:
      folder: ``<job folder>/result``.
      result: of the job.
      pictures: the job's, where they are in memory; else the files are decoded.
      time: of the run's start, ms; the UI reads one out of the name of each image.
    """
    steps = len(result.history["score"]) - 1
    small: dict[int, bytes] = {}  # small copies, by the inode of the picture: it may have several names

    def both(
        path: Path, key: str, step: int, picture: np.ndarray | None
    ) -> Iterator[tuple[str, Path | bytes]]:
        number = uuid.uuid5(uuid.NAMESPACE_OID, f"{result.key} {key} {step}")
        name = f"images/{key}+step+{step}+timestamp+{time}+{number}"
        yield f"{name}.png", path
        inode = path.stat().st_ino
        if inode not in small:
            if step == 0 and picture is not None:
                small[inode] = _start(picture.tobytes(), picture.shape)
            else:
                small[inode] = _small(path, picture)
        yield f"{name}+compressed.webp", small[inode]

    # Final images go under a key and a step of their own: the UI's step slider starts at the first step.
    for index, (label, key) in enumerate(
        zip(map(result_folder.label, result.filters), keys(result), strict=True)
    ):
        final = None if pictures is None else pictures.final[index]
        yield from both(folder / f"filters/{label}.png", f"final~{key}", steps, final)
        for path in sorted(folder.glob(f"progress/*/{label}.png")):
            step = int(path.parent.name.partition("_")[2])
            snapshot = None if pictures is None else pictures.progress[step][index]
            yield from both(path, f"progress~{key}", step, snapshot)
    for name in FILES:
        yield name, folder / name
    examples = folder / f"{result_folder.EXAMPLES}.png"
    if examples.is_file():
        yield examples.name, examples
        yield from both(examples, "natural examples", steps, None)
        for path in sorted(path for path in (folder / result_folder.EXAMPLES).rglob("*") if path.is_file()):
            yield path.relative_to(folder).as_posix(), path
    if (folder / result_folder.ANIMATION).is_file():
        yield result_folder.ANIMATION, folder / result_folder.ANIMATION


def keys(result: Result) -> list[str]:
    """What the UI calls each filter's images: its caption, as far as MLflow takes the characters."""
    return [re.sub(r"[^\w .()-]", "_", text)[:CHARACTERS] for text in result_folder.captions(result)]


@functools.lru_cache(maxsize=result_folder.STARTS)
def _start(pixels: bytes, shape: tuple[int, ...]) -> bytes:
    """Of an image before its first step: where a sweep varies no seed, its jobs begin with the same."""
    return _encoded(Image.fromarray(np.frombuffer(pixels, np.uint8).reshape(shape)))


def _small(path: Path, picture: np.ndarray | None) -> bytes:
    with Image.open(path) if picture is None else Image.fromarray(picture) as image:
        return _encoded(image)


def _encoded(image: Image.Image) -> bytes:
    copy = io.BytesIO()
    ImageOps.contain(image, (GRID, GRID), Image.Resampling.BILINEAR).save(copy, "webp", method=0)
    return copy.getvalue()
