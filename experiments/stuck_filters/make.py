"""Tables and picture of this study, from its three sweeps.

python experiments/stuck_filters/make.py outputs/<starts> outputs/<defaults> outputs/<last>
"""

import sys
from pathlib import Path

import numpy as np
from omegaconf import DictConfig
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))
import study

COUNTS = ("filters", "stuck", "silent_at_start", "silent_at_end", "mean_below_zero_at_end")
STARTS = ("noise", "raw_noise", "gaussian")
SHOWN = 6  # filters in the picture
NEVER = 99  # steps: later than any filter is turned on


def on_at(job: study.Job) -> np.ndarray:
    """The step after which each filter's map is first above zero somewhere; -1: never."""
    on = job.result.history["activation"] > 0
    return np.where(on.any(axis=0), on.argmax(axis=0), -1)


def counted(part: str, sweep: Path) -> list[dict]:
    """A row a job, and one over all layers: how many filters are stuck, and how many are silent."""
    found = []
    for job in study.jobs(sweep):
        cfg, result = job.config, job.result
        setting = {"part": part, "start": study.choice(job, "start", STARTS),
                   "score": "pre-activation" if cfg.objective.pre_activation else "ReLU'd",
                   "size": cfg.size, "steps": cfg.steps}  # fmt: skip
        silent = result.history["activation"] == 0
        numbers = (len(result.filters), result.ends.count("stuck"), silent[0].sum(), silent[-1].sum(),
                   (result.history["score"][-1] < 0).sum())  # fmt: skip
        counts = dict(zip(COUNTS, map(int, numbers), strict=True))
        found.append((setting, {"layer": cfg.layer.name} | counts))
    for setting in [dict(each) for each in dict.fromkeys(tuple(setting.items()) for setting, _ in found)]:
        own = [row for other, row in found if other == setting]
        found.append((setting, {"layer": "all"} | {key: sum(row[key] for row in own) for key in COUNTS}))
    return [setting | row for setting, row in found]


def flat(cfg: DictConfig, layer: str, index: int) -> dict[str, float]:
    """What a filter gives for black, for the training set's mean and for white, before its ReLU."""
    (kernel, bias), mean = study.kernel(cfg.model, layer), np.array(cfg.model.mean, np.float32)
    maps = study.network(cfg.model, layer, 64, "float32")
    found = {"kernel_norm": float(np.linalg.norm(kernel[..., index])), "bias": float(bias[index])}
    for name, colour in (("black", -mean), ("mean", 0 * mean), ("white", 255 - mean)):
        plane = maps(np.broadcast_to(colour, (1, 64, 64, 3)).astype(np.float32)).pre[0, ..., index].numpy()
        found[f"pre_activation_of_{name}"] = float(plane[len(plane) // 2, len(plane) // 2])
    return found


def silent(job: study.Job) -> list[dict]:
    """One row a filter that is silent at the start."""
    score, activation = (job.result.history[key] for key in ("score", "activation"))
    at, median = on_at(job), float(np.median(activation[-1]))
    return [
        {"layer": job.config.layer.name, "filter": i, "first_score": float(score[0, i]),
         "on_after_steps": int(at[i]), "score": float(score[-1, i]),
         "activation": float(activation[-1, i]), "layers_median_activation": median}
        for i in np.flatnonzero(at != 0).tolist()
    ]  # fmt: skip


def resisting(job: study.Job) -> list[dict]:
    """One row a filter of the last sweep."""
    cfg, table = job.config, []
    for column, index in enumerate(job.result.filters):
        activation, score = (job.result.history[key][:, column] for key in ("activation", "score"))
        table.append({
            "layer": cfg.layer.name, "filter": index, "start": study.choice(job, "start", STARTS),
            "seed": cfg.seed, "steps": cfg.steps, "first_score": float(score[0]),
            "on_after_steps": int(on_at(job)[column]), "score": float(score[-1]),
            "activation": float(activation[-1]), **flat(cfg, cfg.layer.name, index),
        })  # fmt: skip
    return table


def make(to: Path, starts: Path, defaults: Path, last: Path) -> None:
    study.table(to / "results.csv", counted("starts", starts) + counted("defaults", defaults))
    surveyed = study.jobs(defaults)
    study.table(to / "filters.csv", [row for job in surveyed for row in silent(job)], digits=4)
    study.table(to / "resisting.csv", [row for job in study.jobs(last) for row in resisting(job)], digits=4)
    draw(to, study.jobs(starts), sorted(surveyed, key=lambda job: -latest(job)[0])[:SHOWN])


def latest(job: study.Job) -> tuple[int, int]:
    """After how many steps the last filter of a layer is on, and which."""
    at = on_at(job)
    worst = int(np.argmax(np.where(at < 0, NEVER, at)))
    return (NEVER if at[worst] < 0 else int(at[worst])), worst


def draw(to: Path, starts: list[study.Job], surveyed: list[study.Job]) -> None:
    """The filters that take longest to turn on, one a layer: behind the ReLU, and before it."""
    found = {(job.config.layer.name, bool(job.config.objective.pre_activation)): job
             for job in starts if study.choice(job, "start", STARTS) == "noise"}  # fmt: skip
    rows, names = [], []
    for job in surveyed:
        layer, index = job.config.layer.name, latest(job)[1]
        three = [
            Image.fromarray(each.picture(index)) for each in (found[layer, False], found[layer, True], job)
        ]
        rows.append([np.asarray(each.resize((128, 128), Image.Resampling.NEAREST)) for each in three])
        names.append(f"{layer} {study.label(index)}")
    steps = f"{surveyed[0].config.steps} steps"
    titles = ["behind the ReLU: zero gradient", "before it, 1 step", f"before it, {steps}"]
    study.pictures(to / "pictures.jpg", rows, names, titles)


if __name__ == "__main__":
    study.run(__file__, make, "starts", "defaults", "last")
