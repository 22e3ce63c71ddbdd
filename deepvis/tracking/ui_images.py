"""Staging: a result folder -> a folder laid out as MLflow's UI wants it, which goes to a run in one call.

MLflow's own ``log_image`` encodes each picture twice and asks the store about it: 15 ms each. Here a picture
is linked as it is, and a copy for the UI's grid is made beside it, in 2 ms. The names are those of
`MlflowClient.log_image` in MLflow 3.17; tests/test_browser.py sees them in the UI.
"""

import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, ImageOps

from deepvis.results import result_folder

GRID = 192  # px; the UI's grid shows a picture no larger than it is, and larger copies take their time
FILES = ("gallery.png", "best.png", *result_folder.TEXTS)


@contextmanager
def staged(folder: Path, steps: int) -> Iterator[Path]:
    """What of a result folder goes to its run.

    Args:
      folder: ``<job folder>/result``.
      steps: of the job; finals go under a key and a step of their own, for the UI's step slider starts at
        the first step.

    Yields:
      The folder to log; it is gone afterwards.
    """
    place = folder.with_name(f".staged.{os.getpid()}")
    try:
        (place / "images").mkdir(parents=True)
        made: dict[int, Path] = {}  # small copies, by the file that they are of: one may have several names
        for path in folder.glob("filters/*.png"):
            _image(place / "images", path, f"final~{path.stem}", steps, made)
        for path in folder.glob("progress/*/*.png"):
            step = int(path.parent.name.partition("_")[2])
            _image(place / "images", path, f"progress~{path.stem}", step, made)
        for name in FILES:
            result_folder.link(folder / name, place / name)
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _image(place: Path, path: Path, key: str, step: int, made: dict[int, Path]) -> None:
    name = f"{key}+step+{step}+timestamp+{int(time.time() * 1000)}+{uuid.uuid4()}"
    result_folder.link(path, place / f"{name}.png")
    small = place / f"{name}+compressed.webp"
    same = made.setdefault(path.stat().st_ino, small)
    if same is not small:
        result_folder.link(same, small)
        return
    with Image.open(path) as picture:
        ImageOps.contain(picture, (GRID, GRID), Image.Resampling.BILINEAR).save(small, method=0)
