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

from deepvis import outcome

GRID = 256  # px; the UI's grid shows a picture no larger than it is
FILES = ("gallery.png", "best.png", *outcome.TEXTS)


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
        for path in folder.glob("filters/*.png"):
            _image(place / "images", path, f"final~{path.stem}", steps)
        for path in folder.glob("progress/*/*.png"):
            _image(place / "images", path, f"progress~{path.stem}", int(path.parent.name.partition("_")[2]))
        for name in FILES:
            _link(folder / name, place / name)
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _image(place: Path, path: Path, key: str, step: int) -> None:
    name = f"{key}+step+{step}+timestamp+{int(time.time() * 1000)}+{uuid.uuid4()}"
    _link(path, place / f"{name}.png")
    with Image.open(path) as picture:
        small = ImageOps.contain(picture, (GRID, GRID), Image.Resampling.BILINEAR)
        small.save(place / f"{name}+compressed.webp", method=0)


def _link(path: Path, to: Path) -> None:
    try:
        to.hardlink_to(path)
    except OSError:  # a file system without hard links
        shutil.copyfile(path, to)
