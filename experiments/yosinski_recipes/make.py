"""Tables and picture of this study, from its two sweeps and the one job beside them.

python experiments/yosinski_recipes/make.py outputs/<published> outputs/<one rule> outputs/<combined>
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
import study

REGS = ("yosinski_1", "yosinski_2", "yosinski_3", "yosinski_4", "combined")
COLUMNS = ("activation", "robustness", "total_variation", "high_frequency", "sparsity")
VIEWS = ("retained_translation", "retained_rotation", "retained_scaling", "retained_jpeg", "retained_noise")
SHOWN = 4  # filters of the picture

Jobs = dict[tuple[str, str], study.Job]  # by step rule and regularizer


def comparisons(values: dict[str, np.ndarray], levels: tuple[str, ...]) -> Iterator[dict]:
    """Friedman's test, and every pair of recipes; activation as a ratio. p as they are."""
    for name, column in values.items():
        if len(levels) > 2:
            yield {"measure": name, "comparison": "reg: any", "p": study.friedman(column)}
        for each in study.contrasts({"reg": levels}, column):
            found = study.columns(each.effect, name)
            order = {key: found[key] for key in ("p", "filters", "higher")}
            yield {"measure": name, "comparison": each.name} | order | found


def recipes(jobs: Jobs) -> Iterator[dict]:
    """Medians over filters of each recipe, and how its optimizations went."""
    for (rule, reg), job in jobs.items():
        final, score, ends = study.final(job), job.result.history["score"], list(job.result.ends)
        yield {
            "rule": rule, "reg": reg, "steps": len(score) - 1, "filters": len(ends),
            **{name: median(final[name]) for name in (*COLUMNS, *VIEWS)},
            "no_score_left": int((final["score"] <= 0).sum()),
            "top_of_layer": int((final["rank"] == 0).sum()),
            **{end: ends.count(end) for end in study.ENDS},
            "score_half_way_percent": 100 * float(np.median(score[(len(score) - 1) // 2] / score[-1])),
        }  # fmt: skip


def median(values: np.ndarray) -> float:
    """Of the filters that have a value."""
    known = values[~np.isnan(values)].astype(float)
    return float(np.median(known)) if len(known) else np.nan


def compared(job: study.Job, name: str) -> np.ndarray:
    """A measure as it is compared, ``[filters]``; activation as a logarithm."""
    values = study.final(job)[name].astype(float)
    return study.logarithm(values) if name == "activation" else values


def make(to: Path, published: Path, one_rule: Path, combined: Path) -> None:
    jobs: Jobs = {}
    for rule, sweep in (("own", published), ("own", combined), ("shared", one_rule)):
        jobs |= {(rule, study.choice(job, "reg", REGS)): job for job in study.jobs(sweep)}
    study.table(to / "recipes.csv", recipes(jobs), digits=3)
    values = {name: np.stack([compared(jobs["own", reg], name) for reg in REGS]) for name in COLUMNS}
    found = list(comparisons(values, REGS))
    for reg in REGS[1:-1]:  # row 1 has the shared rule for its own
        pair = [jobs["shared", reg], jobs["own", reg]]
        both = {name: np.stack([compared(job, name) for job in pair]) for name in COLUMNS}
        found += list(comparisons(both, (f"{reg} shared", f"{reg} own")))
    study.holm(found)
    study.table(to / "results.csv", found, digits=3)
    filters = jobs["own", REGS[0]].result.filters[:SHOWN]
    shown = [("own", reg) for reg in REGS] + [("shared", reg) for reg in REGS[1:3]]
    rows = [[jobs[key].picture(index) for key in shown] for index in filters]
    titles = [f"{reg.replace('_', ' ')}{', one rule' if rule == 'shared' else ''}" for rule, reg in shown]
    study.pictures(to / "pictures.jpg", rows, [study.label(index) for index in filters], titles)


if __name__ == "__main__":
    study.run(__file__, make, "published", "one_rule", "combined")
