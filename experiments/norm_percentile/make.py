"""Tables and picture of this study, from its sweep.

python experiments/norm_percentile/make.py outputs/<sweep>
"""

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
PERCENTILES, DECAYS = (0, 1, 10, 30, 50), (1, 0.9)
COLUMNS = (
    "activation",
    "robustness",
    "margin",
    "sparsity",
    "total_variation",
    "high_frequency",
    "spectral_slope",
)
SHOWN = (0, 3, 12, 20)  # filters of the picture


def grids(sweep: Path) -> dict[str, np.ndarray]:
    """Of each measure, seeds averaged: [percentiles, decays, filters]; activation in logarithms."""
    frame = tables.results(sweep.name, sweep.parent)  # in the sweep's order: percentile, decay, seed, filter
    frame["activation"] = np.log(frame["activation"].where(frame["activation"] > 0))
    shape = [len(PERCENTILES), len(DECAYS), frame["seed"].nunique(), frame["filter"].nunique()]
    values = {name: frame[name].to_numpy().reshape(shape).mean(axis=2) for name in COLUMNS}
    features = np.stack(
        [result_folder.read(place).features["post"] for place in result_folder.finished(sweep)]
    )
    for name, measure in (
        ("diversity", across_seeds.diversity),
        ("reproducibility", across_seeds.reproducibility),
    ):
        values[name] = np.stack([[measure(cell) for cell in row] for row in features.reshape(*shape, -1)])
    return values


def comparisons(values: dict) -> Iterator[dict]:
    """Each percentile against none at each decay, and the difference between the decays; Friedman's test."""
    for name, grid in values.items():
        unit = np.exp if name == "activation" else float
        change = grid - grid[0]
        for i, decay in enumerate(DECAYS):
            found = {"measure": name, "decay": decay, "percentile": "any"}
            yield found | {"p": statistics.friedman(grid[:, i])}
            for j, percentile in enumerate(PERCENTILES[1:], start=1):
                yield found | {"percentile": percentile} | told(statistics.effect(change[j, i]), unit)
        for j, percentile in enumerate(PERCENTILES[1:], start=1):
            effect = statistics.effect(change[j, 1] - change[j, 0])
            yield {"measure": name, "decay": "0.9 - 1", "percentile": percentile} | told(effect, unit)


def told(effect: statistics.Effect, unit: type) -> dict:
    numbers = {key: float(unit(getattr(effect, key))) for key in ("median", "low", "high")}
    return {"filters": effect.n, **numbers, "higher": round(effect.n * effect.up), "p": effect.p}


def cells(values: dict) -> Iterator[dict]:
    """Medians over filters."""
    for i, decay in enumerate(DECAYS):
        for j, percentile in enumerate(PERCENTILES):
            row = {name: float(np.nanmedian(grid[j, i])) for name, grid in values.items()}
            row["activation"] = float(np.exp(row["activation"]))
            yield {"decay": decay, "percentile": percentile} | row


def picture(sweep: Path) -> np.ndarray:
    """Seed 0."""
    places = {
        place.parent.name.partition("_")[2]: place / "filters" for place in result_folder.finished(sweep)
    }
    columns = [(d, p) for d in DECAYS for p in (0, 10, 30, 50)]
    folders = [places[f"norm_percentile={p}_decay={d}_seed=0"] for d, p in columns]
    labels = [result_folder.label(f) for f in SHOWN]
    shown = [[np.asarray(Image.open(folder / f"{label}.png")) for folder in folders] for label in labels]
    return images.contact_sheet(shown, labels, [f"decay {d} pct. {p}" for d, p in columns])


def main(sweep: Path) -> None:
    values = grids(sweep)
    found = list(comparisons(values))
    for row, p in zip(found, statistics.holm([row["p"] for row in found]), strict=True):
        row["p_holm"] = float(p)
    write_csv(HERE / "results.csv", found, digits=3)
    write_csv(HERE / "cells.csv", list(cells(values)), digits=3)
    Image.fromarray(picture(sweep)).save(HERE / "pictures.jpg", quality=80)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
