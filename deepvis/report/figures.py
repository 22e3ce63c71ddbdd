"""Figures: what those of a report share: their style, and SVG for a page whose CSS has --ink and --line.

No figure needs its colours: panels, markers and numbers distinguish everything.
"""

import io
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

INK, LINE = "#010203", "#0072b2"  # stand for the page's own colours
STYLE: "dict[RcKeyType, Any]" = {
    "svg.fonttype": "none", "font.size": 9, "axes.titlesize": 9, "font.family": "sans-serif",
    "text.color": INK, "axes.edgecolor": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK,
    "axes.spines.top": False, "axes.spines.right": False,
}  # fmt: skip


def is_wide(values: Sequence[float] | np.ndarray) -> bool:
    """Whether values above zero are better told apart on a logarithmic scale."""
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
