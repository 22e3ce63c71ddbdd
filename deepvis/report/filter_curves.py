"""Filter curves: the scores of single filters by step -> a figure that a notebook shows."""

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

NAMED = 10  # filters that have a name at the end of their curve; of more the highest and the lowest


class Shown(Figure):
    """A figure that a notebook shows without pyplot."""

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png")
        return file.getvalue()


def curves(score: np.ndarray, captions: Sequence[str], title: str) -> Figure:
    """The score by step, a line a filter, and the median.

    Args:
      score: ``[steps + 1, filters]``.
      captions: of the filters.
      title: what they are filters of.
    """
    figure = Shown((6.4, 3.6), layout="constrained")
    panel = figure.subplots()
    steps = np.arange(len(score))
    lines = [panel.plot(steps, column, linewidth=1)[0] for column in score.T]
    order = np.argsort(np.nan_to_num(score[-1], nan=-np.inf, posinf=-np.inf))[::-1]
    named: list[int] = order.tolist()
    chosen: list[int] = named if len(named) <= NAMED else named[: NAMED // 2] + named[-(NAMED // 2) :]
    panel.legend(
        [lines[i] for i in chosen], [captions[i] for i in chosen], loc="center left", frameon=False,
        bbox_to_anchor=(1, 0.5), fontsize=8, title="filter, by last score", title_fontsize=8,
    )  # fmt: skip
    finite = np.isfinite(score)
    if score.shape[1] > 1:
        middle = [
            np.median(row[known]) if known.any() else np.nan for row, known in zip(score, finite, strict=True)
        ]
        panel.plot(steps, middle, color="black", linewidth=2, linestyle="--")
        title = f"{title}; dashed: the median"
    panel.set_xlabel("step")
    panel.set_ylabel("score")
    panel.set_title(title, fontsize=9)
    panel.spines[["top", "right"]].set_visible(False)
    return figure
