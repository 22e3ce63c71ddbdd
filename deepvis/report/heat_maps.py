"""Heat maps: a `Comparison` on a full grid -> medians over filters for each two factors, a map a measure."""

import itertools
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from deepvis.report import short_names
from deepvis.report.comparison import Comparison
from deepvis.report.figures import INK, STYLE

MEASURES = ("score", "robustness", "high_frequency", "total_variation")
SPAN = 0.1  # of the largest value: colours span at least so much, so that a small difference looks small
LONG = 8  # characters; longer labels would run into one another, and are turned
MOST = 28  # characters of a label


@matplotlib.rc_context(STYLE)
def drawn(compared: Comparison) -> dict[tuple[str, ...], dict[str, Figure]]:
    """By factors and by measure; where there are more factors, the others are averaged."""
    maps: dict[tuple[str, ...], dict[str, Figure]] = {}
    # A single factor has a map of one row.
    levels = dict(compared.levels) if len(compared.levels) > 1 else {"": [""], **compared.levels}
    factors, shape = list(levels), list(map(len, levels.values()))
    for a, b in itertools.combinations(range(len(factors)), 2):
        labels = [short_names.of([_text(level) for level in levels[factors[k]]], MOST) for k in (a, b)]
        by_measure = {}
        for name in (each for each in MEASURES if each in compared.values):
            table = compared.values[name].reshape(*shape, -1)
            table = table.mean(axis=tuple(k for k in range(len(shape)) if k not in (a, b)))
            finite = np.isfinite(table).any(axis=-1)
            medians = np.full(table.shape[:2], np.nan)
            medians[finite] = np.nanmedian(table[finite], axis=-1)
            by_measure[name] = _map(medians, (factors[a], factors[b]), labels)
        maps[tuple(filter(None, (factors[a], factors[b])))] = by_measure
    return maps


def colour_range(medians: np.ndarray) -> tuple[float, float]:
    """The values of the first and the last colour.

    They span at least a tenth of the largest value: differences of a per cent would else take all colours.
    """
    finite = medians[np.isfinite(medians)]
    if not len(finite):
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    missing = SPAN * float(np.abs(finite).max()) - (high - low)
    if missing > 0:
        low, high = low - missing / 2, high + missing / 2
    return (low, high) if low < high else (low - 0.5, high + 0.5)


def _map(medians: np.ndarray, factors: Sequence[str], labels: Sequence[Sequence[str]]) -> Figure:
    one, other = labels
    longest = [max(map(len, each)) for each in labels]
    is_turned = longest[1] > LONG
    wide = max(2.2, 0.55 * len(other)) + 0.9 + 0.07 * longest[0]
    high = max(1.0, 0.42 * len(one)) + 0.6 + (0.055 * longest[1] if is_turned else 0)
    figure = Figure((wide, high), layout="constrained")
    panel = figure.subplots()
    low, top = colour_range(medians)
    image = panel.imshow(medians, cmap="cividis", aspect="auto", vmin=low, vmax=top)
    for (i, j), value in np.ndenumerate(medians):
        ink = "#000000" if value > (low + top) / 2 else "#ffffff"
        text, ink = (f"{value:.3g}", ink) if np.isfinite(value) else ("–", INK)
        panel.text(j, i, text, ha="center", va="center", color=ink)
    turned: dict[str, Any] = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if is_turned else {}
    panel.set_xticks(range(len(other)), other, **turned)
    panel.set_yticks(range(len(one)), one)
    panel.set(xlabel=factors[1], ylabel=factors[0])
    panel.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=panel, pad=0.03, aspect=14)
    bar.outline.set_visible(False)
    bar.set_ticks([low, top], labels=[f"{low:.3g}", f"{top:.3g}"])
    return figure


def _text(level: object) -> str:
    return f"{level:.10g}" if isinstance(level, float) else str(level)
