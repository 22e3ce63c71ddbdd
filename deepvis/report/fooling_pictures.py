"""Pictures of fooling images: the photograph, what was added, the result, and the confidence by step."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from deepvis.report.heat_pictures import MARGIN, SMALLEST, shown

if TYPE_CHECKING:
    from deepvis.attribution.fooling import Fooled

TOP = 20  # px above a row, for its line


def sheet(images: np.ndarray, found: "Fooled", names: Sequence[str]) -> np.ndarray:
    """A row a photograph: uint8 [H, W, 3]; what was added is shown enlarged, around grey."""
    rows = []
    for k, name in enumerate(names):
        change = found.images[k] - images[k]
        factor = 127 / max(float(np.abs(change).max()), 1e-6)
        first, last = found.confidence[0, k], found.confidence[-1, k]
        sizes = f"change {found.rms[-1, k]:.2g} grey levels (rms), shown x {factor:.3g}"
        line = f"{name}: confidence {first:.3g} -> {last:.3g}; {sizes}"
        panels = [shown(images[k]), shown(127.5 + factor * change), shown(found.images[k])]
        times = max(1, -(-SMALLEST // panels[0].shape[1]))
        panels = [each.repeat(times, axis=0).repeat(times, axis=1) for each in panels]
        height, width = panels[0].shape[:2]
        page = Image.new("RGB", (3 * (width + MARGIN) + 3 * height // 2, TOP + height + MARGIN), "white")
        for place, panel in enumerate([*panels, _curve(found.confidence[:, k], (height, 3 * height // 2))]):
            page.paste(Image.fromarray(panel), (place * (width + MARGIN), TOP))
        ImageDraw.Draw(page).text((2, 2), line, "black", ImageFont.load_default(size=12))
        rows.append(np.asarray(page))
    return np.concatenate(rows)


def _curve(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Confidence by step, uint8 of that size."""
    from matplotlib.figure import Figure

    figure = Figure((size[1] / 80, size[0] / 80), dpi=80, layout="constrained")
    panel = figure.subplots()
    panel.plot(values, color="#0072b2")
    panel.set_xlabel("step", fontsize=8)
    panel.set_ylabel("confidence", fontsize=8)
    panel.tick_params(labelsize=7)
    panel.spines[["top", "right"]].set_visible(False)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    picture = Image.open(file).convert("RGB").resize((size[1], size[0]))
    return np.asarray(picture)
