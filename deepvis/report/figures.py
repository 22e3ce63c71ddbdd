"""Figures: a `Comparison` -> what matplotlib draws; and as SVG for a page whose CSS has --ink and --line.

No figure needs its colours: panels, markers and numbers distinguish everything.
"""

import io
import itertools
import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

from deepvis.report.comparison import Comparison

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

INK, LINE = "#010203", "#0072b2"  # stand for the page's own colours
MOST = 16  # panels of curves, and names in the trade-off
MAPS = ("score", "robustness", "high_frequency", "total_variation")
STYLE: "dict[RcKeyType, Any]" = {
    "svg.fonttype": "none", "font.size": 9, "axes.titlesize": 9, "font.family": "sans-serif",
    "text.color": INK, "axes.edgecolor": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK,
    "axes.spines.top": False, "axes.spines.right": False,
}  # fmt: skip


@matplotlib.rc_context(STYLE)
def curves(compared: Comparison) -> Figure:
    """The score by step, a panel a setting: median over filters and seeds, quartiles and deciles.

    Grey lines are the medians of the other settings.
    """
    by_setting: dict[int, list[np.ndarray]] = {}
    for job in compared.jobs:
        by_setting.setdefault(job.setting, []).append(job.result.history["score"])
    quantiles = {}
    for setting, histories in sorted(by_setting.items())[:MOST]:
        length = max(map(len, histories))
        padded = [np.pad(h, ((0, length - len(h)), (0, 0)), constant_values=np.nan) for h in histories]
        scores = np.concatenate(padded, axis=1).astype(float)
        scores[~np.isfinite(scores)] = np.nan
        finite = np.isfinite(scores).any(axis=1)
        quantiles[setting] = np.full((5, length), np.nan)
        quantiles[setting][:, finite] = np.nanquantile(scores[finite], (0.1, 0.25, 0.5, 0.75, 0.9), axis=1)
    columns = min(4, len(quantiles))
    rows = math.ceil(len(quantiles) / columns)
    figure = Figure((2.6 * columns + 0.6, 1.9 * rows + 0.5), layout="constrained")
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for panel in panels.flat[len(quantiles) :]:
        panel.set_axis_off()
    for panel in panels.flat[len(quantiles) - columns : len(quantiles)]:  # the last of each column
        panel.tick_params(labelbottom=True)
    for panel, (setting, (p10, p25, p50, p75, p90)) in zip(panels.flat, quantiles.items(), strict=False):
        for other in quantiles.values():
            panel.plot(other[2], color="#888888", linewidth=0.6, alpha=0.6)
        steps = np.arange(len(p50))
        panel.fill_between(steps, p10, p90, color=LINE, alpha=0.15, linewidth=0)
        panel.fill_between(steps, p25, p75, color=LINE, alpha=0.3, linewidth=0)
        panel.plot(p50, color=LINE, linewidth=2)
        panel.set_title(broken(compared.name(setting), 34))
    ends = [np.abs(rows[2][-1]) for rows in quantiles.values() if np.isfinite(rows[2][-1])]
    if _is_wide(ends):  # on a straight scale the lowest panels would be flat
        panels[0, 0].set_yscale("asinh", linear_width=max(min(ends), max(ends) / 1000))
        decades = [10.0**k for k in range(-4, 9) if min(ends) / 3 < 10.0**k < 3 * max(ends)]
        panels[0, 0].set_yticks([0, *decades], [f"{tick:g}" for tick in (0, *decades)])
        panels[0, 0].minorticks_off()
    figure.supxlabel("steps", fontsize=9, color=INK)
    figure.supylabel("score", fontsize=9, color=INK)
    return figure


@matplotlib.rc_context(STYLE)
def heatmaps(compared: Comparison) -> dict[tuple[str, ...], Figure]:
    """Medians over filters for each two factors of a full grid, the others averaged; a map a measure."""
    maps = {}
    # A single factor has a map of one row.
    levels = dict(compared.levels) if len(compared.levels) > 1 else {"": [""], **compared.levels}
    factors, shape = list(levels), list(map(len, levels.values()))
    for a, b in itertools.combinations(range(len(factors)), 2):
        one, other = levels[factors[a]], levels[factors[b]]
        shown = [name for name in MAPS if name in compared.values]
        letters = [max(len(str(level)) for level in levels[factors[k]]) for k in (a, b)]
        is_long = letters[1] > 8  # labels that would run into one another are turned
        wide, left = max(2.4, 0.62 * len(other) + 1.2), max(0.0, 0.07 * (letters[0] - 8))
        high = 0.42 * len(one) + 1.1 + (0.05 * letters[1] if is_long else 0)
        figure = Figure((wide * len(shown) + left, high), layout="constrained")
        panels = figure.subplots(1, len(shown), squeeze=False)[0]
        for panel, name in zip(panels, shown, strict=True):
            table = compared.values[name].reshape(*shape, -1)
            table = table.mean(axis=tuple(k for k in range(len(shape)) if k not in (a, b)))
            finite = np.isfinite(table).any(axis=-1)
            medians = np.full(table.shape[:2], np.nan)
            medians[finite] = np.nanmedian(table[finite], axis=-1)
            panel.imshow(medians, cmap="cividis", aspect="auto")
            middle = (np.nanmin(medians) + np.nanmax(medians)) / 2 if finite.any() else 0.0
            for (i, j), value in np.ndenumerate(medians):
                ink = "#000000" if value > middle else "#ffffff"
                panel.text(j, i, f"{value:.3g}", ha="center", va="center", color=ink)
            turned = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if is_long else {}
            panel.set_xticks(range(len(other)), [str(level) for level in other], **turned)
            panel.set_yticks(range(len(one)), [str(level) for level in one])
            panel.set(title=name, xlabel=factors[b])
            panel.spines[:].set_visible(False)
        panels[0].set_ylabel(factors[a])
        maps[tuple(filter(None, (factors[a], factors[b])))] = figure
    return maps


@matplotlib.rc_context(STYLE)
def tradeoff(points: np.ndarray, names: Sequence[str], axes: tuple[str, str], on_front: np.ndarray) -> Figure:
    """Two measures against each other, ``[settings, 2]``; the Pareto-optimal settings are joined."""
    figure = Figure((8.4, 4.2), layout="constrained")
    panel = figure.subplots()
    rest, best = points[~on_front], points[on_front][np.argsort(points[on_front][:, 0])]
    panel.plot(*rest.T, "o", color="none", markeredgecolor=INK, markersize=6, label="dominated by another")
    panel.plot(*best.T, "-D", color=LINE, markersize=8, linewidth=1, label="Pareto-optimal")
    panel.margins(0.08)
    order: list[int] = np.argsort(~on_front, kind="stable")[:MOST].tolist()
    named = [k for k in order if np.isfinite(points[k]).all()]
    for number, k in enumerate(named, start=1):
        panel.annotate(str(number), tuple(points[k]), (7, 4), textcoords="offset points", fontsize=8)
    key = "\n".join(f"{number}  {broken(names[k], 34)}" for number, k in enumerate(named, start=1))
    panel.annotate(key, (1.03, 0), xycoords="axes fraction", fontsize=8, linespacing=1.5)
    if (points[named] > 0).all() and _is_wide(points[named, 0]):
        panel.set_xscale("log")
        panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.xaxis.set_major_formatter(FormatStrFormatter("%g"))
        panel.xaxis.set_minor_formatter(NullFormatter())
    panel.set(xlabel=axes[0], ylabel=axes[1])
    panel.grid(alpha=0.25)
    panel.legend(frameon=False, fontsize=8, loc="best")
    return figure


def _is_wide(values: Sequence[float] | np.ndarray) -> bool:
    return len(values) > 1 and max(values) > 8 * min(values)


def broken(name: str, width: int) -> str:
    """A name on several lines, if it is longer than one: its end is what tells it from the others."""
    return "\n".join(textwrap.wrap(name, width, break_on_hyphens=False)) or name


def svg(figure: Figure, title: str) -> str:
    """The figure as part of a page: without a head, in the page's colours."""
    file = io.StringIO()
    style: dict[RcKeyType, Any] = {**STYLE, "svg.hashsalt": title}  # so that no two figures share an id
    with matplotlib.rc_context(style):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    text = file.getvalue()
    text = text[text.index("<svg") :].replace(INK, "var(--ink)").replace(LINE, "var(--line)")
    return text.replace("<svg", f'<svg role="img" aria-label="{title}"', 1)
