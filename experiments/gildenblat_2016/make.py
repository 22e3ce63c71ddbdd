"""Tables and picture of this study, from its two sweeps.

python experiments/gildenblat_2016/make.py outputs/<panels> outputs/<controls>
"""

import sys
from pathlib import Path

import numpy as np
from omegaconf import OmegaConf
from PIL import Image

from deepvis.core import images
from deepvis.core.files import write_csv
from deepvis.metrics.convergence import ENDS
from deepvis.results import result_folder

HERE = Path(__file__).parent
PANELS = ("none", "decay", "blur", "seed")


def rows(sweep: Path) -> list[dict]:
    """One row a filter of a job."""
    found = []
    for place in result_folder.finished(sweep):
        result, cfg = result_folder.read(place), OmegaConf.load(place / "config.yaml")
        score = result.history["score"]
        for i, index in enumerate(result.filters):
            found.append({
                "reg": result.params.get("reg", "none"), "seed": cfg.seed, "filter": index,
                "start": "raw" if cfg.start.low > 0 else "mean-subtracted",
                "score": "pre-activation" if cfg.objective.pre_activation else "ReLU'd",
                "steps": cfg.steps, "end": result.ends[i],
                "first_score": round(float(score[0, i]), 4), "final_score": round(float(score[-1, i]), 4),
            })  # fmt: skip
    return found


def count(table: list[dict], **wanted) -> list[dict]:
    return [row for row in table if all(row[key] == value for key, value in wanted.items())]


def main(panels: Path, controls: Path) -> None:
    panel, control = rows(panels), rows(controls)
    seeds = sorted({row["seed"] for row in panel})
    stuck = {reg: {(r["seed"], r["filter"]) for r in count(panel, reg=reg, end="stuck")} for reg in PANELS}
    summary = []
    for reg in PANELS:
        for seed in seeds:
            own = count(panel, reg=reg, seed=seed)
            without = {key for key in stuck["none"] if key[0] == seed}
            summary.append({
                "part": "panels", "reg": reg, "start": "raw", "score": "ReLU'd", "seed": seed,
                "filters": len(own), **{end: len(count(own, end=end)) for end in ENDS},
                "stuck_without": len(without), "of_those_still_stuck": len(without & stuck[reg]),
                "median_final_score": round(float(np.median([r["final_score"] for r in own])), 2),
            })  # fmt: skip
    for start in ("raw", "mean-subtracted"):
        for score in ("ReLU'd", "pre-activation"):
            for seed in seeds:
                own = count(control, start=start, score=score, seed=seed)
                summary.append({
                    "part": "controls", "reg": "none", "start": start, "score": score, "seed": seed,
                    "filters": len(own), "stuck": len(count(own, end="stuck")),
                })  # fmt: skip
    write_csv(HERE / "results.csv", summary)
    write_csv(HERE / "filters.csv", panel)
    sheets = []
    for place in result_folder.finished(panels):
        if OmegaConf.load(place / "config.yaml").seed == 0:
            seen = [
                np.asarray(Image.open(place / "filters" / f"{result_folder.label(i)}.png")) for i in range(16)
            ]
            panel = images.gallery(seen)
            sheets.append(np.pad(panel, ((0, 0), (0, 16), (0, 0)), constant_values=255))
    names = ["none", "decay 0.8", "box blur 3 x 3", "the mix of the three"]
    picture = Image.fromarray(images.contact_sheet([sheets], [""], names))
    picture.thumbnail((1600, 1600), Image.Resampling.LANCZOS)
    picture.save(HERE / "panels.jpg", quality=82)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
