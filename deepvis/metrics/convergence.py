"""Metrics of convergence: (history {name: [steps + 1, filters]}) -> how each filter ended, and figures.

Row t of a history is what was seen after t steps; the last has no gradient (NaN). Each figure is defined
here and nowhere else.
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
           "final/score", "final/best_score", "final/activation", "final/steps_to_90")  # fmt: skip


def ends(history: History) -> list[str]:
    """How each filter ended.

    - ``diverged``: its image or score became non-finite; it stands where it was last finite.
    - ``stuck``: its gradient was zero at every step and its score never rose above the start's. Behind a
      ReLU this is a filter that nothing in the start touches (keras-team/keras issue 18334).
    - ``rising``: the last quarter of the steps brought more than 5 % of the whole rise of its best score.
      So a straight line is rising, and an exponential approach converges after about four quarters of
      three time constants.
    - ``converged``: none of these. Also a filter that has a gradient and yet never rose, for its regularizer
      takes more than a step gives.

    Args:
      history: ``score``, ``gradient_rms``, ``alive``.

    Returns:
      One of `ENDS` a filter.

    Example:
      >>> t = np.arange(21.0)[:, None]
      >>> ends({"score": t, "gradient_rms": 1 + 0 * t, "alive": t >= 0})
      ['rising']
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
    dead = ~history["alive"].astype(bool)
    return np.where(dead.any(axis=0), dead.argmax(axis=0), -1)


def failure(history: History, names: Sequence[str]) -> str | None:
    """Why a job failed though it ended: which filters became non-finite, and when.

    Args:
      history: ``alive``.
      names: of the filters.
    """
    lost = [f"{name} at step {t}" for name, t in zip(names, diverged_at(history), strict=True) if t >= 0]
    return f"not finite: {', '.join(lost)}" if lost else None


def steps_to_90(history: History) -> np.ndarray:
    """Steps until a filter has 90 % of the rise of its best score over its start's.

    The rise, not the score: a mean pre-activation may start below zero, where 90 % of it means nothing.

    Args:
      history: ``score``.

    Returns:
      ``[filters]`` float; 0 for a filter that never rose, NaN where the start is not finite.

    Example:
      >>> steps_to_90({"score": np.array([[0.0], [5.0], [9.5], [10.0]])}).tolist()
      [2.0]
    """
    score = history["score"]
    start = score[0]
    best = np.fmax.reduce(score, axis=0)
    reached = score >= start + 0.9 * (best - start)
    return np.where(np.isfinite(start), reached.argmax(axis=0), np.nan)


def curves(history: History) -> dict[str, np.ndarray]:
    """By step, over the filters that are finite there: what is compared in a chart.

    Args:
      history: every recorded quantity.

    Returns:
      Name -> ``[steps + 1]``; NaN where no filter is finite.
    """
    finite = history["alive"].astype(bool) & np.isfinite(history["score"])

    def over(name, reduce, fill):
        values = reduce(np.where(finite, history[name], fill), axis=1)
        known = (finite & ~np.isnan(history[name])).any(axis=1)
        return np.where(known, values, np.nan)

    def mean(name):
        total = over(name, lambda values, axis: values.sum(axis=axis, dtype=float), 0.0)
        return total / np.maximum(finite.sum(axis=1), 1)

    return {
        "score/mean": mean("score"),
        "score/min": over("score", np.min, np.inf),
        "score/max": over("score", np.max, -np.inf),
        "activation/mean": mean("activation"),
        "gradient_rms/mean": mean("gradient_rms"),
        "image_rms/mean": mean("image_rms"),
        "rank/mean": mean("rank"),
        "margin/mean": mean("margin"),
        "rank/top_share": over("rank", lambda r, axis: (r == 0).mean(axis=axis), np.inf),
    }


def figures(history: History) -> dict[str, float]:
    """One number each for a whole job: counts of `ends`, and medians over filters.

    Args:
      history: every recorded quantity.

    Returns:
      ``filters/<end>``: how many; ``filters/top_share``: the share whose final mean pre-activation is its
      layer's highest; ``final/score``, ``final/activation``, ``final/best_score``: means over finite filters;
      ``final/steps_to_90``: median over finite filters.
    """
    ended = ends(history)
    found = {f"filters/{end}": float(ended.count(end)) for end in ENDS}
    finite = np.array([end != "diverged" for end in ended])
    if not np.isnan(history["rank"]).all():  # an objective that is about no channel has none
        found["filters/top_share"] = float((finite & (history["rank"][-1] == 0)).mean())
    if finite.any():
        found |= {
            "final/score": float(history["score"][-1, finite].mean(dtype=float)),
            "final/best_score": float(np.fmax.reduce(history["score"], axis=0)[finite].mean(dtype=float)),
            "final/activation": float(history["activation"][-1, finite].mean(dtype=float)),
            "final/steps_to_90": float(np.median(steps_to_90(history)[finite])),
        }
    return found
