"""Tables and picture of this study, from its sweep and the one job beside it.

python experiments/yosinski_recipes/make.py outputs/<sweep> outputs/<combined>
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from deepvis import convergence, frames, images, outcome, stats

HERE = Path(__file__).parent
REGS = ("yosinski_1", "yosinski_2", "yosinski_3", "yosinski_4", "combined")
COLUMNS = ("activation", "robustness", "total_variation", "high_frequency", "sparsity")
VIEWS = ("kept_shift", "kept_rotation", "kept_scaling", "kept_jpeg", "kept_noise")
MAX_RATE, DESIRED = 100.0, 2.0  # of the preset


def comparisons(values: dict[str, np.ndarray]) -> Iterator[dict]:
    """Friedman's test, and every pair of recipes; activation as a ratio. p as they are."""
    for name, column in values.items():
        yield {"measure": name, "comparison": "reg: any", "p": stats.friedman(column)}
        unit = np.exp if name == "activation" else float
        for each in stats.contrasts({"reg": REGS}, column):
            e = each.effect
            numbers = {key: float(unit(getattr(e, key))) for key in ("median", "low", "high")}
            counted = {"filters": e.n, "higher": round(e.n * e.up)}
            yield {"measure": name, "comparison": each.name, "p": e.p, **counted, **numbers}


def recipes(frame: pd.DataFrame, results: list[outcome.Result]) -> Iterator[dict]:
    """Medians over filters of each recipe, and how its ascents went."""
    for reg, result in zip(REGS, results, strict=True):
        own, score = frame[frame["job"] == result.name], result.history["score"]
        with np.errstate(divide="ignore"):
            squared = result.history["gradient_rms"][:-1] ** 2 * 3 * 128**2
            capped = (DESIRED / squared > MAX_RATE).mean()
        yield {
            "reg": reg, "steps": len(score) - 1, "filters": len(own),
            **{name: float(own[name].median()) for name in (*COLUMNS, *VIEWS)},
            "no_score_left": int((own["score"] <= 0).sum()), "top_of_layer": int((own["rank"] == 0).sum()),
            **{end: int((own["end"] == end).sum()) for end in convergence.ENDS},
            "score_half_way_percent": 100 * float(np.median(score[(len(score) - 1) // 2] / score[-1])),
            "steps_at_max_rate_percent": 100 * float(capped) if reg != "combined" else "",
        }  # fmt: skip


def main(*sweeps: Path) -> None:
    frame = pd.concat([frames.results(sweep.name, sweep.parent) for sweep in sweeps])
    places = [place for sweep in sweeps for place in outcome.finished(sweep)]  # in the order of REGS
    outcome.table(HERE / "recipes.csv", list(recipes(frame, [outcome.read(p) for p in places])), digits=3)
    values = {name: frame[name].to_numpy().reshape(len(REGS), -1) for name in COLUMNS}
    values["activation"] = np.log(np.where(values["activation"] > 0, values["activation"], np.nan))
    found = list(comparisons(values))
    for row, p in zip(found, stats.holm([row["p"] for row in found]), strict=True):
        row["p_holm"] = float(p)
    outcome.table(HERE / "results.csv", found, digits=3)
    labels = [outcome.label(f) for f in range(4)]
    cells = [[np.asarray(Image.open(p / "filters" / f"{label}.png")) for p in places] for label in labels]
    sheet = images.contact_sheet(cells, labels, [reg.replace("_", " ") for reg in REGS])
    Image.fromarray(sheet).save(HERE / "pictures.jpg", quality=85)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
