"""Tables and picture of this study, from its sweep.

python experiments/decay_blur/make.py outputs/<sweep>
"""

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
import study

COLUMNS = ("activation", "robustness", "retained_translation", "total_variation", "high_frequency",
           "spectral_slope")  # fmt: skip
PARTS = ("retained_rotation", "retained_scaling", "retained_jpeg", "retained_noise")  # shown, not tested
ACROSS = ("diversity", "reproducibility")
SHOWN = (0, 3, 12, 20)  # filters of the picture


def comparisons(levels: dict, values: dict, floors: dict) -> Iterator[dict]:
    """Friedman's test of each factor, main effects, interactions, and the last decay at each blur."""
    decays, blurs = levels["decay"], levels["blur"]
    for name, floor in floors.items():
        grid = values[name]
        for axis, factor in enumerate(levels):
            p = study.friedman(grid.mean(axis=1 - axis))
            yield {"measure": name, "comparison": f"{factor}: any", "p": p}
        largest = floor.max(axis=(0, 1))  # to be on the safe side
        found = [(each.name, each.effect) for each in study.contrasts(levels, grid, largest)]
        for (j, blur), i in itertools.product(enumerate(blurs), sorted({0, len(decays) - 2})):
            own = study.effect(grid[-1, j] - grid[i, j], np.maximum(floor[-1, j], floor[i, j]))
            found.append((f"decay: {decays[-1]} against {decays[i]} at blur {blur}", own))
        for comparison, effect in found:
            beyond = round(effect.n * effect.moved) if np.isfinite(floor).any() else ""
            row = {"measure": name, "comparison": comparison} | study.columns(effect, name)
            yield row | {"beyond_noise_floor": beyond}


def cells(levels: dict, values: dict, floors: dict) -> Iterator[dict]:
    """Medians over filters of each cell of the grid, and of the noise floor."""
    for (i, decay), (j, blur) in itertools.product(*(enumerate(own) for own in levels.values())):
        row = {"decay": decay, "blur": blur}
        row |= {name: study.unit(name)(np.nanmedian(grid[i, j])) for name, grid in values.items()}
        row["activation_floor_percent"] = 100 * float(np.nanmedian(floors["activation"][i, j]))
        yield row | {f"{name}_floor": float(np.nanmedian(floors[name][i, j])) for name in COLUMNS[1:]}


def make(to: Path, sweep: Path) -> None:
    grid = study.grid(sweep, decay="reg.decay", blur="reg.blur")
    values = {name: grid.values(name) for name in (*COLUMNS, *PARTS)}
    values |= {name: grid.across_seeds(name) for name in ACROSS}
    floors = {name: grid.floor(name) for name in COLUMNS}
    floors |= {
        name: np.full_like(values[name], np.nan) for name in ACROSS
    }  # no features of replicas are kept
    found = list(comparisons(grid.levels, values, floors))
    study.holm(found)
    study.table(to / "results.csv", found, digits=3)
    study.table(to / "cells.csv", cells(grid.levels, values, floors), digits=3)
    blurs = grid.levels["blur"]
    shown = list(itertools.product(grid.levels["decay"], (blurs[0], blurs[-1])))
    filters = [each for each in SHOWN if each in grid.at(*shown[0]).result.filters]
    rows = [[grid.at(*cell).picture(each) for cell in shown] for each in filters]
    titles = [f"decay {decay} blur {blur}" for decay, blur in shown]
    study.pictures(to / "pictures.jpg", rows, [study.label(each) for each in filters], titles, quality=80)


if __name__ == "__main__":
    study.run(__file__, make, "sweep")
