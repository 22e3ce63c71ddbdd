"""Tuning curves: the score of a unit by each attribute of photographs, a panel an attribute, as a picture."""

import io
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

NAMED = 8  # photographs that have a name and a colour; of more all are grey


def sheet(
    curves: Mapping[str, np.ndarray],
    levels: Mapping[str, Sequence[float]],
    units: Mapping[str, str],
    names: Sequence[str],
    title: str,
) -> np.ndarray:
    """A line a photograph, and the median where there are several; uint8 ``[H, W, 3]``.

    Args:
      curves: by attribute, ``[levels, photographs]``.
      levels: by attribute.
      units: of the levels.
      names: of the photographs.
      title: what the score is of.
    """
    from matplotlib.figure import Figure

    figure = Figure((2.9 * len(curves), 3.4), dpi=100, layout="constrained")
    panels = figure.subplots(1, len(curves), sharey=True, squeeze=False)[0]
    for panel, (attribute, values) in zip(panels, curves.items(), strict=True):
        for k, line in enumerate(values.T):
            shown = {"label": names[k]} if len(names) <= NAMED else {"color": "#999999", "linewidth": 0.8}
            panel.plot(levels[attribute], line, **shown)
        if len(names) > 1:
            median = np.median(values, axis=1)
            panel.plot(levels[attribute], median, color="black", linewidth=2, linestyle="--", label="median")
        panel.set_xlabel(f"{attribute}, {units[attribute]}", fontsize=9)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("score", fontsize=9)
    handles, labels = panels[0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside right center", frameon=False, fontsize=8)
    figure.suptitle(title, fontsize=10)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return np.asarray(Image.open(file).convert("RGB"))
