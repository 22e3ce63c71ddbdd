"""Optimization curves: a `Comparison` -> the score by step, a panel a setting, all on one scale."""

import math
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from deepvis.report.comparison import Comparison
from deepvis.report.figures import INK, LINE, STYLE, broken, is_wide

POINTS = 120  # of a curve; of more steps so many are drawn, the first and the last among them
LABEL = 0.12  # of a panel's height, that a label of a tick takes
LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9)
Quantiles = Mapping[int, np.ndarray]  # by setting: of the score over filters and seeds, [5, steps + 1]


def quantiles(compared: Comparison, settings: Sequence[int]) -> dict[int, np.ndarray]:
    """Deciles, quartiles and median of the score over filters and seeds, by step; NaN where there is none."""
    found = {}
    for setting in settings:
        histories = [job.result.history["score"] for job in compared.jobs if job.setting == setting]
        length = max(map(len, histories))
        padded = [np.pad(h, ((0, length - len(h)), (0, 0)), constant_values=np.nan) for h in histories]
        scores = np.concatenate(padded, axis=1).astype(float)
        scores[~np.isfinite(scores)] = np.nan
        finite = np.isfinite(scores).any(axis=1)
        found[setting] = np.full((len(LEVELS), length), np.nan)
        found[setting][:, finite] = np.nanquantile(scores[finite], LEVELS, axis=1)
    return found


@matplotlib.rc_context(STYLE)
def sheet(compared: Comparison, settings: Sequence[int]) -> Figure:
    """All panels in one figure."""
    drawn = quantiles(compared, settings)
    columns = min(4, len(drawn))
    rows = math.ceil(len(drawn) / columns)
    figure = Figure((2.6 * columns + 0.6, 1.9 * rows + 0.5), layout="constrained")
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for panel in panels.flat[len(drawn) :]:
        panel.set_axis_off()
    for panel in panels.flat[len(drawn) - columns : len(drawn)]:  # the last of each column
        panel.tick_params(labelbottom=True)
    for panel, setting in zip(panels.flat, drawn, strict=False):
        _draw(panel, drawn, setting)
        panel.set_title(broken(compared.name(setting), 34))
    _scale(panels[0, 0], drawn)
    figure.supxlabel("steps", fontsize=9, color=INK)
    figure.supylabel("score", fontsize=9, color=INK)
    return figure


@matplotlib.rc_context(STYLE)
def panels(compared: Comparison, settings: Sequence[int]) -> list[tuple[str, Figure]]:
    """A figure a setting, with its name, for a page that lays them out as it is wide."""
    drawn = quantiles(compared, settings)
    spans = [rows[:, np.isfinite(rows).any(axis=0)] for rows in drawn.values()]
    finite = np.concatenate([np.zeros(0), *(span.ravel() for span in spans)])
    margin = 0.05 * np.ptp(finite) if len(finite) else 0.0
    figures = []
    for setting in drawn:
        figure = Figure((2.9, 1.9))  # all of one shape; to have each laid out takes longer than to draw it
        figure.subplots_adjust(left=0.2, right=0.97, bottom=0.24, top=0.91)
        panel = figure.subplots()
        _draw(panel, drawn, setting)
        _scale(panel, drawn)
        if margin:
            panel.set_ylim(finite.min() - margin, finite.max() + margin)
        panel.set_xlim(0, max(max(rows.shape[1] for rows in drawn.values()) - 1, 1))
        panel.set(xlabel="steps", ylabel="score")
        figures.append((compared.name(setting), figure))
    return figures


def _draw(panel: Axes, drawn: Quantiles, setting: int) -> None:
    """The curves of a setting before the medians of the others, which are grey."""
    for other in drawn.values():
        steps = _steps(other.shape[1], POINTS // 2)
        panel.plot(steps, other[2, steps], color="#888888", linewidth=0.6, alpha=0.6)
    steps = _steps(drawn[setting].shape[1], POINTS)
    p10, p25, p50, p75, p90 = drawn[setting][:, steps]
    panel.fill_between(steps, p10, p90, color=LINE, alpha=0.15, linewidth=0)
    panel.fill_between(steps, p25, p75, color=LINE, alpha=0.3, linewidth=0)
    panel.plot(steps, p50, color=LINE, linewidth=2)


def _steps(count: int, most: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))


def _scale(panel: Axes, drawn: Quantiles) -> None:
    ends = [np.abs(rows[2][-1]) for rows in drawn.values() if np.isfinite(rows[2][-1])]
    if is_wide(ends):  # on a straight scale the lowest panels would be flat
        width = max(min(ends), max(ends) / 1000)
        panel.set_yscale("asinh", linear_width=width)
        decades = [10.0**k for k in range(-4, 9) if min(ends) / 3 < 10.0**k < 3 * max(ends)]
        ticks = apart([0, *decades], width, drawn)
        panel.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        panel.minorticks_off()


def apart(ticks: Sequence[float], width: float, drawn: Quantiles) -> list[float]:
    """Those of some ticks, the first among them, whose labels do not touch on an asinh scale."""
    every = np.concatenate([rows.ravel() for rows in drawn.values()])
    least = LABEL * np.ptp(np.arcsinh(every[np.isfinite(every)] / width))
    kept: list[float] = []
    for tick in ticks:
        if not kept or np.arcsinh(tick / width) - np.arcsinh(kept[-1] / width) >= least:
            kept.append(tick)
    return kept
