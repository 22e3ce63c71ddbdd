"""Natural examples in the report: the galleries that jobs left, as large as a page takes them."""

import base64
import io
from typing import NamedTuple

from PIL import Image, ImageOps

from deepvis.report.comparison import Comparison
from deepvis.results.result_folder import EXAMPLES

MOST = 8  # galleries of a page
WIDE, HIGH = 1400, 6000  # px


class Shown(NamedTuple):
    """A gallery on the page."""

    name: str  # the job's
    picture: str  # WebP in base64
    width: int
    height: int


def of(compared: Comparison) -> tuple[list[Shown], int]:
    """The galleries of the first jobs that have some, and how many there are in all."""
    files = [
        (job.result.name, file) for job in compared.jobs if (file := job.folder / f"{EXAMPLES}.png").is_file()
    ]
    shown = []
    for name, file in files[:MOST]:
        with Image.open(file) as image:
            small = (
                image
                if image.width <= WIDE and image.height <= HIGH
                else ImageOps.contain(image, (WIDE, HIGH))
            )
            content = io.BytesIO()
            small.convert("RGB").save(content, "webp", quality=80)
        shown.append(Shown(name, base64.b64encode(content.getvalue()).decode(), small.width, small.height))
    return shown, len(files)
