"""Results of jobs that never ran: their final values are those given, as a report's tests need them."""

from pathlib import Path

import numpy as np

from deepvis.report import comparison
from deepvis.results import manifest, result_folder
from deepvis.results.result_folder import Result

STEPS, SIZE = 4, 16
DECAYS, BLURS, SEEDS = (0.8, 0.9, 1), (0, 3), (0, 1)


def result(name: str, values, filters=None, *, floor=None, robustness=0.5, **params) -> Result:
    """A finished job whose final scores are the values given; one that is NaN diverged.

    Args:
      name: of the job.
      values: a final score a filter.
      filters: their numbers; by default from 0.
      floor: how much higher its replica's score ends; a list for several replicas.
      robustness: of all filters, or of each.
      params: of its config; ``layer``, ``tags`` and ``choices`` are those of the result.
    """
    values = np.asarray(values, float)
    n, rng = len(values), np.random.default_rng(list(name.encode()))
    filters = list(range(n) if filters is None else filters)
    score = np.linspace(0, 1, STEPS + 1)[:, None] * values
    ones = np.ones((STEPS + 1, n))
    history = {"score": score, "activation": score, "rank": 0 * ones, "margin": ones, "gradient_rms": ones,
               "image_rms": ones, "alive": np.isfinite(score)}  # fmt: skip
    metrics = {"robustness": robustness + 0 * values, "high_frequency": rng.uniform(0.1, 0.2, n)}
    twins = {}
    if floor is not None:
        twins = {"score": np.stack([score + each for each in np.atleast_1d(floor)])}
        twins["robustness"] = np.stack([metrics["robustness"]] * len(twins["score"]))
    return Result(
        name=name, key=name, layer=params.pop("layer", "block5_conv1"), filters=filters,
        choices=params.pop("choices", {}),
        ends=["converged" if np.isfinite(v) else "diverged" for v in values],
        tags=params.pop("tags", {}), params={"model": "tiny", "steps": STEPS, **params}, figures={},
        history=history, metrics=metrics, features={"post": rng.exponential(1, (n, 8))}, twins=twins,
        config="objective_value: final/activation",
    )  # fmt: skip


def job(folder: Path, name: str, values, filters, size=SIZE, floor=None, robustness=0.5, **params) -> None:
    """The same in a folder, written by deepvis itself."""
    made = result(name, values, filters, floor=floor, robustness=robustness, **params)
    rng = np.random.default_rng(list(name.encode()))
    pictures = [rng.integers(0, 256, (size, size, 3), dtype=np.uint8) for _ in made.filters]
    seen = {2: pictures[::-1], STEPS: pictures}
    result_folder.write(folder / name, made, result_folder.Pictures(pictures, pictures, seen))


def finish(folder: Path, *typed: str, **entry) -> Path:
    """The manifest of such jobs; other values of it are given."""
    jobs = [{"name": p.name, "key": p.name, "folder": p.name}
            for p in (place.parent for place in result_folder.finished(folder))]  # fmt: skip
    manifest.write(folder, manifest.identity(folder.name, typed, jobs, {}) | {"end": "now"} | entry)
    return folder


def grid(folder: Path, n: int = 16, floor=None, size=SIZE) -> Path:
    """Decay multiplies the score by 1.5 a level, blur halves it; seeds differ."""
    base = np.random.default_rng(0).uniform(5, 50, n)
    for number, (d, b, s) in enumerate((d, b, s) for d in DECAYS for b in BLURS for s in SEEDS):
        noise = 1 + 0.2 * (-1) ** s
        noise *= np.random.default_rng(number).normal(1, 1e-4, n)
        values = base * noise * 1.5 ** DECAYS.index(d) * (0.5 if b else 1)
        own = {"reg.decay": float(d), "reg.blur": b, "seed": s}
        job(folder, f"{number}_decay={d}_blur={b}_seed={s}", values, range(n), size, floor, **own)
    return finish(folder, "reg.decay=0.8,0.9,1", "reg.blur=0,3", "seed=0,1")


def of(*folders: Path) -> comparison.Comparison:
    """The comparison of the jobs in some folders."""
    return comparison.compare(
        [(f.name, place, result_folder.read(place)) for f in folders for place in result_folder.finished(f)]
    )


def compared(*results: Result, sweeps=(), **others) -> comparison.Comparison:
    """The comparison of results that are in no folder; of one sweep, or each of its own."""
    sweeps = sweeps or ["s"] * len(results)
    return comparison.compare(
        [(sweep, Path(each.name), each) for sweep, each in zip(sweeps, results, strict=True)], **others
    )
