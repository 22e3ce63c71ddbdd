"""Images for MLflow's UI: a result folder -> a folder in the layout of its image grid, logged in one call.

MLflow's own ``log_image`` encodes each picture twice and queries the store: 15 ms each. Here a picture is
linked as it is, and a small copy for the UI's grid is made beside it, in 2 ms. The names are those of
`MlflowClient.log_image` in MLflow 3.17; tests/browser/test_browser.py checks them in the UI.
"""

import re
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from deepvis.core import files
from deepvis.results import result_folder
from deepvis.results.result_folder import Pictures, Result

CHARACTERS = 80  # of a key: the names of files have limits
GRID = 192  # px; the UI's grid shows a picture no larger than it is, and larger copies take longer
FILES = ("gallery.png", "best.png", *result_folder.TEXTS)


@contextmanager
def staged(folder: Path, steps: int, result: Result, pictures: Pictures | None = None) -> Iterator[Path]:
    """The files of a result folder that are logged to its run, in a folder that is removed afterwards.

    Args:
      folder: ``<job folder>/result``.
      steps: of the job; final images go under a key and a step of their own, for the UI's step slider starts
        at the first step.
      result: of the job.
      pictures: the job's, where they are in memory; else the files are decoded.
    """
    staging = files.partial(folder)
    try:
        (staging / "images").mkdir(parents=True)
        small: dict[int, Path] = {}  # small copies, by the inode of the picture: it may have several names
        for index, (label, key) in enumerate(
            zip(map(result_folder.label, result.filters), keys(result), strict=True)
        ):
            final = None if pictures is None else pictures.final[index]
            _add(staging / "images", folder / f"filters/{label}.png", f"final~{key}", steps, small, final)
            for path in sorted(folder.glob(f"progress/*/{label}.png")):
                step = int(path.parent.name.partition("_")[2])
                snapshot = None if pictures is None else pictures.progress[step][index]
                _add(staging / "images", path, f"progress~{key}", step, small, snapshot)
        for name in FILES:
            result_folder.link(folder / name, staging / name)
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def keys(result: Result) -> list[str]:
    """What the UI calls each filter's images: its caption, as far as MLflow takes the characters."""
    return [re.sub(r"[^\w .()-]", "_", text)[:CHARACTERS] for text in result_folder.captions(result)]


def _add(
    images: Path, path: Path, key: str, step: int, small: dict[int, Path], picture: np.ndarray | None
) -> None:
    """Link a picture and its small copy under the names that the UI reads."""
    name = f"{key}+step+{step}+timestamp+{int(time.time() * 1000)}+{uuid.uuid4()}"
    result_folder.link(path, images / f"{name}.png")
    copy = images / f"{name}+compressed.webp"
    first = small.setdefault(path.stat().st_ino, copy)
    if first is not copy:
        result_folder.link(first, copy)
        return
    with Image.open(path) if picture is None else Image.fromarray(picture) as image:
        ImageOps.contain(image, (GRID, GRID), Image.Resampling.BILINEAR).save(copy, method=0)
