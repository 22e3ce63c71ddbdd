"""Tables and picture of this study, from its two sweeps and the one job beside them.

python experiments/yosinski_recipes/make.py outputs/<published> outputs/<one rule> outputs/<combined>
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from deepvis.core import images
from deepvis.core.files import write_csv
from deepvis.metrics import convergence, statistics
from deepvis.results import result_folder

HERE = Path(__file__).parent
REGS = ("yosinski_1", "yosinski_2", "yosinski_3", "yosinski_4", "combined")
COLUMNS = ("activation", "robustness", "total_variation", "high_frequency", "sparsity")
VIEWS = ("retained_translation", "retained_rotation", "retained_scaling", "retained_jpeg", "retained_noise")


def comparisons(values: dict[str, np.ndarray], levels: tuple[str, ...]) -> Iterator[dict]:
    """Friedman's test, and every pair of recipes; activation as a ratio. p as they are."""
    for name, column in values.items():
        if len(levels) > 2:
            yield {"measure": name, "comparison": "reg: any", "p": statistics.friedman(column)}
        unit = np.exp if name == "activation" else float
        for each in statistics.contrasts({"reg": levels}, column):
            e = each.effect
            numbers = {key: float(unit(getattr(e, key))) for key in ("median", "low", "high")}
            counted = {"filters": e.n, "higher": round(e.n * e.up)}
            yield {"measure": name, "comparison": each.name, "p": e.p, **counted, **numbers}


def recipes(frame: pd.DataFrame, results: dict[tuple[str, str], result_folder.Result]) -> Iterator[dict]:
    """Medians over filters of each recipe, and how its ascents went."""
    for (rule, reg), result in results.items():
        own, score = frame[(frame["rule"] == rule) & (frame["reg"] == reg)], result.history["score"]
        yield {
            "rule": rule, "reg": reg, "steps": len(score) - 1, "filters": len(own),
            **{name: float(own[name].median()) for name in (*COLUMNS, *VIEWS)},
            "no_score_left": int((own["score"] <= 0).sum()), "top_of_layer": int((own["rank"] == 0).sum()),
            **{end: int((own["end"] == end).sum()) for end in convergence.ENDS},
            "score_half_way_percent": 100 * float(np.median(score[(len(score) - 1) // 2] / score[-1])),
        }  # fmt: skip


def grid(frame: pd.DataFrame, rule: str, regs: tuple[str, ...], name: str) -> np.ndarray:
    """A measure as it is compared, [regs, filters]; activation in logarithms."""
    own = frame[frame["rule"] == rule].pivot(index="reg", columns="filter", values=name).loc[list(regs)]
    values = own.to_numpy()
    return np.log(np.where(values > 0, values, np.nan)) if name == "activation" else values


def main(published: Path, one_rule: Path, combined: Path) -> None:
    results, places, frames_ = {}, {}, []
    for rule, sweep in (("own", published), ("own", combined), ("shared", one_rule)):
        for place in result_folder.finished(sweep):
            reg = next(each for each in REGS if each in place.parent.name)
            results[rule, reg], places[rule, reg] = result_folder.read(place), place
            frames_.append(pd.DataFrame(result_folder.rows(results[rule, reg])).assign(rule=rule, reg=reg))
    frame = pd.concat(frames_)
    write_csv(HERE / "recipes.csv", list(recipes(frame, results)), digits=3)
    found = list(comparisons({name: grid(frame, "own", REGS, name) for name in COLUMNS}, REGS))
    for reg in REGS[1:-1]:  # row 1 has the shared rule for its own
        both = {name: [grid(frame, rule, (reg,), name)[0] for rule in ("shared", "own")] for name in COLUMNS}
        pairs = {name: np.array(pair) for name, pair in both.items()}
        found += list(comparisons(pairs, (f"{reg} shared", f"{reg} own")))
    for row, p in zip(found, statistics.holm([row["p"] for row in found]), strict=True):
        row["p_holm"] = float(p)
    write_csv(HERE / "results.csv", found, digits=3)
    labels = [result_folder.label(f) for f in range(4)]
    shown = [("own", reg) for reg in REGS] + [("shared", reg) for reg in REGS[1:3]]
    cells = [
        [np.asarray(Image.open(places[key] / "filters" / f"{label}.png")) for key in shown]
        for label in labels
    ]
    names = [f"{reg.replace('_', ' ')}{', one rule' if rule == 'shared' else ''}" for rule, reg in shown]
    sheet = images.contact_sheet(cells, labels, names)
    Image.fromarray(sheet).save(HERE / "pictures.jpg", quality=85)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
