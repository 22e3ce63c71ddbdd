"""Tables and picture of this study, from its sweep.

python experiments/decay_blur/make.py outputs/<sweep>
"""

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from deepvis.core import images
from deepvis.core.files import write_csv
from deepvis.metrics import across_seeds, statistics
from deepvis.results import result_folder
from deepvis.sweeps import tables

HERE = Path(__file__).parent
LEVELS = {"decay": (1, 0.99, 0.9, 0.8), "blur": (0, 3, 5)}
COLUMNS = (
    "activation",
    "robustness",
    "retained_translation",
    "total_variation",
    "high_frequency",
    "spectral_slope",
)
PARTS = ("retained_rotation", "retained_scaling", "retained_jpeg", "retained_noise")  # shown, not tested
SHOWN = (0, 3, 12, 20)  # filters of the picture


def grids(sweep: Path) -> tuple[dict, dict]:
    """Of each measure its values and its noise floor, seeds averaged: [decays, blurs, filters].

    Activation in logarithms, for decay and blur change it by factors.
    """
    frame = tables.results(sweep.name, sweep.parent)  # in the order of the sweep: decay, blur, seed, filter
    frame["activation_floor"] /= frame["activation"]  # of a logarithm, as long as it is small
    frame["activation"] = np.log(frame["activation"].where(frame["activation"] > 0))
    shape = [*map(len, LEVELS.values()), frame["seed"].nunique(), frame["filter"].nunique()]
    values = {name: frame[name].to_numpy().reshape(shape).mean(axis=2) for name in (*COLUMNS, *PARTS)}
    floors = {name: frame[f"{name}_floor"].to_numpy().reshape(shape).mean(axis=2) for name in COLUMNS}
    features = np.stack(
        [result_folder.read(place).features["post"] for place in result_folder.finished(sweep)]
    )
    features = features.reshape(*shape, -1)
    for name, measure in (
        ("diversity", across_seeds.diversity),
        ("reproducibility", across_seeds.reproducibility),
    ):
        values[name] = np.stack([[measure(cell) for cell in row] for row in features])
        floors[name] = np.full_like(values[name], np.nan)  # the features of twins are not kept
    return values, floors


def comparisons(values: dict, floors: dict) -> Iterator[dict]:
    """Friedman's test of each factor, main effects, interactions, and the last decay at each blur."""
    for name, floor in floors.items():
        grid = values[name]
        for axis, factor in enumerate(LEVELS):
            p = statistics.friedman(grid.mean(axis=1 - axis))
            yield {"measure": name, "comparison": f"{factor}: any", "p": p}
        largest = floor.max(axis=(0, 1))  # to be on the safe side
        found = [(each.name, each.effect) for each in statistics.contrasts(LEVELS, grid, largest)]
        for (j, blur), i in itertools.product(enumerate(LEVELS["blur"]), (0, 2)):
            own = statistics.effect(grid[3, j] - grid[i, j], np.maximum(floor[3, j], floor[i, j]))
            found.append((f"decay: 0.8 - {LEVELS['decay'][i]} at blur {blur}", own))
        unit = np.exp if name == "activation" else float
        for comparison, e in found:
            yield {
                "measure": name, "comparison": comparison, "p": e.p, "filters": e.n,
                "median": float(unit(e.median)), "low": float(unit(e.low)), "high": float(unit(e.high)),
                "higher": round(e.n * e.up),
                "moved": round(e.n * e.moved) if np.isfinite(floor).any() else "",
            }  # fmt: skip


def cells(values: dict, floors: dict) -> Iterator[dict]:
    """Medians over filters of each cell of the grid, and of the floor."""
    for i, decay in enumerate(LEVELS["decay"]):
        for j, blur in enumerate(LEVELS["blur"]):
            row = {"decay": decay, "blur": blur}
            for name, grid in values.items():
                median = float(np.nanmedian(grid[i, j]))
                row[name] = float(np.exp(median)) if name == "activation" else median
            row["activation_floor_percent"] = 100 * float(np.nanmedian(floors["activation"][i, j]))
            for name in COLUMNS[1:]:
                row[f"{name}_floor"] = float(np.nanmedian(floors[name][i, j]))
            yield row


def picture(sweep: Path) -> np.ndarray:
    """Seed 0."""
    places = {
        place.parent.name.partition("_")[2]: place / "filters" for place in result_folder.finished(sweep)
    }
    columns = [(d, b) for d in LEVELS["decay"] for b in (0, 5)]
    folders = [places[f"decay={d}_blur={b}_seed=0"] for d, b in columns]
    labels = [result_folder.label(f) for f in SHOWN]
    shown = [[np.asarray(Image.open(folder / f"{label}.png")) for folder in folders] for label in labels]
    return images.contact_sheet(shown, labels, [f"decay {d} blur {b}" for d, b in columns])


def main(sweep: Path) -> None:
    values, floors = grids(sweep)
    found = list(comparisons(values, floors))
    for row, p in zip(found, statistics.holm([row["p"] for row in found]), strict=True):
        row["p_holm"] = float(p)
    write_csv(HERE / "results.csv", found, digits=3)
    write_csv(HERE / "cells.csv", list(cells(values, floors)), digits=3)
    Image.fromarray(picture(sweep)).save(HERE / "pictures.jpg", quality=80)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
