"""Tables and picture of this study, from its sweep.

python experiments/norm_percentile/make.py outputs/<sweep>
"""

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
import study

COLUMNS = ("activation", "robustness", "margin", "sparsity", "total_variation", "high_frequency",
           "spectral_slope")  # fmt: skip
ACROSS = ("diversity", "reproducibility")
SHOWN = (0, 3, 12, 20)  # filters of the picture


def comparisons(levels: dict, values: dict) -> Iterator[dict]:
    """Each percentile against none at each decay, and the difference between the decays; Friedman's test."""
    percentiles, decays = levels["percentile"], levels["decay"]
    for name, grid in values.items():
        change = grid - grid[0]
        for i, decay in enumerate(decays):
            own = {"measure": name, "decay": decay}
            yield own | {"percentile": "any", "p": study.friedman(grid[:, i])}
            for j, percentile in enumerate(percentiles[1:], start=1):
                found = study.columns(study.effect(change[j, i]), name)
                yield own | {"percentile": percentile} | found
        for j, percentile in enumerate(percentiles[1:], start=1):
            found = study.columns(study.effect(change[j, -1] - change[j, 0]), name)
            compared = f"{decays[-1]} against {decays[0]}"
            yield {"measure": name, "decay": compared, "percentile": percentile} | found


def cells(levels: dict, values: dict) -> Iterator[dict]:
    """Medians over filters."""
    for i, decay in enumerate(levels["decay"]):
        for j, percentile in enumerate(levels["percentile"]):
            row = {name: study.unit(name)(np.nanmedian(grid[j, i])) for name, grid in values.items()}
            yield {"decay": decay, "percentile": percentile} | row


def make(to: Path, sweep: Path) -> None:
    grid = study.grid(sweep, percentile="reg.norm_percentile", decay="reg.decay")
    values = {name: grid.values(name) for name in COLUMNS}
    values |= {name: grid.across_seeds(name) for name in ACROSS}
    found = list(comparisons(grid.levels, values))
    study.holm(found)
    study.table(to / "results.csv", found, digits=3)
    study.table(to / "cells.csv", cells(grid.levels, values), digits=3)
    percentiles = [each for each in grid.levels["percentile"] if each != 1]  # looks like none
    shown = list(itertools.product(grid.levels["decay"], percentiles))
    filters = [each for each in SHOWN if each in grid.jobs.flat[0].result.filters]
    rows = [[grid.at(p, decay).picture(each) for decay, p in shown] for each in filters]
    titles = [f"decay {decay} pct. {p}" for decay, p in shown]
    study.pictures(to / "pictures.jpg", rows, [study.label(each) for each in filters], titles, quality=80)


if __name__ == "__main__":
    study.run(__file__, make, "sweep")
