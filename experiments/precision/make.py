"""Tables and picture of this study, from its sweep.

python experiments/precision/make.py outputs/<sweep>
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

sys.path.insert(0, str(Path(__file__).parents[1]))
import study

# What is compared with what: (precision, replica) of both.
PAIRS = {
    "float32 twin": (("float32", 0), ("float32", 1)),
    "bfloat16": (("float32", 0), ("bfloat16", 0)),
    "bfloat16 twin": (("bfloat16", 0), ("bfloat16", 1)),
}
SHOWN = 6  # filters of the picture


@dataclass(frozen=True)
class Optimized:
    """What is read of a job, or of its replica."""

    job: study.Job
    kind: str  # of its pictures
    ends: Sequence[str]
    activation: np.ndarray  # [steps + 1, filters]

    def picture(self, index: int) -> np.ndarray:
        return self.job.picture(index, self.kind)


def read(sweep: Path) -> dict[tuple, Optimized]:
    """By layer, seed, and (precision, replica)."""
    found = {}
    for job in study.jobs(sweep):
        key, result = (job.config.layer.name, job.config.seed), job.result
        replica = {name: values[0] for name, values in result.twins.items()}
        for number, history, kind in ((0, result.history, "filters"), (1, replica, "twins/1")):
            own = Optimized(job, kind, study.ends(history), history["activation"])
            found[*key, (job.config.precision, number)] = own
    return found


def rows(found: dict[tuple, Optimized]) -> list[dict]:
    """One row a filter, a seed and a pair."""
    table = []
    for layer, seed in sorted({key[:2] for key in found}):
        for name, (one, other) in PAIRS.items():
            a, b = found[layer, seed, one], found[layer, seed, other]
            for i, index in enumerate(a.job.result.filters):
                first, second = (each.activation[:, i] for each in (a, b))
                pixels = [each.picture(index).astype(float).ravel() for each in (a, b)]
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


def make(to: Path, sweep: Path) -> None:
    found = read(sweep)
    table = rows(found)
    study.table(to / "filters.csv", table, digits=4)
    study.table(to / "results.csv", summary(table), digits=4)
    layer, seed = max(key[0] for key in found), min(key[1] for key in found)  # the deepest
    kinds = [("float32", 0), ("float32", 1), ("bfloat16", 0), ("bfloat16", 1)]
    filters = found[layer, seed, kinds[0]].job.result.filters[:SHOWN]
    shown = [[found[layer, seed, kind].picture(index) for kind in kinds] for index in filters]
    titles = ["float32", "its replica", "bfloat16", "its replica"]
    study.pictures(to / "pictures.jpg", shown, [study.label(each) for each in filters], titles)


if __name__ == "__main__":
    study.run(__file__, make, "sweep")
