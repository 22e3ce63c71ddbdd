"""Table and picture of this study, from its sweep.

python experiments/precision/make.py outputs/<sweep>
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from omegaconf import OmegaConf
from PIL import Image
from scipy import stats

from deepvis.core import images
from deepvis.core.files import write_csv
from deepvis.metrics import convergence
from deepvis.results import result_folder

HERE = Path(__file__).parent
# What is compared with what: (precision, twin) of both.
PAIRS = {
    "float32 twin": (("float32", 0), ("float32", 1)),
    "bfloat16": (("float32", 0), ("bfloat16", 0)),
    "bfloat16 twin": (("bfloat16", 0), ("bfloat16", 1)),
}


class Climb(NamedTuple):
    """What is read of a job, or of its twin."""

    filters: Sequence[int]
    ends: Sequence[str]
    activation: np.ndarray  # [steps + 1, filters]
    pictures: Path


def read(sweep: Path) -> dict[tuple, Climb]:
    """By layer, seed, and (precision, twin)."""
    found = {}
    for place in result_folder.finished(sweep):
        cfg, result = OmegaConf.load(place / "config.yaml"), result_folder.read(place)
        twin = {name: values[0] for name, values in result.twins.items()}
        for number, history, pictures in ((0, result.history, "filters"), (1, twin, "twins/1")):
            found[cfg.layer.name, cfg.seed, (cfg.precision, number)] = Climb(
                result.filters, convergence.ends(history), history["activation"], place / pictures
            )
    return found


def picture(place: Path, index: int) -> np.ndarray:
    return np.asarray(Image.open(place / f"{result_folder.label(index)}.png"))


def rows(found: dict) -> list[dict]:
    """One row a filter, a seed and a pair."""
    table = []
    for layer, seed in sorted({key[:2] for key in found}):
        for name, (one, other) in PAIRS.items():
            a, b = found[layer, seed, one], found[layer, seed, other]
            for i, index in enumerate(a.filters):
                first, second = (climb.activation[:, i] for climb in (a, b))
                pixels = [picture(place, index).astype(float).ravel() for place in (a.pictures, b.pictures)]
                table.append({
                    "layer": layer, "seed": seed, "filter": index, "pair": name,
                    "activation": first[-1], "activation_other": second[-1],
                    "change": (second[-1] - first[-1]) / first[-1],
                    "correlation": np.corrcoef(*pixels)[0, 1],
                    "curve": np.abs(second - first).mean() / first[-1],
                    "same_end": a.ends[i] == b.ends[i],
                })  # fmt: skip
    return table


def summary(table: list[dict]) -> list[dict]:
    """One row a layer and pair; filters are the unit, their seeds are averaged first."""
    out = []
    for layer in sorted({row["layer"] for row in table}):
        for name in PAIRS:
            own = [row for row in table if (row["layer"], row["pair"]) == (layer, name)]
            filters = sorted({row["filter"] for row in own})
            change = np.array([np.mean([r["change"] for r in own if r["filter"] == f]) for f in filters])
            low, high = stats.bootstrap([change], np.median, rng=0).confidence_interval
            out.append({
                "layer": layer, "pair": name, "filters": len(filters), "seeds": len({r["seed"] for r in own}),
                "median_change_percent": 100 * np.median(change), "low": 100 * low, "high": 100 * high,
                "wilcoxon_p": stats.wilcoxon(change).pvalue,
                "median_size_of_change_percent": 100 * np.median([abs(r["change"]) for r in own]),
                "median_curve_distance_percent": 100 * np.median([r["curve"] for r in own]),
                "median_correlation": np.median([r["correlation"] for r in own]),
                "same_end_percent": 100 * np.mean([r["same_end"] for r in own]),
            })  # fmt: skip
    return out


def main(sweep: Path) -> None:
    found = read(sweep)
    table = rows(found)
    write_csv(HERE / "filters.csv", table, digits=4)
    write_csv(HERE / "results.csv", summary(table), digits=4)
    kinds = [("float32", 0), ("float32", 1), ("bfloat16", 0), ("bfloat16", 1)]
    cells = [
        [picture(found["block5_conv1", 0, kind].pictures, index) for kind in kinds] for index in range(6)
    ]
    names = ["float32", "its twin", "bfloat16", "its twin"]
    sheet = images.contact_sheet(cells, [result_folder.label(i) for i in range(6)], names)
    Image.fromarray(sheet).save(HERE / "pictures.jpg", quality=85)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
