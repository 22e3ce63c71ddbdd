"""The trade-off: two measures of each setting against each other, with intervals, names and what is optimal.

An interval is that of the median over filters once each filter's own level, its mean over the settings, is
taken out: settings are compared filter by filter, and how much filters differ from one another is no doubt
about a setting.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter
from scipy import stats

from deepvis.report import front, short_names
from deepvis.report.comparison import Comparison
from deepvis.report.effects import TestedEffect
from deepvis.report.figures import INK, LINE, STYLE, is_wide

MOST = 24  # characters of a name beside its point
NOT_TESTED = "not tested"  # against another setting: there are too many settings, or too few filters
# Marker, colour of the inside and of the edge, by what is known of a setting.
MARKERS = {
    front.OPTIMAL: ("D", LINE, LINE),
    front.TIED: ("D", "none", LINE),
    front.DOMINATED: ("o", "none", INK),
    NOT_TESTED: ("s", "none", INK),
}
LETTER = 0.58  # of the font's size: the width of a letter
PLACES = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1))


@dataclass(frozen=True)
class TradeOff:
    """Points, and what is said of them."""

    axes: tuple[str, str]
    names: Sequence[str]
    points: np.ndarray  # [settings, 2]
    intervals: np.ndarray  # [settings, 2, 2]: low and high of each measure; NaN where there is none
    status: Sequence[str]  # one of MARKERS
    named: Sequence[int]  # whose names stand beside their points


def intervals(values: np.ndarray) -> np.ndarray:
    """95 % intervals of medians over filters, ``[settings, 2]``, from ``[settings, filters]``.

    Filters' own levels are taken out: as ratios where all values are above 0, else as differences. The
    interval is that between two order statistics; there is none of fewer than six filters.
    """
    known = values[:, np.isfinite(values).all(axis=0)]
    n = known.shape[1]
    if n < 6 or len(known) < 2:
        return np.full((len(values), 2), np.nan)
    is_ratio = bool((known > 0).all())
    scaled = np.log(known) if is_ratio else known
    centred = np.sort(scaled - scaled.mean(axis=0), axis=1)
    first = int(stats.binom.ppf(0.025, n, 0.5)) - 1
    first = max(first + (stats.binom.cdf(first + 1, n, 0.5) <= 0.025), 0)
    ends = centred[:, [first, n - 1 - first]] - np.median(centred, axis=1)[:, None]
    medians = np.median(known, axis=1)[:, None]
    return medians * np.exp(ends) if is_ratio else medians + ends


def statuses(tests: Sequence[TestedEffect], settings: int) -> list[str]:
    """What the tests of a part make of each of its settings."""
    known = front.pairs(tests, settings)
    return [kind if known.tested[:, k].any() else NOT_TESTED for k, kind in enumerate(front.of(known))]


def of(compared: Comparison, status: Sequence[str], named: Sequence[int]) -> TradeOff | None:
    """Score against robustness by setting; None where there is nothing to draw."""
    if len(compared.settings) < 2 or "robustness" not in compared.values:
        return None
    axes = ("score", "robustness")
    points = np.stack([compared.medians(name) for name in axes], axis=1)
    if not np.isfinite(points).all(axis=1).any():
        return None
    spans = np.stack([intervals(compared.values[name]) for name in axes], axis=1)
    names = [compared.name(setting) for setting in range(len(compared.settings))]
    return TradeOff(axes, names, points, spans, status, named)


@matplotlib.rc_context(STYLE)
def figure(of: TradeOff, width: float = 8.4) -> Figure:
    """The trade-off as a figure of so many inches."""
    drawn = Figure((width, 4.4), layout="constrained")
    panel = drawn.subplots()
    is_known = [bool(np.isfinite(point).all()) for point in of.points]
    for words, (marker, face, edge) in MARKERS.items():
        which = [k for k, known in enumerate(is_known) if known and of.status[k] == words]
        if not which:
            continue
        for k in which:
            for axis, (low, high) in enumerate(of.intervals[k]):
                fixed = [of.points[k, 1 - axis]] * 2
                line = ([low, high], fixed) if axis == 0 else (fixed, [low, high])
                panel.plot(*line, color=edge, linewidth=0.9, alpha=0.55)
        panel.plot(*of.points[which].T, marker, color=face, markeredgecolor=edge, markersize=7, label=words)
    panel.margins(0.12)
    shown = of.points[is_known]
    if (shown > 0).all() and is_wide(shown[:, 0]):
        panel.set_xscale("log")
        panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.xaxis.set_major_formatter(FormatStrFormatter("%g"))
        panel.xaxis.set_minor_formatter(NullFormatter())
    panel.set(xlabel=of.axes[0], ylabel=of.axes[1])
    panel.grid(alpha=0.25)
    drawn.legend(frameon=False, fontsize=8, loc="outside upper left", ncols=3)
    drawn.draw_without_rendering()  # so that points have their places
    _label(panel, of, [k for k in of.named if is_known[k]])
    return drawn


def _label(panel: Axes, of: TradeOff, named: Sequence[int]) -> None:
    """Names beside their points, where nothing else stands; one label for points that are the same."""
    texts = dict(zip(named, short_names.of([of.names[k] for k in named], MOST), strict=True))
    scale = panel.figure.dpi / 72  # px a point
    pixels = panel.transData.transform(of.points)
    frame = panel.get_window_extent()
    known = pixels[np.isfinite(pixels).all(axis=1)]
    taken: list[Box] = [(x - 5, y - 5, x + 5, y + 5) for x, y in known.tolist()]
    for k, axis in itertools.product(named, (0, 1)):  # a name across a whisker is hard to read
        ends = np.tile(of.points[k], (2, 1))
        ends[:, axis] = of.intervals[k, axis]
        if np.isfinite(ends).all():
            (x0, y0), (x1, y1) = np.sort(panel.transData.transform(ends), axis=0).tolist()
            taken.append((x0 - 2, y0 - 2, x1 + 2, y1 + 2))
    while texts:
        k = next(iter(texts))
        same = [each for each in texts if np.hypot(*(pixels[each] - pixels[k])) < 2]
        text = "\n".join(texts.pop(each) for each in same)
        lines = text.split("\n")
        wide, high = LETTER * 8 * scale * max(map(len, lines)), 9.6 * scale * len(lines)
        best: tuple[float, tuple[float, float]] | None = None
        for distance in (8, 16, 26, 38):
            for dx, dy in PLACES:
                x = pixels[k][0] + dx * (distance * scale + wide / 2)
                y = pixels[k][1] + dy * (distance * scale / (1.5 if dx else 1) + high / 2)
                box = (x - wide / 2, y - high / 2, x + wide / 2, y + high / 2)
                is_outside = box[0] < frame.x0 or box[1] < frame.y0 or box[2] > frame.x1 or box[3] > frame.y1
                cost = sum(_shared(box, other) for other in taken) + 1e4 * is_outside + distance
                if best is None or cost < best[0]:
                    best = (cost, (x, y))
        assert best is not None
        x, y = best[1]
        taken.append((x - wide / 2, y - high / 2, x + wide / 2, y + high / 2))
        offset = ((x - pixels[k][0]) / scale, (y - pixels[k][1]) / scale)
        is_far = np.hypot(max(abs(offset[0]) - wide / scale / 2, 0), offset[1]) > 14
        arrow = {"arrowstyle": "-", "linewidth": 0.5, "color": INK, "alpha": 0.5} if is_far else None
        label = panel.annotate(
            text, (float(of.points[k][0]), float(of.points[k][1])), offset, textcoords="offset points",
            fontsize=8, ha="center", va="center", annotation_clip=False, arrowprops=arrow,
        )  # fmt: skip
        label.set_in_layout(False)  # it would move the points


Box = tuple[float, float, float, float]  # left, bottom, right, top


def _shared(one: Box, other: Box) -> float:
    """The area that two boxes share."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    return max(wide, 0) * max(high, 0)
