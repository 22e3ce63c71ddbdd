"""Tables and picture of this study, from its two sweeps.

python experiments/gildenblat_2016/make.py outputs/<panels> outputs/<controls>
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
import study

PANELS = {
    "none": "none",
    "decay": "decay 0.8",
    "blur": "box blur 3 x 3",
    "gildenblat_2016": "the mix of the three",
}
SHOWN = 16  # filters of a panel


def rows(sweep: Path) -> list[dict]:
    """One row a filter of a job."""
    found = []
    for job in study.jobs(sweep):
        cfg, score = job.config, job.result.history["score"]
        for i, index in enumerate(job.result.filters):
            found.append({
                "reg": regularizer(job), "seed": cfg.seed, "filter": index,
                "start": "raw" if cfg.start.low > 0 else "mean-subtracted",
                "score": "pre-activation" if cfg.objective.pre_activation else "ReLU'd",
                "steps": cfg.steps, "end": job.result.ends[i],
                "first_score": round(float(score[0, i]), 4), "final_score": round(float(score[-1, i]), 4),
            })  # fmt: skip
    return found


def regularizer(job: study.Job) -> str:
    """The preset of ``conf/reg``; the study blurs with a box, the controls have no regularizer."""
    return study.choice(job, "reg", PANELS, f"reg.blur_kind={job.config.reg.blur_kind}")


def select(table: list[dict], **values: object) -> list[dict]:
    return [row for row in table if all(row[key] == value for key, value in values.items())]


def make(to: Path, panels: Path, controls: Path) -> None:
    panel, control = rows(panels), rows(controls)
    seeds = sorted({row["seed"] for row in panel})
    stuck = {reg: {(r["seed"], r["filter"]) for r in select(panel, reg=reg, end="stuck")} for reg in PANELS}
    summary = []
    for reg in PANELS:
        for seed in seeds:
            own = select(panel, reg=reg, seed=seed)
            without = {key for key in stuck["none"] if key[0] == seed}
            summary.append({
                "part": "panels", "reg": reg, "start": "raw", "score": "ReLU'd", "seed": seed,
                "filters": len(own), **{end: len(select(own, end=end)) for end in study.ENDS},
                "stuck_without": len(without), "of_those_still_stuck": len(without & stuck[reg]),
                "median_final_score": round(float(np.median([r["final_score"] for r in own])), 2),
            })  # fmt: skip
    for start in ("raw", "mean-subtracted"):
        for score in ("ReLU'd", "pre-activation"):
            for seed in seeds:
                own = select(control, start=start, score=score, seed=seed)
                summary.append({
                    "part": "controls", "reg": "none", "start": start, "score": score, "seed": seed,
                    "filters": len(own), "stuck": len(select(own, end="stuck")),
                })  # fmt: skip
    study.table(to / "results.csv", summary)
    study.table(to / "filters.csv", panel)
    sheets = []
    for job in study.jobs(panels):
        if job.config.seed == seeds[0]:
            sheet = study.gallery([job.picture(index) for index in job.result.filters[:SHOWN]])
            sheets.append(np.pad(sheet, ((0, 0), (0, 16), (0, 0)), constant_values=255))
    study.pictures(to / "panels.jpg", [sheets], [""], list(PANELS.values()), quality=82, longest=1600)


if __name__ == "__main__":
    study.run(__file__, make, "panels", "controls")
