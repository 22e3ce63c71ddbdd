"""Convergence: (history {name: [steps + 1, filters]}) -> how each filter ended, and figures of the job.

Row t of a history holds the values after t steps; the last has no gradient (NaN).
"""

from collections.abc import Mapping, Sequence

import numpy as np

History = Mapping[str, np.ndarray]
# How a filter ends, and the words for it.
ENDS = {
    "converged": "converged",
    "rising": "still improving",
    "stuck": "zero gradient",
    "diverged": "diverged",
}
FIGURES = (*(f"filters/{end}" for end in ENDS), "filters/top_share",
           "final/score", "final/best_score", "final/activation", "final/steps_to_90",
           "final/score_mean", "final/activation_mean")  # fmt: skip


def ends(history: History) -> list[str]:
    """How each filter ended, one of `ENDS`.

    - ``diverged``: its image or score became non-finite; the image stays at its last finite state.
    - ``stuck``: its gradient was zero at every step and its score never rose above the start's. Behind a
      ReLU this is a filter that nothing in the start excites (keras-team/keras issue 18334).
    - ``rising``: the last quarter of the steps brought more than 5 % of the whole rise of its best score.
    - ``converged``: none of these; also a filter with a gradient whose regularizer undoes every step.
    """
    score, gradient, alive = (history[k] for k in ("score", "gradient_rms", "alive"))
    best = np.fmax.accumulate(score, axis=0)
    last_quarter = (len(score) - 1) - max(1, (len(score) - 1) // 4)
    with np.errstate(invalid="ignore"):  # inf - inf, of a filter that diverged
        rise = best[-1] - score[0]
        rising = best[-1] - best[last_quarter] > 0.05 * rise
    stuck = (gradient[:-1] == 0).all(axis=0) & ~(rise > 0)
    return [
        "diverged" if d else "stuck" if s else "rising" if r else "converged"
        for d, s, r in zip(~alive[-1].astype(bool), stuck, rising, strict=True)
    ]


def diverged_at(history: History) -> np.ndarray:
    """The step at which each filter became non-finite; -1 where it never did. ``[filters]`` int."""
    diverged = ~history["alive"].astype(bool)
    return np.where(diverged.any(axis=0), diverged.argmax(axis=0), -1)


def failure(history: History, names: Sequence[str]) -> str | None:
    """Why a job failed though it ended: which filters, by their names, became non-finite, and when."""
    steps = zip(names, diverged_at(history), strict=True)
    diverged = [f"{name} at step {step}" for name, step in steps if step >= 0]
    return f"not finite: {', '.join(diverged)}" if diverged else None


def steps_to_90(history: History) -> np.ndarray:
    """Steps until a filter has 90 % of the rise of its best score over its start's.

    The rise, not the score: a mean pre-activation may start below zero, where 90 % of it means nothing.

    Returns:
      ``[filters]`` float; 0 for a filter that never rose, NaN where the start is not finite.
    """
    score = history["score"]
    start = score[0]
    best = np.fmax.reduce(score, axis=0)
    reached = score >= start + 0.9 * (best - start)
    return np.where(np.isfinite(start), reached.argmax(axis=0), np.nan)


def curves(history: History) -> dict[str, np.ndarray]:
    """Each quantity by step, ``[steps + 1]``, over the filters that are finite there; NaN where none is."""
    finite = history["alive"].astype(bool) & np.isfinite(history["score"])

    def over(name, reduce, fill):
        values = reduce(np.where(finite, history[name], fill), axis=1)
        known = (finite & ~np.isnan(history[name])).any(axis=1)
        return np.where(known, values, np.nan)

    def mean(name):
        total = over(name, lambda values, axis: values.sum(axis=axis, dtype=float), 0.0)
        return total / np.maximum(finite.sum(axis=1), 1)

    def median(name):
        values = np.where(finite & ~np.isnan(history[name]), history[name], np.nan)
        known = ~np.isnan(values).all(axis=1)
        found = np.full(len(values), np.nan)
        found[known] = np.nanmedian(values[known], axis=1)
        return found

    return {
        "score/median": median("score"),
        "score/mean": mean("score"),
        "score/min": over("score", np.min, np.inf),
        "score/max": over("score", np.max, -np.inf),
        "activation/median": median("activation"),
        "activation/mean": mean("activation"),
        "gradient_rms/mean": mean("gradient_rms"),
        "image_rms/mean": mean("image_rms"),
        "rank/mean": mean("rank"),
        "margin/mean": mean("margin"),
        "rank/top_share": over("rank", lambda r, axis: (r == 0).mean(axis=axis), np.inf),
    }


def figures(history: History) -> dict[str, float]:
    """The numbers of a whole job.

    Returns:
      ``filters/<end>``: how many; ``filters/top_share``: the share whose final mean pre-activation is its
      layer's highest; ``final/score``, ``final/activation``, ``final/best_score``, ``final/steps_to_90``:
      medians over finite filters; ``final/score_mean``, ``final/activation_mean``: means.
    """
    ended = ends(history)
    values = {f"filters/{end}": float(ended.count(end)) for end in ENDS}
    finite = np.array([end != "diverged" for end in ended])
    if not np.isnan(history["rank"]).all():  # an objective that is about no channel has none
        values["filters/top_share"] = float((finite & (history["rank"][-1] == 0)).mean())
    if finite.any():
        values |= {
            "final/score": float(np.median(history["score"][-1, finite])),
            "final/best_score": float(np.median(np.fmax.reduce(history["score"], axis=0)[finite])),
            "final/activation": float(np.median(history["activation"][-1, finite])),
            "final/steps_to_90": float(np.median(steps_to_90(history)[finite])),
            "final/score_mean": float(history["score"][-1, finite].mean(dtype=float)),
            "final/activation_mean": float(history["activation"][-1, finite].mean(dtype=float)),
        }
    return values
